package io.invadapter.weights.safetensors;

import io.invadapter.weights.WeightSource;
import java.nio.file.Path;

/**
 * Opens safetensors weights, in one file or in shards:
 *
 * <pre>{@code
 * try (WeightSource weights = Safetensors.open(Path.of("model.safetensors"))) {
 *     float[] values = weights.tensor("conv_in.weight", 320, 4, 3, 3).toFloats();
 * }
 * }</pre>
 */
public final class Safetensors {

    private Safetensors() {
    }

    /**
     * Opens a {@code .safetensors} file, or all shards of a {@code .safetensors.index.json}.
     *
     * @throws io.invadapter.weights.WeightException if the file, or one of the shards, cannot be opened or is not a valid safetensors file
     */
    public static WeightSource open(Path path) {
        return path.toString().endsWith(".json") ? ShardedSafetensors.open(path) : SafetensorsFile.open(path);
    }
}
