package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.LongStream;

/** A compiled {@link ConvolutionGraph}. */
final class GraphWay implements Dnn.Plan {
    /** Sets of addresses that are remembered: more than there are layers of one shape in a network. */
    private static final int MOST_PACKS = 32;

    private record Addresses(long x, long w, long bias, long residual, long y, long workspace) {
    }

    private final JCudnnDnn dnn;
    private final ConvolutionGraph graph;
    private final Dnn.Shape shape;
    private final Descriptor plan;
    private final long workspaceBytes;
    /** Making one takes longer than starting a kernel, so each is made once. The one that was used longest ago comes first. */
    private final Map<Addresses, Descriptor> packs = new LinkedHashMap<>(16, 0.75f, true);

    /** @throws io.invadapter.kernels.DeviceException when the proposal cannot be used */
    GraphWay(JCudnnDnn dnn, ConvolutionGraph graph, Dnn.Shape shape, EngineConfiguration proposal) {
        this.dnn = dnn;
        this.shape = shape;
        plan = graph.compile(proposal);
        try {
            workspaceBytes = plan.int64(Attribute.EXECUTION_PLAN_WORKSPACE_SIZE);
        } catch (RuntimeException e) {
            plan.close();
            throw e;
        }
        this.graph = graph.use();
    }

    @Override
    public boolean addsBias() {
        return graph.addsBias();
    }

    @Override
    public long workspaceBytes() {
        return workspaceBytes;
    }

    @Override
    public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
        Addresses addresses = new Addresses(x, w, bias, residual == 0 ? y : residual, y, workspace);
        dnn.on(stream, shape, residual, () -> plan.execute(pack(addresses)));
    }

    private Descriptor pack(Addresses addresses) {
        Descriptor known = packs.get(addresses);
        if (known == null) {
            if (packs.size() == MOST_PACKS) {
                packs.remove(packs.keySet().iterator().next()).close();
            }
            known = newPack(addresses);
            packs.put(addresses, known);
        }
        return known;
    }

    private Descriptor newPack(Addresses a) {
        LongStream.Builder names = LongStream.builder().add(ConvolutionGraph.X).add(ConvolutionGraph.W);
        LongStream.Builder pointers = LongStream.builder().add(a.x()).add(a.w());
        if (graph.addsBias()) {
            names.add(ConvolutionGraph.BIAS);
            pointers.add(a.bias());
        }
        if (graph.addsAMap()) {
            names.add(ConvolutionGraph.RESIDUAL);
            pointers.add(a.residual());
        }
        names.add(ConvolutionGraph.Y);
        pointers.add(a.y());
        Descriptor pack = new Descriptor(dnn.cudnn(), Descriptor.VARIANT_PACK);
        try {
            return pack
                    .longs(Attribute.VARIANT_PACK_UNIQUE_IDS, Descriptor.TYPE_INT64, names.build().toArray())
                    .longs(Attribute.VARIANT_PACK_DATA_POINTERS, Descriptor.TYPE_POINTER, pointers.build().toArray())
                    .longs(Attribute.VARIANT_PACK_WORKSPACE, Descriptor.TYPE_POINTER, a.workspace()).finish();
        } catch (RuntimeException e) {
            pack.close();
            throw e;
        }
    }

    @Override
    public void close() {
        dnn.release(() -> {
            packs.values().forEach(Descriptor::close);
            packs.clear();
            plan.close();
            graph.close();
        });
    }
}
