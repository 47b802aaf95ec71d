package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.invadapter.weights.WeightSource;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A small model for LoRAs to be laid over, and what plain loops in double precision make of factors. */
abstract class LoraFixture {
    static final SmallModel MODEL = new SmallModel(new long[] {8, 6}, 2, new boolean[] {true, true}, 1, false, 10, 2, new long[] {2}, 1, 4);

    @TempDir
    Path folder;
    final List<String> notices = new ArrayList<>();
    WeightSource unet;
    WeightSource textEncoder;

    @BeforeEach
    void open() {
        SmallModel.write(MODEL.unet(), folder.resolve("unet"));
        SmallModel.write(MODEL.textEncoder(), folder.resolve("text"));
        unet = Safetensors.open(folder.resolve("unet"));
        textEncoder = Safetensors.open(folder.resolve("text"));
    }

    @AfterEach
    void close() {
        unet.close();
        textEncoder.close();
    }

    /** Exact in float16 and bfloat16. */
    static float[] randoms(Random random, long count) {
        float[] values = new float[(int) count];
        for (int i = 0; i < count; i++) {
            values[i] = (random.nextInt(127) - 63) / 64f;
        }
        return values;
    }

    static double[] product(float[] left, float[] right, int rank, int columns) {
        double[] result = new double[left.length / rank * columns];
        for (int i = 0; i < result.length; i++) {
            for (int k = 0; k < rank; k++) {
                result[i] += (double) left[i / columns * rank + k] * right[k * columns + i % columns];
            }
        }
        return result;
    }

    WeightSource base(String part) {
        return part.equals("unet") ? unet : textEncoder;
    }

    void assertChanged(WeightSource changed, String part, String tensor, double[] change, double scale) {
        float[] before = base(part).tensor(tensor).toFloats();
        float[] expected = new float[before.length];
        for (int i = 0; i < expected.length; i++) {
            expected[i] = (float) (before[i] + scale * change[i]);
        }
        assertArrayEquals(expected, changed.tensor(tensor).toFloats(), 2e-5f, tensor);
    }

    Path write(Consumer<SafetensorsWriter> tensors) {
        SafetensorsWriter writer = new SafetensorsWriter();
        tensors.accept(writer);
        Path file = folder.resolve("lora.safetensors");
        writer.write(file);
        return file;
    }
}
