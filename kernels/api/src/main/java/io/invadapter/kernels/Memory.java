package io.invadapter.kernels;

import java.lang.foreign.MemorySegment;

/**
 * Where tensors live: memory on a device, the scopes that give it back, and the way from and to the host.
 */
public interface Memory {

    /** Opens a scope: see {@link Scope}. */
    Scope scope();

    /** A tensor of undefined contents. */
    Tensor allocate(DataType type, int... shape);

    /** Takes a tensor out of every open scope: it lives until {@link #release}. */
    Tensor keep(Tensor tensor);

    /** Frees a tensor that no scope holds. */
    void release(Tensor tensor);

    /** Returns memory that is not in use to the system. */
    void trim();

    /** Copies {@code values} to a new tensor of {@code type}, rounding as needed. */
    default Tensor upload(DataType type, float[] values, int... shape) {
        Tensor tensor = allocate(type, shape);
        write(tensor, values);
        return tensor;
    }

    /** Copies {@code values} to a new int32 tensor {@code [values.length]}. */
    default Tensor upload(int[] values) {
        Tensor tensor = allocate(DataType.INT32, values.length);
        write(tensor, values);
        return tensor;
    }

    /** Replaces the contents of a contiguous tensor, rounding as needed; work given before still sees the old ones. */
    void write(Tensor target, float[] values);

    /** Replaces the contents of an int32 tensor; work given before still sees the old ones. */
    void write(Tensor target, int[] values);

    /** Replaces the contents of a contiguous tensor by bytes in its own type, which may change as soon as this returns. */
    void write(Tensor target, MemorySegment bytes);

    /** Copies a contiguous tensor to the host as float32, waiting until it is computed. */
    float[] download(Tensor tensor);

    /** Copies a contiguous tensor's bytes to the host, waiting until they are computed. */
    void read(Tensor source, MemorySegment bytes);

    /** Copies one contiguous tensor over another of the same type and number of elements. */
    void copy(Tensor source, Tensor target);

    /** Bytes of memory that could still be allocated, about. */
    long freeMemory();

    /** Bytes that could be allocated at the very most, file cache and swap included: what is larger cannot be had. */
    default long reachableMemory() {
        return freeMemory();
    }

    /**
     * Bytes of memory in use, about: of this process, or of the whole device where it has memory of its own. Memory that is kept
     * for the next request counts.
     */
    long usedMemory();
}
