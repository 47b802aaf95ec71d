package io.invadapter.verification;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Golden data of the reference implementation (PyTorch, float32) and what a device makes of the same model and inputs. A
 * folder of golden data is a model in the diffusers layout with {@code case.json}, {@code tokens.json},
 * {@code golden.safetensors} and {@code eaa.safetensors}; or {@code case.json}, {@code shapes.json} and
 * {@code golden.safetensors}, whose weights are made by {@link io.invadapter.weights.model.SyntheticWeights}.
 */
public final class Verification {
    private final Path folder;
    private final Map<String, float[]> outputs;
    private final List<String> differentTokens;
    private final List<Row> rows = new ArrayList<>();
    private final List<String> skipped = new ArrayList<>();

    /** What to compute. */
    public enum Part {
        /** Token ids and the text encoder. */
        TEXT,
        /** VAE, both ways. */
        VAE,
        /** Noise levels and timesteps. */
        SCHEDULE,
        /** Single passes of the UNet. */
        UNET,
        /** The identity's features at the first step, and the pass that takes them in; needs the inversion. */
        IDENTITY,
        /** Inversion and sampling with all their steps. */
        LOOPS
    }

    /**
     * One comparison.
     *
     * @param key   of the golden data
     * @param error ||out - ref|| / ||ref||
     * @param limit the most it may be; infinite where it is only reported
     */
    public record Row(String key, double error, double limit) {
        public boolean passed() {
            return error <= limit;
        }
    }

    /** How far results may be from the reference in a precision: after one pass, and after a loop of many. */
    private record Limits(double pass, double loop) {
        static Limits of(Precision precision, boolean synthetic) {
            return switch (precision) {
                case FP32 -> new Limits(synthetic ? 1e-3 : 2e-5, 1e-3);
                case FP16 -> new Limits(2e-2, Double.POSITIVE_INFINITY);
                case BF16 -> new Limits(5e-2, Double.POSITIVE_INFINITY);
            };
        }
    }

    /** A folder's model on a device, for one comparison after the other. */
    public static final class Loaded implements AutoCloseable {
        private final Path folder;
        private final WeightSource golden;
        private final GoldenCase golds;
        private final Limits limits;

        private Loaded(Path folder, Device device) {
            this.folder = folder;
            JsonValue parameters = Json.read(folder.resolve("case.json"));
            boolean synthetic = Files.exists(folder.resolve("shapes.json"));
            limits = Limits.of(device.precision(), synthetic);
            golden = Safetensors.open(folder.resolve("golden.safetensors"));
            try {
                golds = synthetic ? new SyntheticCase(folder, device, parameters, golden)
                        : new ModelCase(folder, device, parameters, golden);
            } catch (RuntimeException | Error e) {
                golden.close();
                throw e;
            }
        }

        /**
         * Computes everything of {@code parts} that the golden data has, which may be nothing.
         *
         * @throws WeightException                       when the golden data is not what it should be
         * @throws io.invadapter.kernels.DeviceException when the device fails
         */
        public Verification compare(Set<Part> parts) {
            golds.compute(parts);
            return new Verification(folder, golden, golds.outputs(), List.copyOf(golds.differentTokens()), limits);
        }

        /** Closes the golden data; the weights stay until the device is closed. */
        @Override
        public void close() {
            golden.close();
        }
    }

    /**
     * Loads a folder's model.
     *
     * @throws WeightException                       when a file is missing or is not what it should be
     * @throws io.invadapter.kernels.DeviceException when the device fails
     */
    public static Loaded load(Path folder, Device device) {
        return new Loaded(folder, device);
    }

    /**
     * Computes everything of {@code parts} that the golden data has, which must not be nothing.
     *
     * @throws WeightException                       when a file is missing or is not what it should be
     * @throws io.invadapter.kernels.DeviceException when the device fails
     */
    public static Verification run(Path folder, Device device, Set<Part> parts) {
        try (Loaded loaded = load(folder, device)) {
            Verification verification = loaded.compare(parts);
            if (verification.rows.isEmpty()) {
                throw new WeightException(folder.resolve("golden.safetensors") + " holds nothing to compare");
            }
            return verification;
        }
    }

    private Verification(Path folder, WeightSource golden, Map<String, float[]> computed, List<String> differentTokens,
            Limits limits) {
        this.folder = folder;
        this.outputs = new LinkedHashMap<>();
        this.differentTokens = differentTokens;
        for (String key : golden.names()) {
            float[] found = computed.get(key);
            if (found == null) {
                skipped.add(key);
                continue;
            }
            float[] expected = golden.tensor(key).toFloats();
            if (found.length != expected.length) {
                throw new WeightException(folder.resolve("golden.safetensors") + ": '" + key + "' has " + expected.length
                        + " values; this model gives " + found.length);
            }
            boolean loop = key.startsWith("invert.") || key.startsWith("gen.") || key.startsWith("customize.");
            rows.add(new Row(key, relativeError(found, expected), loop ? limits.loop : limits.pass));
            outputs.put(key, found);
        }
    }

    /** In the order of the golden file. */
    public List<Row> rows() {
        return List.copyOf(rows);
    }

    /** Golden keys that were not computed. */
    public List<String> skipped() {
        return List.copyOf(skipped);
    }

    /** One sentence for each text whose token ids are not the reference's. */
    public List<String> differentTokens() {
        return differentTokens;
    }

    /** Whether every result is within its limit and all tokens agree. */
    public boolean passed() {
        return differentTokens.isEmpty() && rows.stream().allMatch(Row::passed);
    }

    /** Writes all outputs under the golden keys, as safetensors. */
    public void dump(Path file) {
        SafetensorsWriter writer = new SafetensorsWriter();
        try (WeightSource golden = Safetensors.open(folder.resolve("golden.safetensors"))) {
            outputs.forEach((key, values) -> writer.add(key, golden.tensor(key).shape(), values));
        }
        writer.write(file);
    }

    private static double relativeError(float[] found, float[] expected) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            double d = (double) found[i] - expected[i];
            difference += d * d;
            norm += (double) expected[i] * expected[i];
        }
        return Math.sqrt(norm == 0 ? difference : difference / norm);
    }
}
