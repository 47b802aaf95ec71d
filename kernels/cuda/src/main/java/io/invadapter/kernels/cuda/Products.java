package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
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
    private final CudaDriver driver;
    private final CudaDriver.Stream stream;
    private final Blas blas;
    private final Pointwise pointwise;
    private final Workspace workspace;
    private final Chooser chooser;
    private final DataType type;
    private final Map<Blas.Product, Choice<Blas.ProductWay>> choices = new HashMap<>();

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
        blas.setWorkspace(workspace.address(Blas.WORKSPACE_BYTES), Blas.WORKSPACE_BYTES);
        blas.multiply(false, false, m, n, k, 1, a, b, 0, c, type, batch, stream);
    }

    /** A product that can be computed in more than one way. */
    private final class Work implements Offer<Blas.ProductWay> {
        private final Blas.Product product;

        Work(Blas.Product product) {
            this.product = product;
        }

        @Override
        public String key() {
            return product.key();
        }

        @Override
        public Iterable<Candidate<Blas.ProductWay>> candidates() {
            List<Candidate<Blas.ProductWay>> all = new ArrayList<>(blas.candidates(product));
            all.add(new ClassicProduct(blas, pointwise, product));
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

    @Override
    public void close() {
        choices.values().forEach(choice -> choice.way().close());
        choices.clear();
    }
}
