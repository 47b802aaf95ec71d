package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;

/** A cuBLAS that fails when {@link Faults} says so, on a {@link FailingDriver}. */
final class FailingBlas implements Blas {
    private final Blas blas;
    private final Faults faults;

    FailingBlas(Blas blas, Faults faults) {
        this.blas = blas;
        this.faults = faults;
    }

    @Override
    public String description() {
        return blas.description();
    }

    @Override
    public void setWorkspace(long address, long bytes) {
        faults.call("cublasSetWorkspace");
        blas.setWorkspace(address, bytes);
    }

    @Override
    public void multiply(boolean transposeA, boolean transposeB, int m, int n, int k, float alpha, Matrix a, Matrix b, float beta,
                         Matrix c, DataType type, int batch, CudaDriver.Stream stream) {
        faults.product("cublasGemmStridedBatchedEx");
        blas.multiply(transposeA, transposeB, m, n, k, alpha, a, b, beta, c, type, batch, FailingDriver.inner(stream));
    }

    @Override
    public List<Candidate<ProductWay>> candidates(Product product) {
        faults.call("cublasLtMatmulAlgoGetHeuristic");
        return blas.candidates(product).stream().<Candidate<ProductWay>>map(candidate ->
                new FailingCandidate<>(candidate, () -> { }, way -> new FailingProduct(way, faults))).toList();
    }

    private record FailingProduct(ProductWay way, Faults faults) implements ProductWay {
        @Override
        public long workspaceBytes() {
            return way.workspaceBytes();
        }

        @Override
        public void run(long x, long weight, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
            faults.product("cublasLtMatmul");
            way.run(x, weight, bias, residual, y, workspace, FailingDriver.inner(stream));
        }

        @Override
        public void close() {
            faults.release(way::close);
        }
    }

    @Override
    public void close() {
        faults.release(blas::close);
    }
}
