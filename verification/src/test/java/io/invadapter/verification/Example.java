package io.invadapter.verification;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import javax.imageio.ImageIO;

/**
 * A folder of golden data on the bundled model: case.json, the files that it names, inputs of seeded numbers, and the keys of all
 * results. What the results are it does not say: in the test they are computed.
 */
final class Example {
    private static final String WEIGHTS = "diffusion_pytorch_model.safetensors";

    /** Golden data under one key: floats or whole numbers. */
    record Values(long[] shape, float[] floats, long[] integers) {
        Values of(long... other) {
            int count = (int) elements(other);
            return new Values(other, floats == null ? null : Arrays.copyOf(floats, count), integers == null ? null : Arrays.copyOf(integers, count));
        }

        /** The first number replaced; of whole numbers by the next one. */
        Values startingWith(float value) {
            float[] otherFloats = floats == null ? null : floats.clone();
            long[] otherIntegers = integers == null ? null : integers.clone();
            if (floats == null) {
                otherIntegers[0]++;
            } else {
                otherFloats[0] = value;
            }
            return new Values(shape, otherFloats, otherIntegers);
        }
    }

    private interface FileWriter {
        void write(Path folder) throws IOException;
    }

    private final String name;
    private final JsonValue parameters;
    private final List<FileWriter> files = new ArrayList<>();
    private final Map<String, Values> inputs = new LinkedHashMap<>();
    private final Map<String, Values> results = new LinkedHashMap<>();

    /** @param parameters case.json without {@code case} and {@code base} */
    Example(String name, String parameters) {
        this.name = name;
        this.parameters = Json.parse(parameters).with("case", name).with("base", BundledModel.directory().toString());
    }

    /** Normally distributed numbers. */
    Example input(String key, long... shape) {
        inputs.put(key, new Values(shape, random(key, shape), null));
        return this;
    }

    Example input(String key, long[] shape, long... values) {
        inputs.put(key, new Values(shape, null, values));
        return this;
    }

    /** One that is computed. */
    Example result(String key, long... shape) {
        results.put(key, new Values(shape, new float[(int) elements(shape)], null));
        return this;
    }

    /** One that others are computed from. */
    Example result(String key, float[] values, long... shape) {
        results.put(key, new Values(shape, values, null));
        return this;
    }

    /** One that is known. */
    Example result(String key, long[] shape, long... values) {
        results.put(key, new Values(shape, null, values));
        return this;
    }

    Example file(String path, String text) {
        files.add(folder -> {
            Files.createDirectories(folder.resolve(path).getParent());
            Files.writeString(folder.resolve(path), text);
        });
        return this;
    }

    /** A PNG. */
    Example file(String path, BufferedImage picture) {
        files.add(folder -> ImageIO.write(picture, "png", folder.resolve(path).toFile()));
        return this;
    }

    Example file(String path, SafetensorsWriter tensors) {
        files.add(folder -> tensors.write(folder.resolve(path)));
        return this;
    }

    /**
     * The bundled model's UNet with another configuration.
     *
     * @param tensor that it then has, or has in this shape
     */
    Example unet(String path, UnaryOperator<JsonValue> configuration, String tensor, long... shape) {
        Path bundled = BundledModel.directory().resolve("unet");
        file(path + "/config.json", configuration.apply(Json.read(bundled.resolve("config.json"))).toString());
        files.add(folder -> {
            try (WeightSource weights = Safetensors.open(bundled.resolve(WEIGHTS))) {
                SafetensorsWriter writer = new SafetensorsWriter();
                for (String each : weights.names()) {
                    if (!each.equals(tensor)) {
                        writer.add(weights.tensor(each));
                    }
                }
                writer.add(tensor, shape, scaled(random(tensor, shape), 0.1f)).write(folder.resolve(path).resolve(WEIGHTS));
            }
        });
        return this;
    }

    JsonValue parameters() {
        return parameters;
    }

    Map<String, Values> inputs() {
        return inputs;
    }

    Map<String, Values> results() {
        return results;
    }

    /** Makes the folder but for golden.safetensors. */
    void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        for (FileWriter file : files) {
            file.write(folder);
        }
        Files.writeString(folder.resolve("case.json"), parameters.toString());
    }

    static void write(Map<String, Values> golden, Path file) throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter();
        golden.forEach((key, values) -> {
            if (values.floats == null) {
                writer.add(key, values.shape, values.integers);
            } else {
                writer.add(key, values.shape, values.floats);
            }
        });
        Files.deleteIfExists(file);
        writer.write(file);
    }

    static Values read(WeightTensor tensor) {
        boolean floats = tensor.dtype().isFloat();
        return new Values(tensor.shape(), floats ? tensor.toFloats() : null, floats ? null : tensor.toLongs());
    }

    static float[] random(String seed, long... shape) {
        Random random = new Random(seed.hashCode());
        float[] values = new float[(int) elements(shape)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static float[] scaled(float[] values, float factor) {
        for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
        }
        return values;
    }

    private static long elements(long... shape) {
        return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    }

    @Override
    public String toString() {
        return name;
    }
}
