package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Convolutions large enough for {@link Winograd}, against sums in float64 at some of the places. */
class WinogradTest {
    private static final int PLACES = 2000;

    @ParameterizedTest
    @CsvSource({
        "32, 32, 128, 128",
        // neither tiles nor parts of the channels come out even
        "29, 35, 130, 400",
        "4, 256, 128, 128",
        // several pieces, the last one smaller
        "116, 128, 256, 128"})
    void everyPlaceIsThatOfTheDirectWay(int height, int width, int in, int out) {
        assertTrue(Winograd.suits(height, width, in, out));
        SplittableRandom random = new SplittableRandom(height * width);
        float[] x = values(random, height * width * in, 1);
        float[] weight = values(random, out * in * 9, 1 / Math.sqrt(9 * in));
        float[] bias = values(random, out, 1);
        float[] shift = values(random, out, 1);
        float[] residual = values(random, height * width * out, 1);
        float[] found;
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { }); Scope scope = device.scope()) {
            Device.Convolution convolution = convolution(device, weight, bias, in, out);
            found = device.download(device.conv2d(device.upload(DataType.FLOAT32, x, 1, height, width, in), convolution,
                    device.upload(DataType.FLOAT32, shift, 1, out),
                    device.upload(DataType.FLOAT32, residual, 1, height, width, out)));
        }
        double largest = 0;
        double worst = 0;
        for (int place = 0; place < PLACES; place++) {
            // The edges and corners, too.
            int row = place % 4 == 0 ? height - 1 - place / 4 % Math.min(height, 4) : random.nextInt(height);
            int column = place % 4 == 1 ? width - 1 - place / 4 % 4 : random.nextInt(width);
            int channel = random.nextInt(out);
            double sum = bias[channel] + shift[channel] + residual[(row * width + column) * out + channel];
            for (int i = 0; i < 9; i++) {
                int y = row + i / 3 - 1;
                int z = column + i % 3 - 1;
                for (int c = 0; c < in && y >= 0 && y < height && z >= 0 && z < width; c++) {
                    sum += (double) x[(y * width + z) * in + c] * weight[(channel * in + c) * 9 + i];
                }
            }
            largest = Math.max(largest, Math.abs(sum));
            worst = Math.max(worst, Math.abs(sum - found[(row * width + column) * out + channel]));
        }
        assertTrue(worst <= 1e-5 * largest, worst + " of " + largest);
    }

    @ParameterizedTest
    @CsvSource({"32, 32", "40, 30"})
    void aPicturesResultDoesNotDependOnTheOthers(int height, int width) {
        int channels = 128;
        int size = height * width * channels;
        SplittableRandom random = new SplittableRandom(1);
        float[] x = values(random, 3 * size, 1);
        float[] residual = values(random, 3 * size, 1);
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { }); Scope scope = device.scope()) {
            Device.Convolution convolution = convolution(device, values(random, channels * channels * 9, 0.1), new float[channels],
                    channels, channels);
            float[] together = device.download(device.conv2d(device.upload(DataType.FLOAT32, x, 3, height, width, channels), convolution,
                    null, device.upload(DataType.FLOAT32, residual, 3, height, width, channels)));
            for (int row = 0; row < 3; row++) {
                Tensor alone = device.upload(DataType.FLOAT32, part(x, row, size), 1, height, width, channels);
                Tensor added = device.upload(DataType.FLOAT32, part(residual, row, size), 1, height, width, channels);
                assertArrayEquals(part(together, row, size), device.download(device.conv2d(alone, convolution, null, added)));
            }
        }
    }

    /** Which way is taken depends on the layer and the map alone: never on what came before. */
    @ParameterizedTest
    @CsvSource({"64, 64, 320, 320, true", "32, 32, 1920, 640, true", "96, 96, 320, 320, true", "512, 512, 128, 128, true", "16, 16, 1280, 1280, false",
        "64, 64, 4, 320, false", "64, 64, 320, 4, false", "64, 64, 64, 64, false"})
    void theLayersOfStableDiffusion(int height, int width, int in, int out, boolean suits) {
        assertEquals(suits, Winograd.suits(height, width, in, out));
    }

    /** Sizes in turn: each gives the same as before, whichever ways the others went. */
    @ParameterizedTest
    @CsvSource({"128"})
    void sizesDoNotInfluenceEachOther(int channels) {
        SplittableRandom random = new SplittableRandom(2);
        float[] weight = values(random, channels * channels * 9, 0.1);
        float[] x = values(random, 36 * 36 * channels, 1);
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            Device.Convolution convolution = convolution(device, weight, new float[channels], channels, channels);
            float[][] first = new float[2][];
            for (int round = 0; round < 4; round++) {
                int size = round % 2 == 0 ? 36 : 12;
                try (Scope scope = device.scope()) {
                    float[] y = device.download(device.conv2d(device.upload(DataType.FLOAT32,
                            Arrays.copyOf(x, size * size * channels), 1, size, size, channels), convolution, null, null));
                    if (first[round % 2] == null) {
                        first[round % 2] = y;
                    }
                    assertArrayEquals(first[round % 2], y);
                    assertFalse(Float.isNaN(y[0]));
                }
            }
        }
    }

    private static Device.Convolution convolution(Device device, float[] weight, float[] bias, int in, int out) {
        return device.packer().convolution(HostTensor.of(weight, out, in, 3, 3), HostTensor.of(bias, out), 1, Device.Padding.same(1),
                DataType.FLOAT32);
    }

    private static float[] part(float[] values, int row, int size) {
        return Arrays.copyOfRange(values, row * size, (row + 1) * size);
    }

    private static float[] values(SplittableRandom random, int n, double scale) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) (random.nextGaussian() * scale);
        }
        return values;
    }
}
