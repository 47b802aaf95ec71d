package io.invadapter.kernels;

import java.util.HashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * Device memory for tensors, reused: for implementations of {@link Device}. Blocks that scopes give back are kept by size
 * and handed out again, the lowest address first, so that the same sequence of requests gets the same addresses whatever
 * the order in which the last one was given back.
 *
 * <p>A pass is what happens within an outermost scope. When new memory is needed, blocks that the last passes did not use go back
 * to the device: however many sizes come, the pool holds what the last few of them needed.
 *
 * <p>Not thread-safe: a device runs one request at a time.
 */
public final class TensorPool implements AutoCloseable {

    /** Where a device's memory comes from. */
    public interface Memory {
        /**
         * @param bytes more than 0
         * @return the address, aligned to at least 64 bytes
         * @throws OutOfDeviceMemoryException when there is not that much left
         */
        long allocate(long bytes);

        void free(long address, long bytes);
    }

    private static final long GRANULE = 256;

    /** Passes without use after which a block makes room for other sizes. */
    private static final int STALE = 4;
    /** Passes without use after which a block goes back even when nothing else is needed. */
    private static final int FORGOTTEN = 256;

    private final Memory memory;
    /** By size: each block's address, and the pass that used it last. */
    private final Map<Long, NavigableMap<Long, Long>> free = new HashMap<>();
    private long pass;
    private long bytesHeld;
    private long bytesFree;
    private Scope current;
    private boolean closed;

    public TensorPool(Memory memory) {
        this.memory = memory;
    }

    /**
     * A tensor of undefined contents in the current scope.
     *
     * @throws IllegalStateException after {@link #close}
     */
    public Tensor tensor(DataType type, int... shape) {
        requireOpen();
        long bytes = type.bytes();
        for (int d : shape) {
            if (d < 1) {
                throw new IllegalArgumentException("a tensor's extents must be positive");
            }
            bytes = Math.multiplyExact(bytes, d);
        }
        bytes = (bytes + GRANULE - 1) / GRANULE * GRANULE;
        Tensor.Block block = new Tensor.Block(this, take(bytes), bytes);
        if (current != null) {
            current.add(block);
        }
        return new Tensor(block, type, shape.clone());
    }

    /** Opens a scope inside the current one. */
    public Scope scope() {
        if (current == null && ++pass % FORGOTTEN == 0) {
            giveBack(pass - FORGOTTEN);
        }
        current = new Scope(this, current);
        return current;
    }

    /** Takes a tensor out of whichever open scope holds it. */
    public Tensor keep(Tensor tensor) {
        for (Scope scope = current; scope != null && !scope.remove(tensor.block()); ) {
            scope = scope.outer();
        }
        return tensor;
    }

    /** Gives back a tensor that no open scope holds. */
    public void release(Tensor tensor) {
        release(tensor.block());
    }

    /** Returns what is not in use to the device: after a large picture, say. */
    public void trim() {
        giveBack(pass);
    }

    /** Returns what passes after number {@code last} have not used. */
    private void giveBack(long last) {
        free.forEach((bytes, blocks) -> blocks.entrySet().removeIf(block -> {
            boolean unused = block.getValue() <= last;
            if (unused) {
                memory.free(block.getKey(), bytes);
                bytesHeld -= bytes;
                bytesFree -= bytes;
            }
            return unused;
        }));
        free.values().removeIf(Map::isEmpty);
    }

    /** Bytes taken from the device, in use or not. */
    public long bytesHeld() {
        return bytesHeld;
    }

    /** Of those, the bytes that nobody uses. */
    public long bytesFree() {
        return bytesFree;
    }

    void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
    }

    /** With its device: no tensor of this pool can be used any more. */
    @Override
    public void close() {
        closed = true;
        trim();
    }

    void release(Tensor.Block block) {
        if (!block.released) {
            block.released = true;
            free.computeIfAbsent(block.bytes, k -> new TreeMap<>()).put(block.address, pass);
            bytesFree += block.bytes;
        }
    }

    void leave(Scope scope, Scope outer) {
        if (current != scope) {
            throw new IllegalStateException("scopes must be closed in reverse order");
        }
        current = outer;
    }

    private long take(long bytes) {
        NavigableMap<Long, Long> reusable = free.get(bytes);
        if (reusable != null && !reusable.isEmpty()) {
            bytesFree -= bytes;
            return reusable.pollFirstEntry().getKey();
        }
        giveBack(pass - STALE);
        long address;
        try {
            address = memory.allocate(bytes);
        } catch (OutOfDeviceMemoryException e) {
            if (bytesFree == 0) {
                throw e;
            }
            trim();
            address = memory.allocate(bytes);
        }
        bytesHeld += bytes;
        return address;
    }
}
