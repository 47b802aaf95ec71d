package io.invadapter.kernels.cuda.driver;

import java.lang.foreign.MemorySegment;

/**
 * The few calls of a CUDA driver that the kernels need: the seam behind which a real GPU ({@link JCudaDriverApi}) and an
 * emulator are the same thing.
 *
 * <p>Device memory is named by its address, a {@code long}; 0 is no address. Work on one stream runs in order; copies and
 * {@link #fill} run on the default stream and are complete, as far as the caller can see, when they return. A null stream is
 * the default stream. Objects of one driver must not be given to another. Failures of the driver are
 * {@link CudaException}s.
 */
public interface CudaDriver extends AutoCloseable {
    /** A loaded module, that is one PTX text compiled for this device. */
    interface Module {
        /**
         * The kernel of that name.
         *
         * @throws CudaException when the module has none
         */
        Function function(String name);
    }

    /** A kernel that can be launched. */
    interface Function {
        /** Its name in the PTX. */
        String name();

        /**
         * Allows launches with that many bytes of dynamic shared memory; without it 48 KiB are the limit.
         *
         * @throws CudaException when the device has less
         */
        void allowSharedBytes(int bytes);
    }

    /** A queue of work on the device. */
    interface Stream extends AutoCloseable {
        /** Waits until everything on it is done. */
        void synchronize();

        @Override
        void close();
    }

    /** A mark in a stream, for timing. */
    interface Event extends AutoCloseable {
        /** Sets the mark behind what the stream holds now. */
        void record(Stream stream);

        /** Milliseconds on the device from the earlier mark to this one; waits for both. */
        float millisecondsSince(Event earlier);

        @Override
        void close();
    }

    /** The device's name, for people. */
    String deviceName();

    /** Compute capability, as major * 10 + minor: 80 for an A100, 90 for an H100. */
    int computeCapability();

    /** New memory with undefined content, aligned to 256 bytes or more. */
    long allocate(long bytes);

    /** Frees what {@link #allocate} gave. */
    void free(long address);

    /** Copies the first {@code bytes} bytes of {@code source} to the device. */
    void copyIn(long address, MemorySegment source, long bytes);

    /** Copies from the device into the first {@code bytes} bytes of {@code target}, after all work given before. */
    void copyOut(MemorySegment target, long address, long bytes);

    /** Sets every byte. */
    void fill(long address, byte value, long bytes);

    /** Compiles PTX for this device and loads it; it stays loaded until the driver is closed. */
    Module load(String ptx);

    /** A new stream. */
    Stream newStream();

    /** A new event. */
    Event newEvent();

    /**
     * Starts a kernel and returns at once.
     *
     * @param grid        number of blocks
     * @param threads     threads of a block
     * @param sharedBytes dynamic shared memory of a block
     * @param stream      where, null for the default stream
     * @param parameters  its parameters in the order of the declaration
     */
    void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters);

    /** Waits until the device has nothing left to do. */
    void synchronize();

    /** Gives everything back. */
    @Override
    void close();
}
