package io.invadapter.kernels.cuda.dnn;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A compiled {@link AttentionGraph}. */
final class FusedAttention implements Dnn.AttentionPlan {
    private static final long[] IDS =
            {AttentionGraph.Q, AttentionGraph.K, AttentionGraph.V, AttentionGraph.SCALE, AttentionGraph.OUT};

    private final JCudnnDnn dnn;
    private final CompiledGraph compiled;
    private final Arena arena = Arena.ofShared();
    /** cuDNN reads it on the host, when a run is given to the stream. */
    private final MemorySegment scale;

    /** @throws io.invadapter.kernels.DeviceException when the proposal cannot be used */
    FusedAttention(JCudnnDnn dnn, AttentionGraph graph, Dnn.AttentionShape shape, EngineConfiguration proposal) {
        this.dnn = dnn;
        compiled = new CompiledGraph(dnn.cudnn(), graph, proposal);
        scale = arena.allocateFrom(JAVA_FLOAT, shape.scale());
    }

    @Override
    public long workspaceBytes() {
        return compiled.workspaceBytes();
    }

    @Override
    public void run(long q, long k, long v, long out, long workspace, CudaDriver.Stream stream) {
        dnn.on(stream, () -> compiled.run(IDS, new long[] {q, k, v, scale.address(), out}, workspace));
    }

    @Override
    public void close() {
        dnn.release(compiled::close);
        arena.close();
    }
}
