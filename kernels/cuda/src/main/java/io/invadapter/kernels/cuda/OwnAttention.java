package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;

/**
 * This module's kernel for an attention that cuDNN may compute as well: one of the candidates.
 *
 * @param kernels of the shape's type
 */
public record OwnAttention(Attention kernels, Dnn.AttentionShape shape) implements Candidate<Dnn.AttentionPlan>, Dnn.AttentionPlan {
    @Override
    public String name() {
        return "own kernel";
    }

    @Override
    public List<String> notes() {
        return List.of("tensor cores");
    }

    @Override
    public Dnn.AttentionPlan prepare() {
        return this;
    }

    @Override
    public long workspaceBytes() {
        return 0;
    }

    @Override
    public void run(long q, long k, long v, long out, long workspace, CudaDriver.Stream stream) {
        kernels.attention(at(q, shape.q()), at(k, shape.k()), at(v, shape.v()), at(out, shape.out()),
                new Attention.Shape(shape.batch(), shape.heads(), shape.queries(), shape.keys(), shape.headSize(), shape.scale()),
                false, stream);
    }

    private static Strided at(long address, Dnn.Strides strides) {
        return new Strided(address, strides.batch(), Math.toIntExact(strides.token()), Math.toIntExact(strides.head()));
    }

    @Override
    public void close() {
        // The kernels belong to the driver.
    }
}
