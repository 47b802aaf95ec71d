package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Products with weights: linear layers, the gated one, and that over tokens. */
abstract class ProductContract extends DeviceFixture {

    ProductContract(DeviceContract contract) {
        super(contract);
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "1, 320, 17", "7, 13, 9", "77, 33, 50", "131, 5, 3", "1, 1280, 7"})
    void linear(int rows, int in, int out) {
        Values x = activations(rows, in);
        Values weight = weights(out, in);
        Values bias = floats(out);
        Device.Linear layer = packer.linear(host(weight), host(bias));
        assertEquals(in, layer.inFeatures());
        assertEquals(out, layer.outFeatures());
        assertClose(Reference.linear(x, weight, bias, Activation.NONE, null),
                device.linear(put(x), layer, Activation.NONE, null));
    }

    @ParameterizedTest
    @EnumSource
    void linearWithActivation(Activation activation) {
        Values x = activations(2, 7, 13).times(2);
        Values weight = weights(9, 13);
        Values residual = activations(2, 7, 9);
        for (Values bias : new Values[] {null, floats(9)}) {
            Device.Linear layer = packer.linear(host(weight), host(bias));
            for (Values added : new Values[] {null, residual}) {
                assertClose((bias == null ? "no bias" : "bias") + (added == null ? "" : " and residual"),
                        Reference.linear(x, weight, bias, activation, added),
                        device.linear(put(x), layer, activation, added == null ? null : put(added)));
            }
        }
    }

    @Test
    void oneLayerTakesAnyNumberOfRows() {
        Values weight = weights(9, 13);
        Device.Linear layer = packer.linear(host(weight), null);
        for (int rows : new int[] {3, 1, 40, 3}) {
            Values x = activations(rows, 13);
            assertClose(Reference.linear(x, weight, null, Activation.NONE, null),
                    device.linear(put(x), layer, Activation.NONE, null));
        }
    }

    @Test
    void linearIntoRowsOfALargerTensor() {
        Values x = activations(2, 5, 16);
        Values weight = weights(24, 16);
        Values around = activations(5, 5, 24);
        for (Values bias : new Values[] {null, floats(24)}) {
            Device.Linear layer = packer.linear(host(weight), host(bias));
            Tensor larger = put(around);
            device.linearInto(put(x), layer, larger.rows(1, 2));
            Values expected = Reference.linear(x, weight, bias, Activation.NONE, null);
            assertClose("result", expected, larger.rows(1, 2));
            assertExact(around.rows(0, 1), larger.rows(0, 1));
            assertExact(around.rows(3, 2), larger.rows(3, 2));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "7, 13, 9", "77, 20, 83"})
    void gatedLinear(int rows, int in, int out) {
        Values x = activations(2, rows, in);
        Values weight = weights(2 * out, in);
        Values bias = floats(2 * out);
        Device.GatedLinear layer = packer.gatedLinear(host(weight), host(bias), null);
        assertEquals(in, layer.inFeatures());
        assertEquals(out, layer.outFeatures());
        assertClose(Reference.gatedLinear(x, weight, bias), device.gatedLinear(put(x), layer));
    }

    /** Also where what a row's values have in common is greater than what they differ by, and where they do not differ. */
    @ParameterizedTest
    @CsvSource({"1, 4, 1", "7, 13, 9", "3, 64, 24", "66, 96, 72"})
    void gatedLinearOfNormed(int rows, int in, int out) {
        Values weight = weights(2 * out, in);
        Values bias = floats(2 * out);
        Values scale = floats(in).map(v -> (float) (1 + 0.3 * v));
        Values shift = floats(in).map(v -> (float) (0.5 * v));
        float epsilon = 0.01f;
        Device.GatedLinear layer = packer.gatedLinear(host(weight), host(bias), new Device.LayerNorm(host(scale), host(shift), epsilon));
        assertEquals(in, layer.inFeatures());
        assertEquals(out, layer.outFeatures());
        for (double mean : new double[] {0.3, -8}) {
            Values x = activations(2, rows, in).map(v -> v + mean).rounded(type);
            assertClose("mean " + mean, Reference.gatedLinear(Reference.layerNorm(x, scale, shift, epsilon), weight, bias),
                    device.gatedLinear(put(x), layer));
        }
        Values equal = new Values(2, rows, in).map(v -> 3);
        assertClose("all equal", Reference.gatedLinear(Reference.layerNorm(equal, scale, shift, epsilon), weight, bias),
                device.gatedLinear(put(equal), layer));
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1, 1", "2, 13, 5, 7", "3, 77, 4, 21", "1, 5, 77, 3"})
    void mixTokens(int batch, int inTokens, int outTokens, int channels) {
        Values x = activations(batch, inTokens, channels);
        Values weight = weights(outTokens, inTokens);
        Device.TokenMixer mixer = packer.tokenMixer(host(weight));
        assertEquals(inTokens, mixer.inTokens());
        assertEquals(outTokens, mixer.outTokens());
        assertClose(Reference.mixTokens(x, weight), device.mixTokens(put(x), mixer));
    }

    @Test
    void wrongShapesOfLinearLayers() {
        Device.Linear linear = packer.linear(host(weights(9, 6)), null);
        Device.GatedLinear gated = packer.gatedLinear(host(weights(10, 6)), host(floats(10)), null);
        Device.TokenMixer mixer = packer.tokenMixer(host(weights(4, 15)));
        Tensor x = zeros(2, 15, 7);
        assertRefused(() -> device.linear(x, linear, Activation.NONE, null), x.shape());
        assertRefused(() -> device.linear(zeros(2, 15, 6), linear, Activation.NONE, zeros(2, 14, 9)), new int[] {2, 14, 9}, new int[] {2, 15, 9});
        assertRefused(() -> device.linearInto(x, linear, zeros(2, 15, 9)), x.shape());
        assertRefused(() -> device.linearInto(zeros(2, 15, 6), linear, zeros(15, 2, 9)), new int[] {15, 2, 9}, new int[] {2, 15, 9});
        assertRefused(() -> device.gatedLinear(x, gated), x.shape());
        assertRefused(() -> device.mixTokens(zeros(2, 14, 6), mixer), new int[] {2, 14, 6});
        assertRefused(() -> device.mixTokens(zeros(15, 6), mixer), new int[] {15, 6});
    }
}
