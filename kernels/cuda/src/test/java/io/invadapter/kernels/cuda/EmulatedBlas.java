package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;

/**
 * cuBLAS in plain Java on an emulated device, with the checks that cuBLAS makes and those that it leaves to luck: sizes,
 * leading dimensions, alignment, overlap, memory that is not there or was never written.
 */
public final class EmulatedBlas implements Blas {
    private static final int WORKSPACE_ALIGNMENT = 256;
    /** As much of the workspace as a product leaves scribbled over. */
    private static final long SCRIBBLED = 1 << 16;

    private final EmulatorDriver driver;
    private final EmulatedMemory memory;
    private long workspace;
    private long workspaceBytes;
    private long calls;
    private boolean closed;

    /** On that device. */
    public EmulatedBlas(EmulatorDriver driver) {
        this.driver = driver;
        this.memory = new EmulatedMemory(driver.emulator());
    }

    /** Products given so far, recorded ones once. */
    public long calls() {
        return calls;
    }

    @Override
    public String description() {
        return "emulated cuBLAS";
    }

    private static void require(boolean holds, String status, String problem) {
        if (!holds) {
            throw new CudaException("cublasGemmStridedBatchedEx failed: CUBLAS_STATUS_" + status + " (" + problem + ")");
        }
    }

    private void checkOpen() {
        require(!closed, "NOT_INITIALIZED", "closed");
    }

    @Override
    public void setWorkspace(long address, long bytes) {
        checkOpen();
        if (address % WORKSPACE_ALIGNMENT != 0 || bytes < 0 || address == 0 && bytes != 0) {
            throw new CudaException("cublasSetWorkspace failed: CUBLAS_STATUS_INVALID_VALUE (" + bytes + " bytes at 0x"
                    + Long.toHexString(address) + ")");
        }
        workspace = address;
        workspaceBytes = bytes;
    }

    /** The place of one matrix of a batch, checked. */
    private record Operand(String name, Matrix matrix, int rows, int columns, int bytes) {
        void check(int batch) {
            require(matrix.address() != 0, "INVALID_VALUE", name + " is null");
            require(matrix.leadingDimension() >= rows, "INVALID_VALUE", "leading dimension " + matrix.leadingDimension()
                    + " of " + name + ", which has " + rows + " rows");
            require(matrix.batchStride() >= 0, "INVALID_VALUE", "stride " + matrix.batchStride() + " of " + name);
            require(matrix.address() % bytes == 0, "EXECUTION_FAILED", name + " is misaligned: 0x"
                    + Long.toHexString(matrix.address()));
            require(!name.equals("C") || batch == 1 || matrix.batchStride() >= values(), "INVALID_VALUE",
                    "the matrices C of a batch overlap");
        }

        /** From the first to the last, gaps included. */
        long values() {
            return (long) (columns - 1) * matrix.leadingDimension() + rows;
        }

        long address(int index, int column) {
            return matrix.address()
                    + (index * matrix.batchStride() + (long) column * matrix.leadingDimension()) * bytes;
        }

        boolean overlaps(Operand other, int index, int otherIndex) {
            long mine = address(index, 0);
            long theirs = other.address(otherIndex, 0);
            if (mine + values() * bytes <= theirs || theirs + other.values() * bytes <= mine) {
                return false;
            }
            if (matrix.leadingDimension() == other.matrix.leadingDimension()) {
                // Different rows of the same larger matrix?
                int distance = (int) Math.floorMod((theirs - mine) / bytes, (long) matrix.leadingDimension());
                return distance < rows || distance + other.rows > matrix.leadingDimension();
            }
            return true;
        }

        /** All of one matrix, dense, or its transpose. */
        float[] read(EmulatedMemory memory, DataType type, int index, boolean transposed) {
            float[] all = new float[Math.multiplyExact(rows, columns)];
            if (!transposed) {
                if (matrix.leadingDimension() == rows) {
                    memory.read(type, address(index, 0), all, 0, all.length);
                } else {
                    for (int column = 0; column < columns; column++) {
                        memory.read(type, address(index, column), all, column * rows, rows);
                    }
                }
                return all;
            }
            float[] dense = read(memory, type, index, false);
            for (int column = 0; column < columns; column++) {
                for (int row = 0; row < rows; row++) {
                    all[row * columns + column] = dense[column * rows + row];
                }
            }
            return all;
        }

        void write(EmulatedMemory memory, DataType type, int index, float[] all) {
            if (matrix.leadingDimension() == rows) {
                memory.write(type, address(index, 0), all, 0, all.length);
            } else {
                for (int column = 0; column < columns; column++) {
                    memory.write(type, address(index, column), all, column * rows, rows);
                }
            }
        }
    }

    @Override
    public void multiply(boolean transposeA, boolean transposeB, int m, int n, int k, float alpha, Matrix a, Matrix b, float beta,
                         Matrix c, DataType type, int batch, CudaDriver.Stream stream) {
        checkOpen();
        require(m > 0 && n > 0 && k > 0 && batch > 0, "INVALID_VALUE", "m " + m + ", n " + n + ", k " + k + ", batch " + batch);
        Operand first = new Operand("A", a, transposeA ? k : m, transposeA ? m : k, type.bytes());
        Operand second = new Operand("B", b, transposeB ? n : k, transposeB ? k : n, type.bytes());
        Operand result = new Operand("C", c, m, n, type.bytes());
        first.check(batch);
        second.check(batch);
        result.check(batch);
        for (int i = 0; i < batch; i++) {
            for (int j = 0; j < batch; j++) {
                require(!result.overlaps(first, i, j), "EXECUTION_FAILED", "C overlaps A");
                require(!result.overlaps(second, i, j), "EXECUTION_FAILED", "C overlaps B");
            }
        }
        require(workspaceBytes > 0 || !driver.isRecording(stream), "ALLOC_FAILED",
                "without a workspace cuBLAS allocates one, which cannot be recorded");
        calls++;
        long scratch = workspace;
        long scratchBytes = workspaceBytes;
        driver.submit("product " + m + " x " + n + " x " + k + (batch == 1 ? "" : ", " + batch + " times"), stream, () -> {
            memory.scribble(scratch, Math.min(scratchBytes, SCRIBBLED));
            for (int i = 0; i < batch; i++) {
                float[] sums = new float[Math.multiplyExact(m, n)];
                // BLAS does not read what is multiplied by zero.
                if (alpha != 0) {
                    EmulatedProduct.add(m, n, k, first.read(memory, type, i, transposeA),
                            second.read(memory, type, i, transposeB), sums);
                }
                float[] before = beta == 0 ? null : result.read(memory, type, i, false);
                for (int j = 0; j < sums.length; j++) {
                    sums[j] = alpha * sums[j] + (before == null ? 0 : beta * before[j]);
                }
                result.write(memory, type, i, sums);
            }
        });
    }

    @Override
    public void close() {
        closed = true;
    }
}
