package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.contract.DeviceContract;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CpuDeviceTest {
    private static final Consumer<String> NO_NOTICES = notice -> {
        throw new AssertionError(notice);
    };

    @Nested
    class Float32 extends DeviceContract {
        Float32() {
            super(Precision.FP32, 1e-5);
        }

        @Override
        protected Device open(Precision precision) {
            return Devices.open("cpu", precision, NO_NOTICES);
        }
    }

    @Nested
    class Bfloat16 extends DeviceContract {
        Bfloat16() {
            super(Precision.BF16, 2e-2);
        }

        @Override
        protected Device open(Precision precision) {
            return Devices.open("cpu", precision, NO_NOTICES);
        }
    }

    @Test
    void float32IsTheDefault() {
        try (Device device = Devices.open("cpu", null, NO_NOTICES)) {
            assertEquals("cpu", device.name());
            assertEquals(Precision.FP32, device.precision());
            assertTrue(device.description().startsWith("CPU, "), device.description());
        }
    }

    @Test
    void autoFindsIt() {
        try (Device device = Devices.open("auto", Precision.BF16, NO_NOTICES)) {
            assertEquals("cpu", device.name());
            assertEquals(Precision.BF16, device.precision());
        }
    }

    /** These have no arithmetic in bfloat16. */
    @Test
    @EnabledIfEnvironmentVariable(named = "ONEDNN_MAX_CPU_ISA", matches = "SSE41|AVX2")
    void saysThatBfloat16IsComputedInFloat32() {
        try (Device device = Devices.open("cpu", Precision.BF16, NO_NOTICES)) {
            assertTrue(device.description().endsWith("bf16 computed in float32"), device.description());
        }
        assertTrue(new CpuDeviceProvider().report().contains("bf16 is computed in float32 here: it saves memory, not time"));
    }

    /** So large that it is converted to float32 in strips, where it is converted at all. */
    @Test
    void aTallMapIsTheSameAsItsParts() {
        int width = 96;
        int channels = 32;
        int height = 1500;
        Random random = new Random(3);
        try (Device device = Devices.open("cpu", Precision.BF16, NO_NOTICES)) {
            Device.Convolution layer = device.packer().convolution(HostTensor.of(randoms(random, 9 * channels * channels), channels, channels, 3, 3),
                    null, 1, Device.Padding.same(1), DataType.BFLOAT16);
            Tensor x = device.upload(DataType.BFLOAT16, randoms(random, height * width * channels), 1, height, width, channels);
            float[] whole = device.download(device.conv2d(x, layer, null, x));
            int row = width * channels;
            for (int first : new int[] {0, 500, 1000, 1380}) {
                Tensor part = x.part(first * row, 1, 120, width, channels);
                float[] result = device.download(device.conv2d(part, layer, null, part));
                for (int i = row; i < 119 * row; i++) {
                    assertEquals(result[i], whole[first * row + i], 0.02f * (1 + Math.abs(result[i])), "row " + (first + i / row));
                }
            }
        }
    }

    /** Scores so large that their exponentials overflow, of one key that none of the others hints at; then all of them so small. */
    @ParameterizedTest
    @EnumSource(value = Precision.class, names = {"FP32", "BF16"})
    void attentionOfScoresFarFromZero(Precision precision) {
        int keyLength = 1100;
        int channels = 24;
        try (Device device = Devices.open("cpu", precision, NO_NOTICES)) {
            DataType type = precision.type();
            Random random = new Random(5);
            Tensor query = device.upload(type, filled(200 * channels, 1), 1, 200, channels);
            float[] v = randoms(random, keyLength * channels);
            Tensor values = device.upload(type, v, 1, keyLength, channels);
            float[] one = randoms(random, keyLength * channels);
            Arrays.fill(one, 777 * channels, 778 * channels, 60);
            assertRows(Arrays.copyOfRange(v, 777 * channels, 778 * channels),
                    device.download(device.attention(query,
                            List.of(Source.of(device.upload(type, one, 1, keyLength, channels), values)), 2, false)));

            float[] mean = new float[channels];
            for (int i = 0; i < v.length; i++) {
                mean[i % channels] += v[i] / keyLength;
            }
            Tensor small = device.upload(type, filled(keyLength * channels, -60), 1, keyLength, channels);
            assertRows(mean, device.download(device.attention(query, List.of(Source.of(small, values)), 2, false)));
        }
    }

    @Test
    void attentionIsLeftWhenNobodyWaitsForItAnyMore() {
        try (Device device = Devices.open("cpu", null, NO_NOTICES)) {
            Tensor states = device.upload(DataType.FLOAT32, new float[2000 * 16], 1, 2000, 16);
            AtomicInteger checks = new AtomicInteger();
            device.checkWhileComputing(() -> {
                if (checks.incrementAndGet() == 10) {
                    throw new CancellationException("nobody waits");
                }
            });
            assertThrows(CancellationException.class, () -> device.attention(states, List.of(Source.of(states, states)), 2, false));
            device.checkWhileComputing(() -> { });
            assertEquals(2000 * 16, device.download(device.attention(states, List.of(Source.of(states, states)), 2, false)).length);
        }
    }

    private static void assertRows(float[] expected, float[] rows) {
        for (int i = 0; i < rows.length; i++) {
            assertEquals(expected[i % expected.length], rows[i], 0.004f, "value " + i);
        }
    }

    private static float[] filled(int n, float value) {
        float[] values = new float[n];
        Arrays.fill(values, value);
        return values;
    }

    private static float[] randoms(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian() / 4;
        }
        return values;
    }

    @Test
    void float16IsRefused() {
        assertRefused("cpu", Precision.FP16, "the CPU device computes in fp32 or bf16, not in fp16");
    }

    @Test
    void aViewInFloat16IsRefused() {
        try (Device device = Devices.open("cpu", Precision.BF16, NO_NOTICES)) {
            DeviceException e = assertThrows(DeviceException.class, () -> device.as(Precision.FP16));
            assertEquals("the CPU device computes in fp32 or bf16, not in fp16", e.getMessage());
        }
    }

    @Test
    void thereIsOnlyOneCpu() {
        assertRefused("cpu:1", Precision.FP32, "there is no device cpu:1: all cores together are cpu");
    }

    private static void assertRefused(String name, Precision precision, String message) {
        DeviceException e = assertThrows(DeviceException.class, () -> Devices.open(name, precision, NO_NOTICES));
        assertEquals(message, e.getMessage());
    }
}
