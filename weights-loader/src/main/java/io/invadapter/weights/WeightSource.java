package io.invadapter.weights;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;

/** Named tensors and a few strings of metadata: a file, several shards, or one part of a model. Safe to share between threads. */
public interface WeightSource extends AutoCloseable {

    /** The names of all tensors, unmodifiable, in the order of the file. */
    Set<String> names();

    /** Whether there is a tensor of this name. */
    default boolean contains(String name) {
        return names().contains(name);
    }

    /**
     * One tensor; nothing is copied, so this is cheap.
     *
     * @throws WeightException if there is no tensor of this name, or its element type is not a {@link DType}
     */
    WeightTensor tensor(String name);

    /**
     * One tensor, whose shape must be the expected one.
     *
     * @throws WeightException if there is no tensor of this name, its element type is not a {@link DType}, or its shape is
     *     another one
     */
    default WeightTensor tensor(String name, long... expectedShape) {
        WeightTensor tensor = tensor(name);
        long[] shape = tensor.shape();
        if (!Arrays.equals(shape, expectedShape)) {
            throw new WeightException(description() + ": tensor '" + name + "' has the shape " + Shapes.text(shape) + " where "
                    + Shapes.text(expectedShape) + " is expected");
        }
        return tensor;
    }

    /** The strings that the writer of the file attached, unmodifiable; empty if none. */
    Map<String, String> metadata();

    /** The files it reads, which {@link #close} releases; unmodifiable, empty for weights that are in none. */
    default Set<Path> paths() {
        return Set.of();
    }

    /** What messages call this source: the path of its file. */
    String description();

    /** Releases the file. Tensors of this source cannot be read any more. Closing twice does nothing. */
    @Override
    void close();
}
