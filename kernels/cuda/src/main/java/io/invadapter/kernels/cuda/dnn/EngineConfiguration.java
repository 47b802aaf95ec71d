package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

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
    static final int RUNTIME_COMPILATION = 0;
    static final int CUBLASLT_DEPENDENCY = 4;

    private static final List<String> NUMERICAL = List.of("tensor cores", "inputs rounded", "sums of less precision", "FFT",
            "not deterministic", "Winograd", "Winograd 4x4", "Winograd 6x6", "Winograd 13x13", "strict about NaN");
    private static final List<String> BEHAVIOR = List.of("compiled at run time", "reorders int8 filters", "reorders int8 biases",
            "native graph", "needs cublasLt");
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
