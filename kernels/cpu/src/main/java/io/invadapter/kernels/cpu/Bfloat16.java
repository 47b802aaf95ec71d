package io.invadapter.kernels.cpu;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** bfloat16 to float32 and back in native memory, on all cores; oneDNN converts only where it also computes with bfloat16. */
final class Bfloat16 {
    /** Elements converted at a time: both arrays stay in the level-2 cache. */
    private static final int CHUNK = 1 << 14;

    private Bfloat16() {
    }

    /** Work on a part of a range of elements. */
    interface Part {
        void convert(long start, int elements);
    }

    /** Cuts {@code elements} into chunks for all cores. */
    static void inChunks(CpuDevice device, long elements, Part part) {
        device.parallel(Math.toIntExact((elements + CHUNK - 1) / CHUNK), chunk ->
                part.convert((long) chunk * CHUNK, (int) Math.min(CHUNK, elements - (long) chunk * CHUNK)));
    }

    /** Converts {@code elements} bfloat16 values to float32. */
    static void widen(CpuDevice device, long from, long to, long elements) {
        inChunks(device, elements, (start, n) -> MemorySegment.copy(
                Floats.read(NativeMemory.view(from + Short.BYTES * start, (long) Short.BYTES * n), DataType.BFLOAT16, n), 0,
                NativeMemory.view(to + Float.BYTES * start, (long) Float.BYTES * n), ValueLayout.JAVA_FLOAT, 0, n));
    }

    /** Rounds {@code elements} float32 values to bfloat16, to the nearest, ties to even. */
    static void round(CpuDevice device, long from, long to, long elements) {
        inChunks(device, elements, (start, n) -> Floats.write(
                NativeMemory.view(from + Float.BYTES * start, (long) Float.BYTES * n).toArray(ValueLayout.JAVA_FLOAT), DataType.BFLOAT16,
                NativeMemory.view(to + Short.BYTES * start, (long) Short.BYTES * n)));
    }

    /** Converts {@code [B, L, C]}, perhaps {@link Tensor#columns} of a wider tensor, to contiguous float32. */
    static void widen(CpuDevice device, Tensor from, Tensor to) {
        int channels = from.channels();
        int rows = from.vectors();
        if (from.rowStride() == channels) {
            widen(device, from.address(), to.address(), from.elements());
            return;
        }
        device.parallel(rows, row -> MemorySegment.copy(
                Floats.read(NativeMemory.view(from.address() + row * from.rowStride() * Short.BYTES, (long) channels * Short.BYTES),
                        DataType.BFLOAT16, channels), 0,
                NativeMemory.view(to.address() + (long) row * channels * Float.BYTES, (long) channels * Float.BYTES), ValueLayout.JAVA_FLOAT,
                0, channels));
    }
}
