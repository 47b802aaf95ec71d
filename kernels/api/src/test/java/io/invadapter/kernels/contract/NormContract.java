package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Group norm and layer norm. */
abstract class NormContract extends DeviceFixture {

    NormContract(DeviceContract contract) {
        super(contract);
    }

    @ParameterizedTest
    @CsvSource({
        "2, 3, 5, 12, 1", "2, 3, 5, 12, 2", "2, 3, 5, 12, 3", "2, 3, 5, 12, 6", "2, 3, 5, 12, 12",
        "1, 1, 1, 30, 5", "3, 1, 1, 14, 1", "1, 1, 2, 7, 7", "1, 37, 29, 10, 5", "2, 61, 67, 6, 2", "1, 9, 7, 352, 32"})
    void groupNorm(int batch, int height, int width, int channels, int groups) {
        Values x = activations(batch, height, width, channels).map(v -> v + 2).rounded(type);
        Values scale = floats(channels);
        Values shift = floats(channels);
        Device.Norm norm = packer.norm(host(scale), host(shift));
        assertEquals(channels, norm.channels());
        assertClose(Reference.groupNorm(x, scale, shift, groups, EPSILON, false),
                device.groupNorm(put(x), norm, groups, EPSILON, false));
        assertClose("with SiLU", Reference.groupNorm(x, scale, shift, groups, EPSILON, true),
                device.groupNorm(put(x), norm, groups, EPSILON, true));
    }

    @ParameterizedTest
    @CsvSource({"2, 3, 5, 4, 8, 3", "1, 1, 1, 5, 25, 5", "3, 2, 2, 7, 7, 1", "1, 37, 29, 4, 6, 5", "1, 9, 7, 224, 128, 32"})
    void joinedGroupNorm(int batch, int height, int width, int first, int second, int groups) {
        Values a = activations(batch, height, width, first).map(v -> v + 2).rounded(type);
        Values b = activations(batch, height, width, second);
        Values scale = floats(first + second);
        Values shift = floats(first + second);
        Device.Norm norm = packer.norm(host(scale), host(shift));
        for (boolean silu : new boolean[] {false, true}) {
            Device.Joined both = device.joinedGroupNorm(put(a), put(b), norm, groups, EPSILON, silu);
            Values joined = Reference.concat(-1, a, b);
            assertExact(joined, both.map());
            assertClose("SiLU: " + silu, Reference.groupNorm(joined, scale, shift, groups, EPSILON, silu), both.normed());
        }
    }

    @Test
    void groupNormOfTokens() {
        Values x = activations(2, 15, 12);
        Values scale = floats(12);
        Values shift = floats(12);
        assertClose(Reference.groupNorm(x, scale, shift, 3, EPSILON, true),
                device.groupNorm(put(x), packer.norm(host(scale), host(shift)), 3, EPSILON, true));
    }

    /** Statistics of two halves, put together, make a half's norm that of the whole. */
    @ParameterizedTest
    @CsvSource({"2, 6, 5, 8, 1", "1, 2, 1, 24, 3", "2, 62, 67, 16, 4", "1, 10, 7, 256, 32", "3, 2, 3, 64, 64"})
    void groupNormByStatistics(int batch, int height, int width, int channels, int groups) {
        Values x = activations(batch, height, width, channels).map(v -> v + 2).rounded(type);
        Values scale = floats(channels);
        Values shift = floats(channels);
        Device.Norm norm = packer.norm(host(scale), host(shift));
        Values halves = x.reshape(2 * batch, height / 2, width, channels);
        float[] parts = device.download(device.groupStatistics(put(halves), groups, 0));
        float[] whole = new float[2 * groups * batch];
        for (int b = 0; b < batch; b++) {
            for (int g = 0; g < groups; g++) {
                int first = 2 * (2 * b * groups + g);
                int second = first + 2 * groups;
                double mean = (parts[first] + (double) parts[second]) / 2;
                double away = (parts[first] - (double) parts[second]) / 2;
                double variance = (1 / Math.pow(parts[first + 1], 2) + 1 / Math.pow(parts[second + 1], 2)) / 2 + away * away;
                whole[2 * (b * groups + g)] = (float) mean;
                whole[2 * (b * groups + g) + 1] = (float) (1 / Math.sqrt(variance + EPSILON));
            }
        }
        Tensor statistics = device.upload(DataType.FLOAT32, whole, batch, groups, 2);
        assertClose(Reference.groupNorm(x, scale, shift, groups, EPSILON, false), device.groupNorm(put(x), norm, statistics, false));
        assertClose("with SiLU", Reference.groupNorm(x, scale, shift, groups, EPSILON, true),
                device.groupNorm(put(x), norm, statistics, true));
        assertClose(Reference.groupNorm(x, scale, shift, groups, EPSILON, true),
                device.groupNorm(put(x), norm, device.groupStatistics(put(x), groups, EPSILON), true));
    }

    /** Where the deviation is a thousandth of the mean no more is lost than a unit in the last place of a mean in float32. */
    @ParameterizedTest
    @CsvSource({"2, 3, 5, 12, 3", "1, 37, 29, 10, 5", "2, 61, 67, 6, 2", "1, 64, 64, 64, 2", "1, 9, 7, 352, 32"})
    void groupNormOfALargeMean(int batch, int height, int width, int channels, int groups) {
        Values x = activations(batch, height, width, channels).map(v -> v + 1000).rounded(type);
        assertNormed(x, groups, tolerance + 1000 * 0x1p-23);
    }

