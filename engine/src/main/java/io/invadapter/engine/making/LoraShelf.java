package io.invadapter.engine.making;

import io.invadapter.engine.identity.Fingerprint;
import io.invadapter.engine.model.Loras;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.nn.Network;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.Function;

/** A model's files with the LoRAs that lie over them. Used on the device's thread. */
public final class LoraShelf implements StableDiffusion.Shelf {
    private final Path model;
    private final List<LoraUse> own;
    private final String ownFingerprint;
    private final Consumer<String> notices;
    /** The model's, and those of {@link #own}. */
    private final OpenedFiles ownFiles;
    // Of the last request.
    private List<LoraUse> loras = List.of();
    private OpenedFiles loraFiles = new OpenedFiles(Set.of());
    private Set<String> changed = Set.of();
    private String fingerprint;

    /**
     * @param model       is read again for parts that have left the device
     * @param files       of it, as they are read first
     * @param own         the pipeline's, below those of any request
     * @param fingerprint of the weights with them, as {@link io.invadapter.engine.identity.Identities} keeps people under
     * @param notices     told of what is in a LoRA and is not used
     */
    public LoraShelf(Path model, ModelFiles files, Loras own, String fingerprint, Consumer<String> notices) {
        this.model = model;
        this.own = own.uses();
        this.ownFingerprint = fingerprint;
        this.fingerprint = fingerprint;
        this.notices = notices;
        Set<Path> paths = new TreeSet<>(files.paths());
        paths.addAll(own.paths(0));
        this.ownFiles = new OpenedFiles(paths);
    }

    List<LoraUse> own() {
        return own;
    }

    /** Of all weights as they are with the LoRAs of now. */
    public String fingerprint() {
        return fingerprint;
    }

    private List<LoraUse> with(List<LoraUse> ofRequest) {
        List<LoraUse> all = new ArrayList<>(own);
        all.addAll(ofRequest);
        return all;
    }

    /**
     * Lays a request's LoRAs over the model, in place of those of the one before.
     *
     * @return the parts that these or those change: some of {@link Loras#PARTS}
     * @throws io.invadapter.weights.WeightException when one cannot be read or was made for another model, or a file of the pipeline's
     *     is not what it was; the weights stay as they are
     */
    Set<String> layOver(List<LoraUse> wanted) {
        if (wanted.equals(loras)) {
            return Set.of();
        }
        ownFiles.requireUnchanged();
        try (ModelFiles files = ModelFiles.open(model); Loras opened = Loras.open(with(wanted), notices)) {
            // Refuses those of another model.
            opened.over(files);
            OpenedFiles wantedFiles = new OpenedFiles(opened.paths(own.size()));
            Set<String> changing = opened.parts(own.size());
            Set<String> parts = new TreeSet<>(changed);
            parts.addAll(changing);
            fingerprint = wanted.isEmpty() ? ownFingerprint : new Fingerprint().add(ownFingerprint).add(opened).value();
            loras = wanted;
            loraFiles = wantedFiles;
            changed = changing;
            return parts;
        }
    }

    @Override
    public <N extends Network> N read(String part, Function<WeightSource, N> making) {
        ownFiles.requireUnchanged();
        loraFiles.requireUnchanged();
        try (ModelFiles files = ModelFiles.open(model); Loras opened = Loras.open(with(loras), notices)) {
            return making.apply(opened.over(files, part));
        }
    }
}
