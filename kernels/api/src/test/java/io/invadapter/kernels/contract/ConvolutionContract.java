package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Operators.Padding;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Convolutions with everything that is added to their result. */
abstract class ConvolutionContract extends DeviceFixture {

    ConvolutionContract(DeviceContract contract) {
        super(contract);
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0",
        "2, 5, 7, 13, 9, 1, 1, 0, 0, 0, 0",
        "2, 5, 7, 13, 9, 3, 1, 1, 1, 1, 1",
        "1, 9, 11, 3, 21, 3, 1, 1, 1, 1, 1",
        "1, 9, 11, 21, 3, 3, 1, 1, 1, 1, 1",
        "3, 1, 1, 5, 6, 3, 1, 1, 1, 1, 1",
        "1, 3, 3, 5, 6, 3, 1, 0, 0, 0, 0",
        "2, 8, 10, 7, 5, 3, 2, 1, 1, 1, 1",
        "2, 7, 9, 7, 5, 3, 2, 1, 1, 1, 1",
        "1, 8, 10, 7, 5, 3, 2, 0, 0, 1, 1",
        "1, 7, 9, 7, 5, 3, 2, 0, 0, 1, 1",
        "1, 5, 6, 4, 3, 3, 1, 2, 0, 1, 3",
        "1, 17, 33, 40, 24, 3, 1, 1, 1, 1, 1"})
    void conv2d(int batch, int height, int width, int in, int out, int kernel, int stride, int top, int left, int bottom, int right) {
        Padding padding = new Padding(top, left, bottom, right);
        Values x = activations(batch, height, width, in);
        Values weight = weights(out, in, kernel, kernel);
        Values bias = floats(out);
        Device.Convolution layer = packer.convolution(host(weight), host(bias), stride, padding, type);
        assertEquals(in, layer.inChannels());
        assertEquals(out, layer.outChannels());
        assertClose(Reference.conv2d(x, weight, bias, stride, padding, null, null), device.conv2d(put(x), layer, null, null));
    }

    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void conv2dWithShiftAndResidual(DataType outputType) {
        if (outputType != type && outputType != DataType.FLOAT32) {
            return;
        }
        Padding padding = Padding.same(1);
        Values x = activations(2, 5, 7, 13);
        Values weight = weights(9, 13, 3, 3);
        Values shift = activations(1, 9);
        Values shiftOfEach = activations(2, 9);
        Values residual = activations(2, 5, 7, 9);
        for (Values bias : new Values[] {null, floats(9)}) {
            Device.Convolution layer = packer.convolution(host(weight), host(bias), 1, padding, outputType);
            for (Values shifted : new Values[] {null, shift, shiftOfEach}) {
                for (Values added : new Values[] {null, residual}) {
                    assertClose("bias " + (bias != null) + ", shift " + shiftRows(shifted) + ", residual " + (added != null),
                            Reference.conv2d(x, weight, bias, 1, padding, shifted, added),
                            device.conv2d(put(x), layer, shifted == null ? null : put(shifted),
                                    added == null ? null : put(outputType, added)), outputType, tolerance);
                }
            }
        }
    }

    private static String shiftRows(Values shift) {
        return shift == null ? "none" : "of " + shift.batch();
    }

    /** Maps as large as those of a UNet, where devices may take other ways. */
    @Test
    void everyRowHasItsShift() {
        Values x = activations(3, 17, 33, 40);
        Values weight = weights(24, 40, 3, 3);
        Values shift = activations(3, 24);
        Device.Convolution layer = packer.convolution(host(weight), host(floats(24)), 1, Padding.same(1), type);
        float[] all = device.download(device.conv2d(put(x), layer, put(shift), null));
        for (int row = 0; row < 3; row++) {
            float[] own = device.download(device.conv2d(put(x.rows(row, 1)), layer, put(shift.rows(row, 1)), null));
            assertClose("row " + row, Values.of(own, 1, 17, 33, 24), put(type, Values.of(all, 3, 17, 33, 24).rows(row, 1)));
        }
    }

    @Test
    void oneConvolutionTakesPicturesOfAnySize() {
        Values weight = weights(6, 5, 3, 3);
        Device.Convolution layer = packer.convolution(host(weight), null, 1, Padding.same(1), type);
        for (int[] shape : new int[][] {{1, 5, 7, 5}, {2, 5, 7, 5}, {1, 70, 3, 5}, {1, 1, 1, 5}, {1, 5, 7, 5}}) {
            Values x = activations(shape);
            assertClose(Reference.conv2d(x, weight, null, 1, Padding.same(1), null, null),
                    device.conv2d(put(x), layer, null, null));
        }
    }

    @Test
    void wrongShapesOfAConvolution() {
        Device.Convolution layer = packer.convolution(host(weights(9, 6, 3, 3)), null, 1, Padding.NONE, type);
        Tensor x = zeros(2, 5, 7, 6);
        assertRefused(() -> device.conv2d(zeros(2, 5, 7, 5), layer, null, null), new int[] {2, 5, 7, 5});
        assertRefused(() -> device.conv2d(zeros(2, 35, 6), layer, null, null), new int[] {2, 35, 6});
        assertRefused(() -> device.conv2d(zeros(2, 5, 2, 6), layer, null, null), new int[] {2, 5, 2, 6});
        assertRefused(() -> device.conv2d(x, layer, zeros(1, 8), null), new int[] {1, 8});
        assertRefused(() -> device.conv2d(x, layer, zeros(3, 9), null), new int[] {3, 9}, x.shape());
        assertRefused(() -> device.conv2d(x, layer, zeros(9), null), new int[] {9}, x.shape());
        assertRefused(() -> device.conv2d(x, layer, null, zeros(2, 5, 7, 9)), new int[] {2, 5, 7, 9}, new int[] {2, 3, 5, 9});
    }
}
