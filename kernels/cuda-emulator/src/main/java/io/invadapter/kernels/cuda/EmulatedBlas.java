package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.List;

/**
 * cuBLAS and cublasLt in plain Java on an emulated device, with the checks that they make and those that they leave to luck: sizes,
 * leading dimensions, alignment, overlap, memory that is not there or was never written.
 */
public final class EmulatedBlas implements Blas {
    private static final int WORKSPACE_ALIGNMENT = 256;
    /** As much of the workspace as a product leaves scribbled over. */
    private static final long SCRIBBLED = 1 << 16;
    private static final long FUSED_WORKSPACE_BYTES = 4096;
    /** What a product pretends to take: so long that few runs of it are enough to time it. */
    private static final long NANOS = 200_000_000;
    private static final long HOST_NANOS = 4_000;

    private final EmulatorDriver driver;
    private final EmulatedMemory memory;
    private long workspace;
    private long workspaceBytes;
    private long calls;
    private long fused;
    private long fusedNanos = NANOS / 2;
    private boolean closed;

    /** On that device. */
    public EmulatedBlas(EmulatorDriver driver) {
        this.driver = driver;
        this.memory = new EmulatedMemory(driver.emulator());
    }

    /** Products of cuBLAS given so far, recorded ones once. */
    public long calls() {
        return calls;
    }

    /** Products of cublasLt given so far, recorded ones once. */
    public long fused() {
        return fused;
    }

    /** From now on a product of cublasLt pretends to take that many times what one of cuBLAS does. */
    public void fusedTakes(double times) {
        fusedNanos = (long) (NANOS * times);
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
        String name = "product " + m + " x " + n + " x " + k + (batch == 1 ? "" : ", " + batch + " times");
        driver.submit(stream, new EmulatedWork(name, () -> {
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
        }, NANOS, HOST_NANOS));
    }

    @Override
    public List<Candidate<ProductWay>> candidates(Product product) {
        checkOpen();
        return List.of(new Fused(product));
    }

    /**
     * cublasLt's way of a product, with its checks: what it is told of alignment, the scratch memory that it asked for. It
     * refuses operands that are aligned to less than 16 bytes, as cublasLt does some shapes.
     */
    private final class Fused implements Candidate<ProductWay>, ProductWay {
        private final Product product;

        Fused(Product product) {
            this.product = product;
        }

        @Override
        public String name() {
            return "emulated cuBLASLt";
        }

        @Override
        public ProductWay prepare() {
            checkOpen();
            requireLt(product.rows() > 0 && product.inFeatures() > 0 && product.outFeatures() > 0, "INVALID_VALUE", product.toString());
            requireLt(product.alignment() >= BEST_ALIGNMENT, "NOT_SUPPORTED", "no algorithm for " + product);
            return this;
        }

        @Override
        public long workspaceBytes() {
            return FUSED_WORKSPACE_BYTES;
        }

        @Override
        public void run(long x, long weight, long bias, long residual, long y, long scratch, CudaDriver.Stream stream) {
            checkOpen();
            requireLt(product.bias() == (bias != 0), "INVALID_VALUE", "bias 0x" + Long.toHexString(bias));
            requireLt(product.residual() == (residual != 0), "INVALID_VALUE", "residual 0x" + Long.toHexString(residual));
            requireLt(scratch != 0 && scratch % WORKSPACE_ALIGNMENT == 0, "INVALID_VALUE", "workspace 0x" + Long.toHexString(scratch));
            requireLt((x | weight | bias | residual | y) % product.alignment() == 0, "EXECUTION_FAILED", "misaligned");
            int in = product.inFeatures();
            int out = product.outFeatures();
            int rows = product.rows();
            DataType type = product.type();
            Operand a = new Operand("W", new Matrix(weight, in, 0), in, out, type.bytes());
            Operand b = new Operand("x", new Matrix(x, in, 0), in, rows, type.bytes());
            Operand c = new Operand("residual", new Matrix(residual, out, 0), out, rows, type.bytes());
            Operand d = new Operand("y", new Matrix(y, out, 0), out, rows, type.bytes());
            a.check(1);
            b.check(1);
            d.check(1);
            requireLt(!d.overlaps(a, 0, 0) && !d.overlaps(b, 0, 0), "EXECUTION_FAILED", "y overlaps x or W");
            // C over D would be allowed if they had one layout.
            requireLt(residual == 0 || !d.overlaps(c, 0, 0), "EXECUTION_FAILED", "y overlaps the residual");
            fused++;
            String name = "product " + out + " x " + rows + " x " + in + (product.bias() ? " + bias" : "")
                    + (product.residual() ? " + residual" : "");
            driver.submit(stream, new EmulatedWork(name, () -> {
                memory.scribble(scratch, FUSED_WORKSPACE_BYTES);
                float[] sums = new float[Math.multiplyExact(out, rows)];
                EmulatedProduct.add(out, rows, in, a.read(memory, type, 0, true), b.read(memory, type, 0, false), sums);
                float[] added = bias == 0 ? new float[out] : memory.read(type, bias, out);
                float[] before = residual == 0 ? null : c.read(memory, type, 0, false);
                for (int i = 0; i < sums.length; i++) {
                    sums[i] += added[i % out] + (before == null ? 0 : before[i]);
                }
                d.write(memory, type, 0, sums);
            }, fusedNanos, HOST_NANOS));
        }

        @Override
        public void close() {
            // It holds nothing.
        }
    }

    private static void requireLt(boolean holds, String status, String problem) {
        if (!holds) {
            throw new CudaException("cublasLtMatmul failed: CUBLAS_STATUS_" + status + " (" + problem + ")");
        }
    }

    @Override
    public void close() {
        closed = true;
    }
}
