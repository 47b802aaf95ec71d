package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Page-locked memory of {@link EmulatorDriver}; what is new in it is garbage, as on a GPU. */
final class EmulatedHostBuffer implements CudaDriver.HostBuffer {
    /** Two such bytes are a NaN as float16 and bfloat16, four as float32. */
    private static final byte GARBAGE = -1;

    // Shared: no device of ours is bound to a thread.
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;
    private final Runnable onClose;

    EmulatedHostBuffer(long bytes, Runnable onClose) {
        this.segment = arena.allocate(bytes, 4096);
        this.onClose = onClose;
        spoil(0, bytes);
    }

    @Override
    public MemorySegment segment() {
        return segment;
    }

    /** The part that a copy wants. */
    MemorySegment part(long offset, long bytes) {
        Objects.checkFromIndexSize(offset, bytes, segment.byteSize());
        return segment.asSlice(offset, bytes);
    }

    /** Makes a part undefined. */
    void spoil(long offset, long bytes) {
        part(offset, bytes).fill(GARBAGE);
    }

    @Override
    public void close() {
        onClose.run();
        arena.close();
    }
}
