package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.stream.LongStream;

/** A compiled {@link ConvolutionGraph}. */
final class GraphWay implements Dnn.Plan {
    private final JCudnnDnn dnn;
    private final ConvolutionGraph graph;
    private final Dnn.Shape shape;
    private final CompiledGraph compiled;
    private final long[] names;

    /** @throws io.invadapter.kernels.DeviceException when the proposal cannot be used */
    GraphWay(JCudnnDnn dnn, ConvolutionGraph graph, Dnn.Shape shape, EngineConfiguration proposal) {
        this.dnn = dnn;
        this.graph = graph;
        this.shape = shape;
        compiled = new CompiledGraph(dnn.cudnn(), graph, proposal);
        names = used(ConvolutionGraph.X, ConvolutionGraph.W, ConvolutionGraph.BIAS, ConvolutionGraph.RESIDUAL, ConvolutionGraph.Y);
    }

    /** Of five numbers for the operands those that the graph has. */
    private long[] used(long x, long w, long bias, long residual, long y) {
        LongStream.Builder used = LongStream.builder().add(x).add(w);
        if (graph.addsBias()) {
            used.add(bias);
        }
        if (graph.addsAMap()) {
            used.add(residual);
        }
        return used.add(y).build().toArray();
    }

    @Override
    public boolean addsBias() {
        return graph.addsBias();
    }

    @Override
    public long workspaceBytes() {
        return compiled.workspaceBytes();
    }

    @Override
    public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
        long[] addresses = used(x, w, bias, residual == 0 ? y : residual, y);
        dnn.on(stream, shape, residual, () -> compiled.run(names, addresses, workspace));
    }

    @Override
    public void close() {
        dnn.release(compiled::close);
    }
}
