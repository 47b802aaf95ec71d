package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Choice;
import io.invadapter.kernels.cuda.choice.Chooser;
import io.invadapter.kernels.cuda.choice.Offer;
import io.invadapter.kernels.cuda.choice.TrialMemory;
import io.invadapter.kernels.cuda.choice.Workspace;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Matrix products. One with what is added to it is a single launch of cublasLt where that is fastest, else cuBLAS's product and
 * a kernel that adds; which, is chosen once for each size.
 */
final class Products implements AutoCloseable {
    /** What NVIDIA recommends for compute capability 9.0; older chips need less. */
    private static final long BLAS_WORKSPACE_BYTES = 32L << 20;

    private final CudaDriver driver;
    private final CudaDriver.Stream stream;
    private final Blas blas;
    private final Pointwise pointwise;
    private final Workspace workspace;
    private final Chooser chooser;
    private final DataType type;
    private final Map<Blas.Product, Choice<Blas.ProductWay>> choices = new HashMap<>();
    /** What cuBLAS was given last. */
    private long blasWorkspace;

    /** @param pointwise of the type of all matrices */
    Products(CudaDriver driver, CudaDriver.Stream stream, Blas blas, Pointwise pointwise, Workspace workspace, Chooser chooser,
             DataType type) {
        this.driver = driver;
        this.stream = stream;
        this.blas = blas;
        this.pointwise = pointwise;
        this.workspace = workspace;
        this.chooser = chooser;
        this.type = type;
    }

    /**
     * {@code y = x W^T + bias + residual}, all by their addresses; bias and residual may be 0.
     *
     * @param rows of x and y
     * @param in   columns of x and W
     * @param out  columns of y, rows of W
     */
    void linear(long x, long weight, long bias, long residual, long y, int rows, int in, int out) {
        Blas.Product product = new Blas.Product(type, rows, in, out, bias != 0, residual != 0,
                (int) Math.min(Blas.BEST_ALIGNMENT, Long.lowestOneBit(x | weight | bias | residual | y)));
        Choice<Blas.ProductWay> choice = choices.get(product);
        if (choice == null) {
            choice = chooser.choose(new Work(product));
            choices.put(product, choice);
        }
        Blas.ProductWay way = choice.way();
        way.run(x, weight, bias, residual, y, workspace.address(way.workspaceBytes()), stream);
    }

    /** {@code C = A B} in columns for each of a batch. */
    void multiply(int m, int n, int k, Blas.Matrix a, Blas.Matrix b, Blas.Matrix c, int batch) {
        multiply(false, m, n, k, a, b, c, batch, workspace.address(BLAS_WORKSPACE_BYTES), stream);
    }

    private void multiply(boolean transposeA, int m, int n, int k, Blas.Matrix a, Blas.Matrix b, Blas.Matrix c, int batch, long scratch,
                          CudaDriver.Stream on) {
        if (scratch != blasWorkspace) {
            blas.setWorkspace(scratch, BLAS_WORKSPACE_BYTES);
            blasWorkspace = scratch;
        }
        blas.multiply(transposeA, false, m, n, k, 1, a, b, 0, c, type, batch, on);
    }

    /** A product that can be computed in more than one way. */
    private final class Work implements Offer<Blas.ProductWay> {
        private final Blas.Product product;

        Work(Blas.Product product) {
            this.product = product;
        }

        @Override
        public String key() {
            return "product " + product;
        }

        @Override
        public Iterable<Candidate<Blas.ProductWay>> candidates() {
            List<Candidate<Blas.ProductWay>> all = new ArrayList<>(blas.candidates(product));
            all.add(new Classic(product));
            return all;
        }

        @Override
        public Trial<Blas.ProductWay> trial() {
            TrialMemory memory = new TrialMemory(driver);
            long rows = product.rows() * (long) type.bytes();
            long x = memory.block(rows * product.inFeatures());
            long weight = memory.block((long) product.outFeatures() * product.inFeatures() * type.bytes());
            long bias = product.bias() ? memory.block((long) product.outFeatures() * type.bytes()) : 0;
            long residual = product.residual() ? memory.block(rows * product.outFeatures()) : 0;
            long y = memory.block(rows * product.outFeatures());
            return new Trial<>() {
                @Override
                public void run(Blas.ProductWay way, long scratch, CudaDriver.Stream on) {
                    way.run(x, weight, bias, residual, y, scratch, on);
                }

                @Override
                public void close() {
                    memory.close();
                }
            };
        }
    }

    /** cuBLAS's product, and what is added by a kernel of its own. */
    private final class Classic implements Candidate<Blas.ProductWay>, Blas.ProductWay {
        private final Blas.Product product;

        Classic(Blas.Product product) {
            this.product = product;
        }

        private boolean adds() {
            return product.bias() || product.residual();
        }

        @Override
        public String name() {
            return adds() ? "cuBLAS, then add" : "cuBLAS";
        }

        @Override
        public List<String> notes() {
            return List.of();
        }

        @Override
        public boolean compiledAtRunTime() {
            return false;
        }

        @Override
        public Blas.ProductWay prepare() {
            return this;
        }

        @Override
        public long workspaceBytes() {
            return BLAS_WORKSPACE_BYTES;
        }

        @Override
        public void run(long x, long weight, long bias, long residual, long y, long scratch, CudaDriver.Stream on) {
            int in = product.inFeatures();
            int out = product.outFeatures();
            // y = x W^T: to cuBLAS, which thinks in columns, y^T = W x^T.
            multiply(true, out, product.rows(), in, new Blas.Matrix(weight, in, 0), new Blas.Matrix(x, in, 0), new Blas.Matrix(y, out, 0),
                    1, scratch, on);
            if (adds()) {
                pointwise.add(y, bias, Activation.NONE, 0, residual, y, 1, product.rows(), out, on);
            }
        }

        @Override
        public void close() {
            // It holds nothing.
        }
    }

    @Override
    public void close() {
        choices.values().forEach(choice -> choice.way().close());
        choices.clear();
    }
}
