package io.invadapter.engine.making;

import io.invadapter.engine.identity.Fingerprint;
import io.invadapter.engine.model.Loras;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/** Which LoRAs lie over the model on the device. Used on the device's thread. */
public final class LoraShelf {
    private final Path model;
    private final List<LoraUse> own;
    private final String fingerprint;
    private final Consumer<String> notices;
    /** Of the last request; {@code null} when they could not be laid over the model, so that nobody knows what it is. */
    private List<LoraUse> loras = List.of();
    private Set<String> changed;

    /**
     * @param model       the files, which are read again when LoRAs change
     * @param own         the pipeline's, below those of any request; they lie over the model already
     * @param fingerprint of the weights with them, as {@link io.invadapter.engine.identity.Identities} keeps people under
     * @param notices     told of what is in a LoRA and is not used
     */
    public LoraShelf(Path model, Loras own, String fingerprint, Consumer<String> notices) {
        this.model = model;
        this.own = own.uses();
        this.changed = own.parts();
        this.fingerprint = fingerprint;
        this.notices = notices;
    }

    List<LoraUse> own() {
        return own;
    }

    /**
     * Nothing happens when these are the LoRAs that are there.
     *
     * @param packing takes the weights of the parts that change, and the fingerprint of the weights that there are then
     * @throws io.invadapter.weights.WeightException when one cannot be read or was made for another model, before {@code packing}
     */
    void change(List<LoraUse> wanted, BiConsumer<Map<String, WeightSource>, String> packing) {
        if (wanted.equals(loras)) {
            return;
        }
        List<LoraUse> all = new ArrayList<>(own);
        all.addAll(wanted);
        try (ModelFiles files = ModelFiles.open(model); Loras opened = Loras.open(all, notices)) {
            Set<String> parts = new TreeSet<>(loras == null ? Loras.PARTS : changed);
            parts.addAll(opened.parts());
            Map<String, WeightSource> weights = opened.over(files, parts);
            String changedFingerprint = wanted.isEmpty() ? fingerprint : new Fingerprint().add(fingerprint).add(opened).value();
            loras = null;
            packing.accept(weights, changedFingerprint);
            loras = wanted;
            changed = opened.parts();
        }
    }
}
