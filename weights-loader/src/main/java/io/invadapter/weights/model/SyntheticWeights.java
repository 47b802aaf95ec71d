package io.invadapter.weights.model;

import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Weights that any language can make, the same bits everywhere, for tests and benchmarks at full size without a download.
 * Element {@code i} of a tensor is {@code (2u - 1) sqrt(3) std + mean}, rounded to float16, where u is the upper 24 bits of
 * SplitMix64's finaliser of {@code fnv1a64(name) + (i + 1) golden}. Mean and standard deviation follow from name and rank.
 *
 * <p>Tensors are made when asked for; only the last one is kept.
 */
public final class SyntheticWeights implements WeightSource {
    private static final long GOLDEN = 0x9E3779B97F4A7C15L;
    private static final int CHUNK = 1 << 18;
    /** Elements that repeat: prime, so that no row of a matrix is like the next. */
    private static final int BLOCK = 65_521;

    private final String description;
    private final Map<String, long[]> shapes;
    private final boolean onDemand;
    private final boolean repeating;
    private final Map<Distribution, MemorySegment> repeated = new HashMap<>();
    private WeightTensor last;

    private record Distribution(double standardDeviation, double mean) {
    }

    private SyntheticWeights(String description, Map<String, long[]> shapes, boolean onDemand, boolean repeating) {
        this.description = description;
        this.shapes = shapes;
        this.onDemand = onDemand;
        this.repeating = repeating;
    }

    /** @param shapesJson an object of names, each with its shape as a list */
    public static SyntheticWeights of(Path shapesJson) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        Json.read(Objects.requireNonNull(shapesJson, "shapesJson")).asObject().forEach((name, shape) ->
                shapes.put(name, shape.asList().stream().mapToLong(JsonValue::asLong).toArray()));
        return new SyntheticWeights(shapesJson.toString(), shapes, false, false);
    }

    /** Whatever is asked for by name and shape, from then on among the {@link #names}: weights for any network. */
    public static SyntheticWeights onDemand() {
        return new SyntheticWeights("synthetic weights", new LinkedHashMap<>(), true, false);
    }

    /**
     * The same with other values, of which a block repeats, all through a network: for measurements, where nothing counts but their
     * distribution. They are there in no time, and tensors of one distribution share their memory.
     */
    public static SyntheticWeights repeating() {
        return new SyntheticWeights("synthetic weights", new LinkedHashMap<>(), true, true);
    }

    /** The tensors whose names begin with {@code prefix}, without it. */
    public WeightSource part(String prefix) {
        Map<String, String> names = new LinkedHashMap<>();
        for (String name : shapes.keySet()) {
            if (name.startsWith(prefix)) {
                names.put(name.substring(prefix.length()), name);
            }
        }
        return new RenamedSource(this, description + " (" + prefix + ")", names);
    }

    /** The parts {@code unet.}, {@code vae.} and {@code text_encoder.text_model.} as a model; its structure follows from the shapes. */
    public ModelFiles model() {
        WeightSource unet = part("unet.");
        WeightSource vae = part("vae.");
        WeightSource textEncoder = part("text_encoder.text_model.");
        return new ModelFiles(description, new ModelFiles.Part(unet, InferredConfig.unet(unet)),
                new ModelFiles.Part(vae, InferredConfig.vae(vae)),
                new ModelFiles.Part(textEncoder, InferredConfig.textEncoder(textEncoder)),
                InferredConfig.scheduler(description, Prediction.EPSILON), Optional.empty(), Set.of(), List.of(), List.of());
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(shapes.keySet());
    }

    @Override
    public synchronized WeightTensor tensor(String name, long... expectedShape) {
        if (onDemand) {
            shapes.putIfAbsent(name, expectedShape.clone());
        }
        return WeightSource.super.tensor(name, expectedShape);
    }

    @Override
    public synchronized WeightTensor tensor(String name) {
        if (last == null || !last.name().equals(name)) {
            long[] shape = shapes.get(name);
            if (shape == null) {
                throw new WeightException(description + " has no tensor '" + name + "'");
            }
            last = repeating ? repeat(name, shape) : make(name, standardDeviation(name, shape), mean(name, shape), shape);
        }
        return last;
    }

    /** Part of a memory that is as long as any tensor of that distribution so far, beginning somewhere in the block. */
    private WeightTensor repeat(String name, long[] shape) {
        Distribution distribution = new Distribution(standardDeviation(name, shape), mean(name, shape));
        long bytes = Short.BYTES * Shapes.elements(shape);
        long start = (long) Short.BYTES * Math.floorMod(fnv1a64(name), BLOCK);
        MemorySegment all = repeated.get(distribution);
        if (all == null || all.byteSize() < start + bytes) {
            MemorySegment block = make("block", distribution.standardDeviation, distribution.mean, BLOCK).data();
            all = Arena.ofAuto().allocate(bytes + block.byteSize(), Short.BYTES);
            for (long done = 0; done < all.byteSize(); done += block.byteSize()) {
                MemorySegment.copy(block, 0, all, done, Math.min(block.byteSize(), all.byteSize() - done));
            }
            repeated.put(distribution, all);
        }
        return WeightTensor.of(name, DType.F16, all.asSlice(start, bytes), shape);
    }

    /** One tensor of the recipe, float16. */
    public static WeightTensor make(String name, double standardDeviation, double mean, long... shape) {
        int elements = Math.toIntExact(Shapes.elements(shape));
        long hash = fnv1a64(name);
        MemorySegment data = MemorySegment.ofArray(new short[elements]);
        IntStream.range(0, (elements + CHUNK - 1) / CHUNK).parallel().forEach(chunk -> {
            for (int i = chunk * CHUNK; i < Math.min(elements, (chunk + 1) * CHUNK); i++) {
                double u = (mix(hash + (i + 1L) * GOLDEN) >>> 40) * 0x1p-24;
                double value = (2 * u - 1) * Math.sqrt(3) * standardDeviation + mean;
                data.set(ValueLayout.JAVA_SHORT, 2L * i, toHalf(value));
            }
        });
        return WeightTensor.of(name, DType.F16, data, shape);
    }

    private static double standardDeviation(String name, long[] shape) {
        if (isTable(name)) {
            return 0.05;
        }
        if (shape.length == 1) {
            return isNormWeight(name) ? 0.1 : 0.05;
        }
        long fanIn = 1;
        for (int i = 1; i < shape.length; i++) {
            fanIn *= shape[i];
        }
        return 1 / Math.sqrt(fanIn);
    }

    private static double mean(String name, long[] shape) {
        return shape.length == 1 && !isTable(name) && isNormWeight(name) ? 1 : 0;
    }

    private static boolean isTable(String name) {
        return name.contains("embedding") && !name.contains("time_embedding");
    }

    private static boolean isNormWeight(String name) {
        return name.contains("norm") && name.endsWith("weight");
    }

    private static long fnv1a64(String name) {
        long hash = 0xCBF29CE484222325L;
        for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ b & 0xFF) * 0x100000001B3L;
        }
        return hash;
    }

    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }

    /** Rounds once: on the way through float32 an inexact value keeps an odd last bit, so that no tie appears. */
    private static short toHalf(double value) {
        float single = (float) value;
        if (single != value) {
            int bits = Float.floatToRawIntBits(single);
            if (Math.abs((double) single) > Math.abs(value)) {
                bits--;
            }
            single = Float.intBitsToFloat(bits | 1);
        }
        return Float.floatToFloat16(single);
    }

    @Override
    public Map<String, String> metadata() {
        return Map.of();
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public void close() {
        last = null;
        repeated.clear();
    }
}
