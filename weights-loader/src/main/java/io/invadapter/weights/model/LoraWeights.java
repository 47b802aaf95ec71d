package io.invadapter.weights.model;

import io.invadapter.weights.DType;
import io.invadapter.weights.ForwardingSource;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The weights of one part of a model with what LoRAs change in them, computed when they are asked for, float32. The last one is kept,
 * for the networks look at a weight's shape first. Closing it does nothing: the files belong to whoever opened them.
 */
final class LoraWeights extends ForwardingSource {

    /** One LoRA in one tensor. @param file of the LoRA, for messages @param scale the user's */
    record Use(String file, LoraLayer.Change change, Optional<LoraLayer.Lengths> lengths, double scale) {
    }

    /** Of float16. No network has weights near it, so what is larger is a mistake in other types too. */
    private static final float LARGEST = 65504;

    private final Map<String, List<Use>> changes = new LinkedHashMap<>();
    private WeightTensor last;

    private LoraWeights(WeightSource base) {
        super(base);
    }

    /** @param added by the names of {@code weights} */
    static WeightSource over(WeightSource weights, Map<String, Use> added) {
        LoraWeights result = new LoraWeights(weights instanceof LoraWeights below ? below.target() : weights);
        if (weights instanceof LoraWeights below) {
            below.changes.forEach((name, uses) -> result.changes.put(name, new ArrayList<>(uses)));
        }
        added.forEach((name, use) -> result.changes.computeIfAbsent(name, none -> new ArrayList<>()).add(use));
        return result;
    }

    /** A tensor as it is without any LoRA. */
    static WeightTensor unchanged(WeightSource weights, String name) {
        return weights instanceof LoraWeights changed ? changed.target().tensor(name) : weights.tensor(name);
    }

    @Override
    public synchronized WeightTensor tensor(String name) {
        List<Use> uses = changes.get(name);
        if (uses == null) {
            return target().tensor(name);
        }
        if (last == null || !last.name().equals(name)) {
            last = null;
            WeightTensor tensor = target().tensor(name);
            float[] values = tensor.toFloats();
            int columns = (int) (tensor.elements() / tensor.shape()[0]);
            boolean usual = largest(values) <= LARGEST;
            for (Use use : uses) {
                apply(use, values, columns, tensor.shape());
                float now = largest(values);
                if (usual && !(now <= LARGEST)) {
                    throw new WeightException(use.file + ": at the scale " + use.scale + " it makes values of up to " + now + " in '" + name
                            + "', where " + (int) LARGEST + " is the most that float16 holds");
                }
            }
            last = WeightTensor.of(name, DType.F32, MemorySegment.ofArray(values), tensor.shape());
        }
        return last;
    }

    /** The largest magnitude; NaN where there is one. */
    private static float largest(float[] values) {
        int largest = 0;
        for (float value : values) {
            // Magnitudes are in the order of their bits, and NaN is behind them all.
            largest = Math.max(largest, Float.floatToRawIntBits(value) & Integer.MAX_VALUE);
        }
        return Float.intBitsToFloat(largest);
    }

    private static void apply(Use use, float[] values, int columns, long[] shape) {
        Rows rows = use.change.rows().get();
        if (use.lengths.isEmpty()) {
            Rows.add(rows, (float) (use.scale * use.change.scale()), values, columns);
            return;
        }
        float[] changed = values.clone();
        Rows.add(rows, (float) use.change.scale(), changed, columns);
        setLengths(changed, use.lengths.get(), columns, shape);
        for (int i = 0; i < values.length; i++) {
            values[i] += (float) use.scale * (changed[i] - values[i]);
        }
    }

    /** Of each row, or of what belongs to each input channel. */
    private static void setLengths(float[] values, LoraLayer.Lengths lengths, int columns, long[] shape) {
        float[] wanted = lengths.values().toFloats();
        int kernel = lengths.ofRows() ? columns : (int) (columns / shape[1]);
        double[] squares = new double[wanted.length];
        for (int i = 0; i < values.length; i++) {
            squares[vector(i, lengths, columns, kernel)] += (double) values[i] * values[i];
        }
        for (int i = 0; i < values.length; i++) {
            int vector = vector(i, lengths, columns, kernel);
            values[i] *= (float) (wanted[vector] / Math.max(Math.sqrt(squares[vector]), Float.MIN_NORMAL));
        }
    }

    private static int vector(int element, LoraLayer.Lengths lengths, int columns, int kernel) {
        return lengths.ofRows() ? element / columns : element % columns / kernel;
    }

    @Override
    public void close() {
        last = null;
    }
}
