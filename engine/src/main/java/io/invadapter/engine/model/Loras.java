package io.invadapter.engine.model;

import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.Lora;
import io.invadapter.weights.model.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** LoRAs on their way to a model, in the order in which they are laid over it. Their files are open. */
public final class Loras implements AutoCloseable {
    static final String UNET = "unet";
    static final String TEXT_ENCODER = "text_encoder";
    static final String VAE = "vae";
    /** What a LoRA can change. */
    public static final Set<String> PARTS = Set.of(UNET, TEXT_ENCODER);

    public static final Loras NONE = new Loras(List.of());

    private final List<LoraUse> uses;
    private final List<Lora> files = new ArrayList<>();

    private Loras(List<LoraUse> uses) {
        this.uses = List.copyOf(uses);
    }

    /**
     * @param notices told of what is in the files and is not used
     * @throws io.invadapter.weights.WeightException when a file cannot be read or is no LoRA for Stable Diffusion
     */
    public static Loras open(List<LoraUse> uses, Consumer<String> notices) {
        Loras loras = new Loras(uses);
        try {
            uses.forEach(use -> loras.files.add(Lora.open(use.file(), notices)));
            return loras;
        } catch (RuntimeException | Error e) {
            loras.close();
            throw e;
        }
    }

    /** The parts of a model that are changed by those from {@code first} on: some of {@link #PARTS}. */
    public Set<String> parts(int first) {
        Set<String> parts = new TreeSet<>();
        for (int i = first; i < uses.size(); i++) {
            for (String part : files.get(i).parts()) {
                if (scale(uses.get(i), part) != 0) {
                    parts.add(part);
                }
            }
        }
        return parts;
    }

    private static double scale(LoraUse use, String part) {
        return part.equals(UNET) ? use.unetScale() : use.textEncoderScale();
    }

    /**
     * The weights of a part with all changes.
     *
     * @throws io.invadapter.weights.WeightException when a LoRA was made for another model
     */
    public WeightSource over(String part, WeightSource weights) {
        WeightSource changed = weights;
        for (int i = 0; i < uses.size(); i++) {
            changed = files.get(i).over(part, changed, scale(uses.get(i), part));
        }
        return changed;
    }

    /** The same of all {@link #PARTS} of a model: a LoRA that does not fit one of them was made for another. */
    public Map<String, WeightSource> over(ModelFiles files) {
        return Map.of(TEXT_ENCODER, over(TEXT_ENCODER, files.textEncoder()), UNET, over(UNET, files.unet()));
    }

    /** The same of one part, which may also be {@link #VAE}. */
    public WeightSource over(ModelFiles files, String part) {
        return switch (part) {
            case TEXT_ENCODER -> over(part, files.textEncoder());
            case UNET -> over(part, files.unet());
            case VAE -> files.vae();
            default -> throw new IllegalArgumentException(part);
        };
    }

    /** What those from {@code first} on are read from. */
    public Set<Path> paths(int first) {
        return files.stream().skip(first).flatMap(file -> file.paths().stream()).collect(Collectors.toUnmodifiableSet());
    }

    public List<LoraUse> uses() {
        return uses;
    }

    /** The tensors of each, as they are in its file. */
    public List<WeightSource> tensors() {
        return files.stream().map(Lora::tensors).toList();
    }

    @Override
    public void close() {
        files.forEach(Lora::close);
    }
}
