package io.invadapter.kernels.cuda.driver;

import java.lang.foreign.MemorySegment;

/**
 * The few calls of a CUDA driver that the kernels need: the seam behind which a real GPU ({@link JCudaDriverApi}) and an
 * emulator are the same thing.
 *
 * <p>Device memory is named by its address, a {@code long}; 0 is no address. A null stream is the default stream. Work on one
 * stream runs in order; between streams, the default one included, there is no order. The copies from and to a
 * {@link MemorySegment} and {@link #fill} take no stream: they start after all work given before, on whatever stream, and are
 * complete when they return. Objects of one driver must not be given to another.
 *
 * <p>Failures of the driver are {@link CudaException}s. Work that fails on the device is noticed by a later call. After that
 * the device is lost: every call says so in one sentence, but giving things back ({@link #free} and every {@code close})
 * quietly succeeds.
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
        /** The driver's own handle ({@code CUstream}), for cuBLAS and cuDNN. */
        long handle();

        /** Waits until everything on it is done. */
        void synchronize();

        @Override
        void close();
    }

    /** A mark in a stream: for timing, and to wait for what lies before it. */
    interface Event extends AutoCloseable {
        /** Sets the mark behind what the stream holds now. */
        void record(Stream stream);

        /** Waits until the device has passed the mark; at once when none was set. */
        void synchronize();

        /** Milliseconds on the device from the earlier mark to this one; waits for both. */
        float millisecondsSince(Event earlier);

        @Override
        void close();
    }

    /** Work recorded from a stream, started again as a whole. */
    interface Graph extends AutoCloseable {
        /** Starts it on a stream and returns at once. */
        void launch(Stream stream);

        /** Pieces of work in it: launches, copies and fills, those of cuBLAS and cuDNN among them. */
        int nodes();

        @Override
        void close();
    }

    /** Page-locked host memory, which the device copies from and to while the caller goes on. */
    interface HostBuffer extends AutoCloseable {
        MemorySegment segment();

        @Override
        void close();
    }

    /** Bytes of device memory. */
    record Memory(long free, long total) {
    }

    /** The device's name, for people. */
    String deviceName();

    /** Compute capability, as major * 10 + minor: 80 for an A100, 90 for an H100. */
    int computeCapability();

    /** How many multiprocessors it has: 108 for an A100, 132 for an H100. Fewer blocks than that leave some idle. */
    int multiprocessors();

    /** The most bytes of shared memory that one block may ask for ({@link Function#allowSharedBytes}): 99 KiB or more. */
    int sharedBytesPerBlock();

    /** The driver's CUDA version, as major * 1000 + minor * 10: 12040 for 12.4. */
    int driverVersion();

    /** Makes this device the one that other CUDA libraries use on the calling thread. */
    void makeCurrent();

    /** What is free now; other processes count. */
    Memory memory();

    /**
     * New memory with undefined content, aligned to 256 bytes or more.
     *
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException when there is not that much left
     */
    long allocate(long bytes);

    /** Frees what {@link #allocate} gave. */
    void free(long address);

    /** Copies the first {@code bytes} bytes of {@code source} to the device. */
    void copyIn(long address, MemorySegment source, long bytes);

    /** Copies from the device into the first {@code bytes} bytes of {@code target}, after all work given before. */
    void copyOut(MemorySegment target, long address, long bytes);

    /** New page-locked memory. */
    HostBuffer allocateHost(long bytes);

    /** Starts a copy of {@code bytes} bytes from {@code source} to the device; both must stay as they are until it is done. */
    void copyIn(long address, HostBuffer source, long offset, long bytes, Stream stream);

    /** Starts a copy of {@code bytes} bytes from the device; what is in {@code target} before it is done is undefined. */
    void copyOut(HostBuffer target, long offset, long address, long bytes, Stream stream);

    /** Starts a copy within the device; the two must not overlap. */
    void copy(long target, long source, long bytes, Stream stream);

    /**
     * Records what {@code work} gives to {@code stream} instead of running it. While it records, its thread must not
     * allocate, free, load or wait for anything; copies that take no stream and {@link #fill} do wait. An exception of {@code work} goes
     * through to the caller.
     *
     * @param stream not the default stream
     * @throws CudaException when {@code work} did something that cannot be recorded; the stream is then usable again
     */
    Graph record(Stream stream, Runnable work);

    /** Sets every byte. */
    void fill(long address, byte value, long bytes);

    /**
     * Compiles PTX for this device and loads it; it stays loaded until the driver is closed. Several threads may do so at once, also
     * while another one records.
     *
     * @param name for people: what cannot be loaded is named
     */
    Module load(String name, String ptx);

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

    /**
     * Does {@code work} while no graph of this GPU is recorded by another thread, whichever driver in the process it has: for calls of
     * other libraries that wait for the whole GPU, which would spoil the recording.
     */
    void betweenRecordings(Runnable work);

    /** Gives everything back. */
    @Override
    void close();
}
