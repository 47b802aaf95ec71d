package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What cuDNN is to compute: a graph of operations between tensors, of which the virtual ones are never in memory. Gives the engine
 * configurations that may compute it. Closed when the last of those that use it, the maker included, has closed it.
 */
abstract class OperationGraph implements AutoCloseable {
    /** {@code cudnnBackendHeurMode_t}: the decision tree, the neural net, whatever works at all. */
    private static final List<Integer> HEURISTICS = List.of(3, 1, 2);
    /** With that many proposals the next of the heuristics is not asked: the neural net takes long. */
    private static final int ENOUGH = 4;
    /** Of the 40 that are usual; reading one takes some hundred calls, and fewer will be tried. */
    private static final int MOST_PROPOSALS = 12;
    private static final Set<Integer> UNWANTED = Set.of(EngineConfiguration.DOWN_CONVERT_INPUTS,
            EngineConfiguration.REDUCED_PRECISION_REDUCTION, EngineConfiguration.NONDETERMINISTIC, EngineConfiguration.WINOGRAD,
            EngineConfiguration.WINOGRAD_4X4, EngineConfiguration.WINOGRAD_6X6, EngineConfiguration.WINOGRAD_13X13);

    /** Bytes; {@link Dnn} promises it of every address. */
    private static final int ALIGNMENT = 16;

    private final Cudnn cudnn;
    private final DataType type;
    private final List<Descriptor> made = new ArrayList<>();
    private final List<Descriptor> operations = new ArrayList<>();
    /** All of it, once the first engine is asked for. */
    private Descriptor whole;
    private int users = 1;

    /** @param type of the operands in memory */
    OperationGraph(Cudnn cudnn, DataType type) {
        this.cudnn = cudnn;
        this.type = type;
    }

    final Descriptor make(int kind) {
        Descriptor descriptor = new Descriptor(cudnn, kind);
        made.add(descriptor);
        return descriptor;
    }

    /** Appends an operation that has all its attributes; cuDNN checks it without a GPU. */
    final void append(Descriptor operation) {
        operations.add(operation.finish());
    }

    /** Sizes and strides, in values, of as many dimensions as the operation has; not finished. */
    final Descriptor tensor(long id, int elementType, boolean virtual, long[] sizes, long[] strides) {
        return make(Descriptor.TENSOR)
                .longs(Attribute.TENSOR_UNIQUE_ID, Descriptor.TYPE_INT64, id)
                .number(Attribute.TENSOR_DATA_TYPE, Descriptor.TYPE_DATA_TYPE, elementType)
                .longs(Attribute.TENSOR_DIMENSIONS, Descriptor.TYPE_INT64, sizes)
                .longs(Attribute.TENSOR_STRIDES, Descriptor.TYPE_INT64, strides)
                .longs(Attribute.TENSOR_BYTE_ALIGNMENT, Descriptor.TYPE_INT64, ALIGNMENT)
                .truth(Attribute.TENSOR_IS_VIRTUAL, virtual);
    }

    /**
     * Appends an operation on each value, in float32.
     *
     * @param mode {@code cudnnPointwiseMode_t}
     * @param b    null for an operation of one operand
     */
    final void pointwise(int mode, Descriptor x, Descriptor b, Descriptor y) {
        Descriptor pointwise = make(Descriptor.POINTWISE)
                .number(Attribute.POINTWISE_MODE, Descriptor.TYPE_POINTWISE_MODE, mode)
                .number(Attribute.POINTWISE_MATH_PREC, Descriptor.TYPE_DATA_TYPE, Cudnn.DATA_FLOAT).finish();
        Descriptor operation = make(Descriptor.OPERATION_POINTWISE)
                .descriptors(Attribute.OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise)
                .descriptors(Attribute.OPERATION_POINTWISE_XDESC, x);
        if (b != null) {
            operation.descriptors(Attribute.OPERATION_POINTWISE_BDESC, b);
        }
        append(operation.descriptors(Attribute.OPERATION_POINTWISE_YDESC, y));
    }

