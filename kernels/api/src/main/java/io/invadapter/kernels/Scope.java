package io.invadapter.kernels;

import java.util.ArrayList;
import java.util.List;

/**
 * The lifetime of intermediate tensors. Every tensor a device makes belongs to the scope opened last on that device and
 * gives its memory back when that scope closes, except those handed on with {@link #keep}.
 *
 * {@snippet :
 * try (Scope scope = device.scope()) {
 *     Tensor h = device.groupNorm(x, norm1, true);
 *     h = device.conv2d(h, conv1, null, null);
 *     return scope.keep(h);                        // everything else is free again
 * }
 * }
 *
 * Memory is handed out in the order of the calls, so the same pass gets the same addresses each time: after the first
 * pass nothing is allocated any more.
 */
public final class Scope implements AutoCloseable {
    private final TensorPool pool;
    private final Scope outer;
    private final List<Tensor.Block> blocks = new ArrayList<>();
    private boolean closed;

    Scope(TensorPool pool, Scope outer) {
        this.pool = pool;
        this.outer = outer;
    }

    void add(Tensor.Block block) {
        blocks.add(block);
    }

    boolean remove(Tensor.Block block) {
        return blocks.remove(block);
    }

    Scope outer() {
        return outer;
    }

    /** Hands {@code tensor} on to the surrounding scope (or to nobody: then {@link Device#release} frees it). */
    public Tensor keep(Tensor tensor) {
        if (blocks.remove(tensor.block()) && outer != null) {
            outer.add(tensor.block());
        }
        return tensor;
    }

    /** Gives back one tensor of this scope early; a large intermediate that the rest of the scope does not need. */
    public void release(Tensor tensor) {
        if (blocks.remove(tensor.block())) {
            pool.release(tensor.block());
        }
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            for (Tensor.Block block : blocks) {
                pool.release(block);
            }
            pool.leave(this, outer);
        }
    }
}