    /** As of a picture most of which has one colour: what a sum rounds off, it rounds off the same way thousands of times. */
    @ParameterizedTest
    @CsvSource({"64, 64, 16, 4", "128, 64, 8, 1", "72, 40, 64, 2", "48, 48, 10, 5"})
    void groupNormOfFlatAreas(int height, int width, int channels, int groups) {
        Values flat = floats(channels).map(v -> 1.1 + v / 64);
        Values detail = activations(1, height, width, channels);
        Values x = new Values(1, height, width, channels);
        for (int i = 0; i < x.data().length; i++) {
            boolean edge = i / channels % width < 2 || i / channels / width < 2;
            x.data()[i] = flat.data()[i % channels] + (edge ? detail.data()[i] / 8 : 0);
        }
        assertNormed(x.rounded(type), groups, tolerance);
    }

    private void assertNormed(Values x, int groups, double within) {
        Values scale = floats(x.channels());
        Values shift = floats(x.channels());
        Device.Norm norm = packer.norm(host(scale), host(shift));
        for (boolean silu : new boolean[] {false, true}) {
            Values expected = Reference.groupNorm(x, scale, shift, groups, EPSILON, silu);
            String what = "SiLU: " + silu;
            assertClose(what, expected, device.groupNorm(put(x), norm, groups, EPSILON, silu), type, within);
            if (x.channels() % 8 == 0) {
                assertClose(what + ", of statistics", expected,
                        device.groupNorm(put(x), norm, device.groupStatistics(put(x), groups, EPSILON), silu), type, within);
            }
        }
    }

    /** Where all values are equal the variance is zero and only the epsilon keeps the quotient finite. */
    @ParameterizedTest
    @ValueSource(floats = {1e-6f, 1e-5f, 0.5f})
    void normsOfEqualValues(float epsilon) {
        Values x = new Values(2, 3, 5, 12).map(v -> 3);
        Values scale = floats(12);
        Values shift = floats(12);
        Device.Norm norm = packer.norm(host(scale), host(shift));
        assertClose(Reference.groupNorm(x, scale, shift, 4, epsilon, false), device.groupNorm(put(x), norm, 4, epsilon, false));
        assertClose(Reference.layerNorm(x, scale, shift, epsilon), device.layerNorm(put(x), norm, epsilon));
    }

    @Test
    void epsilonCounts() {
        Values x = activations(2, 3, 5, 12);
        Values scale = floats(12);
        Values shift = floats(12);
        Device.Norm norm = packer.norm(host(scale), host(shift));
        for (float epsilon : new float[] {0.5f, 2, 0.5f}) {
            assertClose(Reference.groupNorm(x, scale, shift, 4, epsilon, false), device.groupNorm(put(x), norm, 4, epsilon, false));
            assertClose(Reference.layerNorm(x, scale, shift, epsilon), device.layerNorm(put(x), norm, epsilon));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 7", "2, 77, 13", "1, 3, 1281", "3, 5, 33"})
    void layerNorm(int batch, int length, int channels) {
        Values x = activations(batch, length, channels).map(v -> v + 2).rounded(type);
        Values scale = floats(channels);
        Values shift = floats(channels);
        assertClose(Reference.layerNorm(x, scale, shift, EPSILON),
                device.layerNorm(put(x), packer.norm(host(scale), host(shift)), EPSILON));
    }

    @Test
    void wrongShapesOfNorms() {
        Device.Norm norm = packer.norm(host(floats(12)), host(floats(12)));
        Tensor x = zeros(2, 3, 5, 11);
        Tensor right = zeros(2, 3, 5, 12);
        assertRefused(() -> device.groupNorm(x, norm, 4, EPSILON, false), x.shape());
        assertRefused(() -> device.groupNorm(right, norm, 5, EPSILON, false), right.shape());
        assertRefused(() -> device.groupNorm(right, norm, 0, EPSILON, false), right.shape());
        assertRefused(() -> device.groupStatistics(right, 4, EPSILON), right.shape());
        assertRefused(() -> device.groupStatistics(zeros(2, 3, 5, 16), 3, EPSILON), new int[] {2, 3, 5, 16});
        assertRefused(() -> device.groupStatistics(zeros(1, 1, 1, 72), 72, EPSILON), new int[] {1, 1, 1, 72});
        assertRefused(() -> device.groupStatistics(zeros(65, 1, 1, 8), 8, EPSILON), new int[] {65, 1, 1, 8});
        Tensor statistics = device.allocate(DataType.FLOAT32, 2, 4, 2);
        assertRefused(() -> device.groupNorm(zeros(2, 3, 5, 16), norm, statistics, false), new int[] {2, 3, 5, 16});
        assertRefused(() -> device.groupNorm(zeros(1, 3, 5, 16), packer.norm(host(floats(16)), host(floats(16))), statistics, false),
                new int[] {1, 3, 5, 16});
        assertRefused(() -> device.joinedGroupNorm(x, right, norm, 4, EPSILON, false));
        assertRefused(() -> device.joinedGroupNorm(zeros(2, 3, 4, 1), x, norm, 4, EPSILON, false), new int[] {2, 3, 4, 1}, x.shape());
        assertRefused(() -> device.layerNorm(x, norm, EPSILON), x.shape());
    }
}