    /**
     * Engines that keep the promise of float32 sums, the same result every time, and plain float32 products for float32 operands,
     * each with the settings that the heuristics propose, best first.
     *
     * @throws CudaException when cuDNN has nothing for such a graph
     */
    List<EngineConfiguration> proposals() {
        Descriptor graph = whole();
        Map<String, EngineConfiguration> proposals = new LinkedHashMap<>();
        for (int mode : HEURISTICS) {
            if (proposals.size() < ENOUGH) {
                Iterator<Descriptor> configurations = configurations(graph, mode).iterator();
                while (configurations.hasNext() && proposals.size() < MOST_PROPOSALS) {
                    read(configurations.next()).filter(this::exact)
                            .ifPresent(proposal -> proposals.putIfAbsent(proposal.name(), proposal));
                }
            }
        }
        return List.copyOf(proposals.values());
    }

    /**
     * The engine and settings of that name, whether the heuristics propose them or not; empty when cuDNN has no such engine for the
     * graph, or it breaks the promises above.
     */
    Optional<EngineConfiguration> named(String name) {
        try {
            return EngineConfiguration.make(cudnn, this, name).filter(this::exact);
        } catch (CudaException e) {
            return Optional.empty();
        }
    }

    /** The descriptor of all operations together. */
    final Descriptor whole() {
        if (whole == null) {
            whole = cudnn.aim(make(Descriptor.OPERATION_GRAPH), Attribute.OPERATIONGRAPH_HANDLE, 0)
                    .descriptors(Attribute.OPERATIONGRAPH_OPS, operations.toArray(Descriptor[]::new)).finish();
        }
        return whole;
    }

    /** What cuDNN does not tell all of is not used. */
    private Optional<EngineConfiguration> read(Descriptor configuration) {
        try {
            return Optional.of(EngineConfiguration.read(cudnn, configuration));
        } catch (CudaException e) {
            return Optional.empty();
        }
    }

    /** What cuDNN proposes, best first. */
    private List<Descriptor> configurations(Descriptor graph, int mode) {
        try {
            Descriptor heuristics = cudnn.aim(make(Descriptor.HEURISTICS), 0, Attribute.ENGINEHEUR_DEVICEPROP)
                    .descriptors(Attribute.ENGINEHEUR_OPERATION_GRAPH, graph)
                    .number(Attribute.ENGINEHEUR_MODE, Descriptor.TYPE_HEURISTIC_MODE, mode).finish();
            List<Descriptor> configurations = new ArrayList<>();
            for (long i = heuristics.count(Attribute.ENGINEHEUR_RESULTS); i > 0; i--) {
                configurations.add(make(Descriptor.ENGINE_CONFIGURATION));
            }
            return configurations.isEmpty() ? List.of()
                    : configurations.subList(0, (int) Math.min(configurations.size(),
                    heuristics.fill(Attribute.ENGINEHEUR_RESULTS, configurations)));
        } catch (CudaException e) {
            // This mode has nothing to say on such a graph.
            return List.of();
        }
    }

    /**
     * Makes a plan of a proposal, which may compile a kernel.
     *
     * @throws io.invadapter.kernels.DeviceException when it cannot be used: proposals are not promises
     */
    Descriptor compile(EngineConfiguration proposal) {
        Descriptor plan = new Descriptor(cudnn, Descriptor.EXECUTION_PLAN);
        try {
            return cudnn.aim(plan, Attribute.EXECUTION_PLAN_HANDLE, Attribute.EXECUTION_PLAN_DEVICEPROP)
                    .descriptors(Attribute.EXECUTION_PLAN_ENGINE_CONFIG, proposal.descriptor()).finish();
        } catch (RuntimeException e) {
            plan.close();
            throw e;
        }
    }

    private boolean exact(EngineConfiguration proposal) {
        return Collections.disjoint(proposal.numerical(), UNWANTED)
                && !(type == DataType.FLOAT32 && proposal.numerical().contains(EngineConfiguration.TENSOR_CORE));
    }

    /** One more that closes it. */
    OperationGraph use() {
        users++;
        return this;
    }

    @Override
    public void close() {
        if (--users <= 0) {
            made.reversed().forEach(Descriptor::close);
            made.clear();
        }
    }
}
