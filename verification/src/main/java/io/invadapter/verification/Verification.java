package io.invadapter.verification;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.base.RelativeError;
import io.invadapter.kernels.Device;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Golden data of the reference implementation (PyTorch, float32) and what a device makes of the same model and inputs. A
 * folder of golden data is a model in the diffusers layout with {@code case.json}, {@code tokens.json},
 * {@code golden.safetensors} and {@code eaa.safetensors}; or {@code case.json}, {@code shapes.json} and
 * {@code golden.safetensors}, whose weights are made by {@link io.invadapter.weights.model.SyntheticWeights}; or what the key
 * {@code case} of case.json names, one of {@link Cases}.
 */
public final class Verification {
    private final Path golden;
    private final Map<String, float[]> outputs = new LinkedHashMap<>();
    /** Whether all parts were asked for. */
    private final boolean everything;
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
     * @param error ||out - ref|| / ||ref||; of a few keys the largest difference
     * @param limit the most it may be; infinite where it is only reported
     */
    public record Row(String key, double error, double limit) {
        public boolean passed() {
            return error <= limit;
        }
    }

    /** A folder's model on a device, for one comparison after the other. */
    public static final class Loaded implements AutoCloseable {
        private final CaseFolder folder;
        private final GoldenCase golds;

        private Loaded(Path path, Device device) {
            folder = new CaseFolder(path, device);
            try {
                golds = Cases.of(folder);
            } catch (RuntimeException | Error e) {
                folder.close();
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
            Results results = new Results();
            try {
                golds.compute(parts, results);
            } catch (InvalidRequestException e) {
                throw new WeightException(folder.inputs().parameters().where() + ": " + e.getMessage(), e);
            }
            return new Verification(folder, golds, results, parts.containsAll(EnumSet.allOf(Part.class)));
        }

        /** Closes the golden data; the weights stay until the device is closed. */
        @Override
        public void close() {
            folder.close();
        }
    }

    /**
     * Loads a folder's model.
     *
     * @throws InvalidRequestException when case.json names a case that is not known
     * @throws WeightException                       when a file is missing or is not what it should be
     * @throws io.invadapter.kernels.DeviceException when the device fails
     */
    public static Loaded load(Path folder, Device device) {
        return new Loaded(folder, device);
    }

    /**
     * Computes everything of {@code parts} that the golden data has, which must not be nothing.
     *
     * @throws InvalidRequestException when case.json names a case that is not known
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

    private Verification(CaseFolder folder, GoldenCase golds, Results computed, boolean everything) {
        this.golden = folder.inputs().path().resolve("golden.safetensors");
        this.everything = everything;
        this.differentTokens = computed.differentTokens();
        for (String key : folder.golden().names()) {
            float[] found = computed.of(key);
            if (found == null) {
                if (!golds.isInput(key)) {
                    skipped.add(key);
                }
                continue;
            }
            float[] expected = folder.values(key, found.length);
            Limit limit = golds.limit(key, folder.device().precision());
            rows.add(new Row(key, limit.absolute() ? largestDifference(found, expected) : RelativeError.of(found, expected), limit.most()));
            outputs.put(key, found);
        }
    }

    /** In the order of the golden file. */
    public List<Row> rows() {
        return List.copyOf(rows);
    }

    /** Golden keys that were not computed, inputs apart. */
    public List<String> skipped() {
        return List.copyOf(skipped);
    }

    /** One sentence for each text whose token ids are not the reference's. */
    public List<String> differentTokens() {
        return differentTokens;
    }

    /** Whether every result is within its limit, all tokens agree and, where all parts were asked for, no result was skipped. */
    public boolean passed() {
        return differentTokens.isEmpty() && !(everything && !skipped.isEmpty()) && rows.stream().allMatch(Row::passed);
    }

    /** Writes all outputs under the golden keys, as safetensors. */
    public void dump(Path file) {
        SafetensorsWriter writer = new SafetensorsWriter();
        try (WeightSource expected = Safetensors.open(golden)) {
            outputs.forEach((key, values) -> writer.add(key, expected.tensor(key).shape(), values));
        }
        writer.write(file);
    }

    private static double largestDifference(float[] found, float[] expected) {
        double largest = 0;
        for (int i = 0; i < expected.length; i++) {
            double difference = Math.abs((double) found[i] - expected[i]);
            // Not-a-number is not larger than anything, and must not pass.
            largest = difference <= largest ? largest : difference;
        }
        return largest;
    }
}
