package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.Parameters;

/**
 * An array {@code [batch, rows, heads, head size]} on the device, anywhere inside a larger one; values of one head are
 * neighbours. Strides count values, not bytes.
 *
 * @param address     of the first value
 * @param batchStride from one batch row to the next; 0 lets all batch rows share one
 * @param rowStride   from one token to the next
 * @param headStride  from one head to the next
 */
public record Strided(long address, long batchStride, int rowStride, int headStride) {
    private static final int MOST_ROW_STRIDE = 1 << 23;

    /** A whole array, contiguous in the order batch, row, head. */
    public static Strided contiguous(long address, int rows, int heads, int headSize) {
        return new Strided(address, (long) rows * heads * headSize, heads * headSize, headSize);
    }

    /** Part {@code part} of a contiguous {@code [batch, rows, parts, heads, head size]}, as a fused projection gives it. */
    public static Strided part(long address, DataType type, int part, int parts, int rows, int heads,
                               int headSize) {
        int width = heads * headSize;
        return new Strided(address + (long) type.bytes() * part * width, (long) rows * parts * width, parts * width, headSize);
    }

    void check(String name, DataType type, int batch, int rows, int heads, int headSize) {
        Check.address(name, address, type.bytes());
        if (rows > 1) {
            Check.range(name + " row stride", rowStride, headSize, MOST_ROW_STRIDE);
        }
        if (heads > 1) {
            Check.range(name + " head stride", headStride, headSize, Integer.MAX_VALUE);
        }
        if (batch > 1 && batchStride != 0) {
            Check.range(name + " batch stride", batchStride, headSize, Long.MAX_VALUE);
        }
    }

    /** Whether every row of every head starts at a multiple of 16 bytes. */
    boolean aligned(KernelLibrary library) {
        return address % 16 == 0 && batchStride % library.chunk() == 0 && rowStride % library.chunk() == 0
                && headStride % library.chunk() == 0;
    }

    void addTo(Parameters parameters) {
        parameters.structure(() -> addMembers(parameters));
    }

    void addMembers(Parameters parameters) {
        parameters.int64(address).int64(batchStride).int32(rowStride).int32(headStride);
    }
}
