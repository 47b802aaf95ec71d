package io.invadapter.kernels.cuda.dnn;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/** An {@link OperationGraph} compiled with one engine. One thread at a time. */
final class CompiledGraph implements AutoCloseable {
    /** Sets of addresses that are remembered: more than there are layers of one shape in a network. */
    private static final int MOST_PACKS = 32;

    private final Cudnn cudnn;
    private final OperationGraph graph;
    private final Descriptor plan;
    private final long workspaceBytes;
    /** Making one takes longer than starting a kernel, so each is made once. The one that was used longest ago comes first. */
    private final Map<List<Long>, Descriptor> packs = new LinkedHashMap<>(16, 0.75f, true);

    /** @throws io.invadapter.kernels.DeviceException when the proposal cannot be used */
    CompiledGraph(Cudnn cudnn, OperationGraph graph, EngineConfiguration proposal) {
        this.cudnn = cudnn;
        plan = graph.compile(proposal);
        try {
            workspaceBytes = plan.int64(Attribute.EXECUTION_PLAN_WORKSPACE_SIZE);
        } catch (RuntimeException e) {
            plan.close();
            throw e;
        }
        this.graph = graph.use();
    }

    long workspaceBytes() {
        return workspaceBytes;
    }

    /**
     * Gives one run to the handle's stream.
     *
     * @param ids       the tensors that are not virtual, as the graph names them
     * @param addresses theirs, in the same order
     */
    void run(long[] ids, long[] addresses, long workspace) {
        List<Long> key = LongStream.concat(Arrays.stream(addresses), LongStream.of(workspace)).boxed().toList();
        Descriptor pack = packs.get(key);
        if (pack == null) {
            if (packs.size() == MOST_PACKS) {
                packs.remove(packs.keySet().iterator().next()).close();
            }
            pack = newPack(ids, addresses, workspace);
            packs.put(key, pack);
        }
        plan.execute(pack);
    }

    private Descriptor newPack(long[] ids, long[] addresses, long workspace) {
        Descriptor pack = new Descriptor(cudnn, Descriptor.VARIANT_PACK);
        try {
            return pack.longs(Attribute.VARIANT_PACK_UNIQUE_IDS, Descriptor.TYPE_INT64, ids)
                    .longs(Attribute.VARIANT_PACK_DATA_POINTERS, Descriptor.TYPE_POINTER, addresses)
                    .longs(Attribute.VARIANT_PACK_WORKSPACE, Descriptor.TYPE_POINTER, workspace).finish();
        } catch (RuntimeException e) {
            pack.close();
            throw e;
        }
    }

    @Override
    public void close() {
        packs.values().forEach(Descriptor::close);
        packs.clear();
        plan.close();
        graph.close();
    }
}
