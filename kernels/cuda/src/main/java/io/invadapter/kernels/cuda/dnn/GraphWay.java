package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.List;

/** A compiled {@link ConvolutionGraph}. */
final class GraphWay implements Way {
    private final Cudnn cudnn;
    private final Descriptor plan;
    private final boolean residual;
    private final long workspaceBytes;
    private final String name;

    private GraphWay(Cudnn cudnn, Descriptor plan, boolean residual, long workspaceBytes, String name) {
        this.cudnn = cudnn;
        this.plan = plan;
        this.residual = residual;
        this.workspaceBytes = workspaceBytes;
        this.name = name;
    }

    /** Compiles a configuration; null when it cannot be used here, or needs more memory than it may have. */
    static GraphWay compile(Cudnn cudnn, Descriptor configuration, boolean residual, long workspaceLimit) {
        Descriptor plan = new Descriptor(cudnn, Descriptor.EXECUTION_PLAN);
        try {
            plan.longs(Attribute.EXECUTION_PLAN_HANDLE, Descriptor.TYPE_HANDLE, cudnn.address())
                    .descriptors(Attribute.EXECUTION_PLAN_ENGINE_CONFIG, configuration).finish();
            long bytes = plan.int64(Attribute.EXECUTION_PLAN_WORKSPACE_SIZE);
            if (bytes <= workspaceLimit) {
                return new GraphWay(cudnn, plan, residual, bytes, "graph engine " + engine(cudnn, configuration));
            }
        } catch (CudaException e) {
            // Proposals are not promises: the next one may do.
        }
        plan.close();
        return null;
    }

    private static long engine(Cudnn cudnn, Descriptor configuration) {
        try (Descriptor engine = new Descriptor(cudnn, Descriptor.ENGINE)) {
            configuration.fill(Attribute.ENGINECFG_ENGINE, List.of(engine));
            return engine.int64(Attribute.ENGINE_GLOBAL_INDEX);
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void run(long x, long w, long bias, long residualAddress, long y, long workspace) {
        try (Descriptor variant = new Descriptor(cudnn, Descriptor.VARIANT_PACK)) {
            if (residual) {
                variant.longs(Attribute.VARIANT_PACK_UNIQUE_IDS, Descriptor.TYPE_INT64, ConvolutionGraph.X,
                        ConvolutionGraph.W, ConvolutionGraph.BIAS, ConvolutionGraph.RESIDUAL, ConvolutionGraph.Y);
                variant.longs(Attribute.VARIANT_PACK_DATA_POINTERS, Descriptor.TYPE_POINTER, x, w, bias, residualAddress, y);
            } else {
                variant.longs(Attribute.VARIANT_PACK_UNIQUE_IDS, Descriptor.TYPE_INT64, ConvolutionGraph.X,
                        ConvolutionGraph.W, ConvolutionGraph.BIAS, ConvolutionGraph.Y);
                variant.longs(Attribute.VARIANT_PACK_DATA_POINTERS, Descriptor.TYPE_POINTER, x, w, bias, y);
            }
            plan.execute(variant.longs(Attribute.VARIANT_PACK_WORKSPACE, Descriptor.TYPE_POINTER, workspace).finish());
        }
    }

    @Override
    public void close() {
        plan.close();
    }
}
