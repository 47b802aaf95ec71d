package io.invadapter.kernels;

import java.util.HashMap;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * Device memory for tensors, reused: for implementations of {@link Device}. Blocks that scopes give back are kept by size
 * and handed out again, the lowest address first, so that the same sequence of requests gets the same addresses whatever
 * the order in which the last one was given back.
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

    private final Memory memory;
    private final Map<Long, NavigableSet<Long>> free = new HashMap<>();
    private long bytesHeld;
    private long bytesFree;
    private Scope current;

    public TensorPool(Memory memory) {
        this.memory = memory;
    }

    /** A tensor of undefined contents in the current scope. */
    public Tensor tensor(DataType type, int... shape) {
        long bytes = type.bytes();
        for (int d : shape) {
            if (d < 1) {
                throw new IllegalArgumentException("a tensor's extents must be positive");
            }
            bytes = Math.multiplyExact(bytes, d);
        }
        bytes = (bytes + GRANULE - 1) / GRANULE * GRANULE;
        Tensor.Block block = new Tensor.Block(take(bytes), bytes);
        if (current != null) {
            current.add(block);
        }
        return new Tensor(block, type, shape.clone());
    }

    /** Opens a scope inside the current one. */
    public Scope scope() {
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
        free.forEach((bytes, addresses) -> addresses.forEach(address -> memory.free(address, bytes)));
        free.clear();
        bytesHeld -= bytesFree;
        bytesFree = 0;
    }

    /** Bytes taken from the device, in use or not. */
    public long bytesHeld() {
        return bytesHeld;
    }

    /** Of those, the bytes that nobody uses. */
    public long bytesFree() {
        return bytesFree;
    }

    @Override
    public void close() {
        trim();
    }

    void release(Tensor.Block block) {
        if (!block.released) {
            block.released = true;
            free.computeIfAbsent(block.bytes, k -> new TreeSet<>()).add(block.address);
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
        NavigableSet<Long> reusable = free.get(bytes);
        if (reusable != null && !reusable.isEmpty()) {
            bytesFree -= bytes;
            return reusable.pollFirst();
        }
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
