package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of gated_linear.cu. Arrays are of the library's type, which is one of the 16-bit ones; sums are float32. */
public final class GatedProduct {
    private static final int ROWS = 128;
    private static final int COLUMNS = 64;
    private static final int DEPTH = 32;
    private static final int THREADS = 128;
    /** Three buffers of a tile of x and one of the weights. */
    private static final int SHARED_BYTES = 3 * 2 * ROWS * DEPTH * 2;

    private final KernelLibrary library;

    /** On the library's driver. */
    public GatedProduct(KernelLibrary library) {
        this.library = library;
    }

    /** Whether the kernel does products of that many values to a sum and results to a row. */
    public boolean serves(int depth, int columns) {
        return library.type() != DataType.FLOAT32 && depth % DEPTH == 0 && columns % library.chunk() == 0;
    }

    /**
     * {@code y = value gelu(gate)}, {@code value = rstd (x Wv^T - mean sv) + bv} and {@code gate} likewise, with mean and rstd
     * of each row of x: the layer norm is in the weights, see {@link FoldedNorm}.
     *
     * @param x       address of {@code [rows, depth]}, a multiple of 16 as are all
     * @param weights address of {@code [2 columns, depth]}: values, then gates
     * @param sums    address of float32 {@code [2 columns]}
     * @param bias    address of {@code [2 columns]}
     * @param y       address of {@code [rows, columns]}; must not overlap the others
     * @param rows    at least 1
     * @param depth   as {@link #serves} has it
     * @param columns as {@link #serves} has it
     * @param eps     added to the variance, positive or 0
     * @param stream  where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void normedGeglu(long x, long weights, long sums, long bias, long y, int rows, int depth, int columns, float eps,
                            CudaDriver.Stream stream) {
        Check.address("x", x, 16);
        Check.address("weights", weights, 16);
        Check.address("sums", sums, 16);
        Check.address("bias", bias, 16);
        Check.address("y", y, 16);
        Check.positive("rows", rows);
        Check.positive("depth", depth);
        Check.positive("columns", columns);
        if (!serves(depth, columns)) {
            throw Check.wrong("product", depth + " x " + columns + " in " + library.type(),
                    "multiples of " + DEPTH + " x " + library.chunk() + " in a 16-bit type");
        }
        Check.eps(eps);
        int rowBlocks = Math.ceilDiv(rows, ROWS);
        int columnBlocks = Math.ceilDiv(columns, COLUMNS);
        // Blocks that follow each other share their part of the larger operand, which is then read once.
        boolean sameRowsFollow = rows > 2L * columns;
        Grid grid = sameRowsFollow ? new Grid(columnBlocks, rowBlocks, 1) : new Grid(rowBlocks, columnBlocks, 1);
        library.driver().launch(library.function("gated_linear", "gated_linear", SHARED_BYTES), grid, THREADS, SHARED_BYTES,
                stream, new Parameters().int64(x).int64(weights).int64(sums).int64(bias).int64(y).int32(rows).int32(depth)
                        .int32(columns).float32(eps).int32(sameRowsFollow ? 1 : 0));
    }
}
