package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.model.naming.LoraKey;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Pattern;

/** Which models a file is of or was made for, where its layers show it. */
final class ModelFamily {

    private static final String XL = "Stable Diffusion XL";

    /** Layers that no other family has; underscores may be points. */
    private static final Map<String, String> LAYERS = Map.of(
            "motion_modules", "AnimateDiff",
            "double_blocks", "Flux",
            "single_transformer_blocks", "Flux",
            "joint_blocks", "Stable Diffusion 3");

    /** Parts that a LoRA changes and Stable Diffusion 1.x and 2.x do not have. */
    private static final Map<String, String> PARTS = Map.of("text_encoder_2", XL, "transformer", "a model with a transformer in place of a UNet");

    /** Only one family has several of these in one place. */
    private static final Pattern DEEP = Pattern.compile(".*transformer_blocks[._][1-9].*");

    /** Channels of the texts. */
    private static final Map<Long, String> TEXTS = Map.of(
            768L, "Stable Diffusion 1.x",
            1024L, "Stable Diffusion 2.x",
            2048L, XL,
            1280L, "the refiner of " + XL);

    private static final List<String> EMBEDDINGS_OF_XL = List.of("clip_l", "clip_g");

    private ModelFamily() {
    }

    /** The family, if anything shows it. */
    static Optional<String> of(WeightSource file) {
        return byLayers(file.names()).or(() -> byDepth(file.names())).or(() -> byTexts(file));
    }

    /** The family, where it is another than Stable Diffusion 1.x and 2.x and the names of the layers show it. */
    static Optional<String> byLayers(Set<String> names) {
        for (String name : names) {
            Optional<String> found = LAYERS.keySet().stream().filter(name::contains).findFirst().map(LAYERS::get)
                    .or(() -> LoraKey.of(name).map(LoraKey::part).map(PARTS::get));
            if (found.isPresent() || EMBEDDINGS_OF_XL.contains(name)) {
                return found.or(() -> Optional.of(XL));
            }
        }
        return Optional.empty();
    }

    /** Stable Diffusion XL, where there are as many transformer blocks in a row as only it has. */
    static Optional<String> byDepth(Collection<String> layers) {
        return layers.stream().filter(layer -> layer.contains("transformer_blocks") && DEEP.matcher(layer).matches()).findFirst().map(deep -> XL);
    }

    private static Optional<String> byTexts(WeightSource file) {
        Map<String, Map<String, WeightTensor>> readers = new LinkedHashMap<>();
        for (String name : file.names()) {
            Optional<LoraKey> key = LoraKey.of(name);
            try {
                if (key.isPresent() && LoraLayer.readsTexts(key.get().layer())) {
                    readers.computeIfAbsent(key.get().layer(), none -> new LinkedHashMap<>()).put(key.get().factor(), file.tensor(name));
                } else if (name.endsWith("attn2.to_k.weight") || name.endsWith("to_k_ip.weight") || file.names().size() == 1) {
                    long[] shape = file.tensor(name).shape();
                    return shape.length == 0 ? Optional.empty() : ofTexts(shape[shape.length - 1]);
                }
            } catch (WeightException e) {
                // Of a type that cannot be read.
            }
        }
        return readers.values().stream().map(LoraLayer::channelsRead).filter(OptionalLong::isPresent).findFirst()
                .flatMap(channels -> ofTexts(channels.getAsLong()));
    }

    /** The family whose texts have that many channels. */
    static Optional<String> ofTexts(long channels) {
        return Optional.ofNullable(TEXTS.get(channels));
    }
}
