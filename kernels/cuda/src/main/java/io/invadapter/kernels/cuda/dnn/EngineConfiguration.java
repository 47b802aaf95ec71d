package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * An engine of cuDNN with its settings, as the heuristics propose it for a graph.
 *
 * @param descriptor belongs to the graph
 * @param engine     its number; engines are numbered for each kind of graph
 * @param knobs      its settings by {@code cudnnBackendKnobType_t}, as in {@code k2=16 k13=0}
 * @param numerical  {@code cudnnBackendNumericalNote_t}
 * @param behavior   {@code cudnnBackendBehaviorNote_t}
 */
record EngineConfiguration(Descriptor descriptor, long engine, String knobs, List<Integer> numerical, List<Integer> behavior) {
    static final int TENSOR_CORE = 0;
    static final int DOWN_CONVERT_INPUTS = 1;
    static final int REDUCED_PRECISION_REDUCTION = 2;
    static final int NONDETERMINISTIC = 4;
    /** Sums of transformed inputs, which are rounded on the way. */
    static final int WINOGRAD = 5;
    static final int WINOGRAD_4X4 = 6;
    static final int WINOGRAD_6X6 = 7;
    static final int WINOGRAD_13X13 = 8;
    static final int RUNTIME_COMPILATION = 0;
    static final int CUBLASLT_DEPENDENCY = 4;

    private static final List<String> NUMERICAL = List.of("tensor cores", "inputs rounded", "sums of less precision", "FFT",
            "not deterministic", "Winograd", "Winograd 4x4", "Winograd 6x6", "Winograd 13x13", "strict about NaN");
    private static final List<String> BEHAVIOR = List.of("compiled at run time", "reorders int8 filters", "reorders int8 biases",
            "native graph", "needs cublasLt");
    private static final Pattern NAME = Pattern.compile("engine (\\d{1,9})((?: k\\d{1,9}=-?\\d{1,18})*)");
    private static final Pattern KNOB = Pattern.compile(" k(\\d+)=(-?\\d+)");
    /** More than there are kinds of notes, and of knobs. */
    private static final int MOST = 64;

    /**
     * Reads what the heuristics filled in.
     *
     * @throws CudaException when that does not tell its engine
     */
    static EngineConfiguration read(Cudnn cudnn, Descriptor descriptor) {
        try (Descriptor engine = new Descriptor(cudnn, Descriptor.ENGINE)) {
            descriptor.fill(Attribute.ENGINECFG_ENGINE, List.of(engine));
            return new EngineConfiguration(descriptor, engine.int64(Attribute.ENGINE_GLOBAL_INDEX), knobs(cudnn, descriptor),
                    engine.numbers(Attribute.ENGINE_NUMERICAL_NOTE, Descriptor.TYPE_NUMERICAL_NOTE, MOST),
                    engine.numbers(Attribute.ENGINE_BEHAVIOR_NOTE, Descriptor.TYPE_BEHAVIOR_NOTE, MOST));
        }
    }

    /**
     * Made from its {@link #name()}; empty when that is no such name.
     *
     * @throws CudaException when the graph has no such engine, or the engine no such settings
     */
    static Optional<EngineConfiguration> make(Cudnn cudnn, OperationGraph graph, String name) {
        Matcher parts = NAME.matcher(name);
        if (!parts.matches()) {
            return Optional.empty();
        }
        Descriptor engine = cudnn.aim(graph.make(Descriptor.ENGINE), 0, Attribute.ENGINE_DEVICEPROP)
                .descriptors(Attribute.ENGINE_OPERATION_GRAPH, graph.whole())
                .longs(Attribute.ENGINE_GLOBAL_INDEX, Descriptor.TYPE_INT64, Long.parseLong(parts.group(1))).finish();
        Descriptor[] choices = KNOB.matcher(parts.group(2)).results()
                .map(knob -> graph.make(Descriptor.KNOB_CHOICE)
                        .number(Attribute.KNOB_CHOICE_KNOB_TYPE, Descriptor.TYPE_KNOB, Integer.parseInt(knob.group(1)))
                        .longs(Attribute.KNOB_CHOICE_KNOB_VALUE, Descriptor.TYPE_INT64, Long.parseLong(knob.group(2))).finish())
                .toArray(Descriptor[]::new);
        Descriptor configuration = graph.make(Descriptor.ENGINE_CONFIGURATION)
                .descriptors(Attribute.ENGINECFG_ENGINE, engine);
        if (choices.length > 0) {
            configuration.descriptors(Attribute.ENGINECFG_KNOB_CHOICES, choices);
        }
        return Optional.of(read(cudnn, configuration.finish())).filter(made -> made.name().equals(name));
    }

    private static String knobs(Cudnn cudnn, Descriptor configuration) {
        List<Descriptor> choices = new ArrayList<>();
        try {
            for (int i = 0; i < MOST; i++) {
                choices.add(new Descriptor(cudnn, Descriptor.KNOB_CHOICE));
            }
            long count = Math.min(MOST, configuration.fill(Attribute.ENGINECFG_KNOB_CHOICES, choices));
            TreeMap<Integer, Long> values = new TreeMap<>();
            for (Descriptor choice : choices.subList(0, (int) count)) {
                values.put(choice.numbers(Attribute.KNOB_CHOICE_KNOB_TYPE, Descriptor.TYPE_KNOB, 1).getFirst(),
                        choice.int64(Attribute.KNOB_CHOICE_KNOB_VALUE));
            }
            StringBuilder text = new StringBuilder();
            values.forEach((knob, value) -> text.append(" k").append(knob).append('=').append(value));
            return text.toString();
        } finally {
            choices.forEach(Descriptor::close);
        }
    }

    /** The same in every process. */
    String name() {
        return "engine " + engine + knobs;
    }

    boolean compiledAtRunTime() {
        return behavior.contains(RUNTIME_COMPILATION);
    }

    /** For people. */
    List<String> notes() {
        List<String> notes = new ArrayList<>();
        numerical.forEach(note -> notes.add(note < NUMERICAL.size() ? NUMERICAL.get(note) : "numerical note " + note));
        behavior.forEach(note -> notes.add(note < BEHAVIOR.size() ? BEHAVIOR.get(note) : "behavior note " + note));
        return notes;
    }
}
