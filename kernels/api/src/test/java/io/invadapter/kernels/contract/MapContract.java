package io.invadapter.kernels.contract;

import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What only moves the values of feature maps. */
abstract class MapContract extends DeviceFixture {

    MapContract(DeviceContract contract) {
        super(contract);
    }

    @ParameterizedTest
    @CsvSource({"2, 3, 5, 7, 6, 10", "2, 3, 5, 7, 5, 10", "2, 3, 5, 7, 6, 9", "2, 3, 5, 7, 5, 9", "1, 1, 1, 3, 1, 1", "1, 1, 1, 1, 2, 2"})
    void upsample2x(int batch, int height, int width, int channels, int newHeight, int newWidth) {
        Values x = activations(batch, height, width, channels);
        assertExact(Reference.upsample2x(x, newHeight, newWidth), device.upsample2x(put(x), newHeight, newWidth));
    }

    @ParameterizedTest
    @CsvSource({"2, 3, 5, 7, 4", "1, 1, 1, 1, 1", "1, 5, 3, 33, 9"})
    void concatChannels(int batch, int height, int width, int first, int second) {
        Values a = activations(batch, height, width, first);
        Values b = activations(batch, height, width, second);
        assertExact(Reference.concatChannels(a, b), device.concatChannels(put(a), put(b)));
    }

    @Test
    void wrongShapesOfMaps() {
        Tensor x = zeros(2, 3, 5, 7);
        for (int[] size : new int[][] {{4, 10}, {7, 10}, {6, 8}, {6, 11}, {0, 0}}) {
            assertRefused(() -> device.upsample2x(x, size[0], size[1]), x.shape());
        }
        assertRefused(() -> device.concatChannels(x, zeros(1, 3, 5, 7)), x.shape(), new int[] {1, 3, 5, 7});
        assertRefused(() -> device.concatChannels(x, zeros(2, 5, 3, 7)), x.shape(), new int[] {2, 5, 3, 7});
    }
}
