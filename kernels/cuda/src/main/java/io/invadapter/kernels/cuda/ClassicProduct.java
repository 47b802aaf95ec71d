package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;

/**
 * A linear layer without cublasLt: cuBLAS's product, and what is added by a kernel of its own.
 *
 * @param pointwise of the product's type
 */
public record ClassicProduct(Blas blas, Pointwise pointwise, Blas.Product product)
        implements Candidate<Blas.ProductWay>, Blas.ProductWay {
    private boolean adds() {
        return product.bias() || product.residual();
    }

    @Override
    public String name() {
        return adds() ? "cuBLAS, then add" : "cuBLAS";
    }

    @Override
    public Blas.ProductWay prepare() {
        return this;
    }

    @Override
    public long workspaceBytes() {
        return Blas.WORKSPACE_BYTES;
    }

    @Override
    public void run(long x, long weight, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
        int in = product.inFeatures();
        int out = product.outFeatures();
        blas.setWorkspace(workspace, Blas.WORKSPACE_BYTES);
        // y = x W^T: to cuBLAS, which thinks in columns, y^T = W x^T.
        blas.multiply(true, false, out, product.rows(), in, 1, new Blas.Matrix(weight, in, 0), new Blas.Matrix(x, in, 0), 0,
                new Blas.Matrix(y, out, 0), product.type(), 1, stream);
        if (adds()) {
            pointwise.add(y, bias, Activation.NONE, residual, y, product.rows(), out, stream);
        }
    }

    @Override
    public void close() {
        // It holds nothing.
    }
}
