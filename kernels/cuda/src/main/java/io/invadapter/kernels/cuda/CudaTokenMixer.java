package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.blas.Blas;

/** A matrix that mixes tokens, {@code A [outTokens, inTokens]}, and how it is multiplied. */
final class CudaTokenMixer implements CudaWeights, Device.TokenMixer {
    private final CudaPacker packer;
    private final CudaDevice device;
    private final int inTokens;
    private final int outTokens;
    private final long weight;

    CudaTokenMixer(CudaPacker packer, HostTensor weight) {
        this.packer = packer;
        this.device = packer.device();
        this.outTokens = weight.shape()[0];
        this.inTokens = weight.shape()[1];
        this.weight = packer.memory().store(device.precision().type(), weight);
    }

    @Override
    public CudaPacker packer() {
        return packer;
    }

    @Override
    public int inTokens() {
        return inTokens;
    }

    @Override
    public int outTokens() {
        return outTokens;
    }

    Tensor run(Arguments arguments, Tensor x) {
        Tensor y = device.allocate(x.type(), arguments.mixTokens(x, this));
        int channels = x.channels();
        // y^T = x^T A^T for each row of the batch.
        device.products().multiply(channels, outTokens, inTokens,
                new Blas.Matrix(x.address(), channels, (long) inTokens * channels), new Blas.Matrix(weight, inTokens, 0),
                new Blas.Matrix(y.address(), channels, (long) outTokens * channels), x.batch());
        return y;
    }
}
