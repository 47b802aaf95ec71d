package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is done to feature maps without weights: moved, joined, added. */
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
    void concatOfChannels(int batch, int height, int width, int first, int second) {
        Values a = activations(batch, height, width, first);
        Values b = activations(batch, height, width, second);
        assertExact(Reference.concat(3, a, b), device.concat(-1, put(a), put(b)));
    }

    @ParameterizedTest
    @CsvSource({"0", "1", "2", "3", "-1", "-2", "-3", "-4"})
    void concat(int axis) {
        List<Values> parts = new ArrayList<>();
        for (int extent : new int[] {1, 16, 3, 2, 8}) {
            int[] shape = {2, 3, 5, 16};
            shape[axis < 0 ? 4 + axis : axis] = extent;
            parts.add(activations(shape));
            Values[] some = parts.toArray(Values[]::new);
            Tensor all = device.concat(axis, parts.stream().map(this::put).toArray(Tensor[]::new));
            assertEquals(type, all.type());
            assertExact(Reference.concat(axis, some), all);
            Tensor inFloats = device.concat(axis, parts.stream().map(part -> put(DataType.FLOAT32, part)).toArray(Tensor[]::new));
            assertEquals(DataType.FLOAT32, inFloats.type());
            assertExact(Reference.concat(axis, some), inFloats);
        }
    }

    /** Texts in pieces, and the rows of a batch that others share. */
    @Test
    void concatOfViews() {
        Values x = activations(4, 7, 24);
        Tensor tensor = put(x);
        assertExact(Reference.concat(0, x.rows(2, 2), x, x.rows(0, 1)), device.concat(0, tensor.rows(2, 2), tensor, tensor.rows(0, 1)));
        assertExact(Reference.concat(1, x.rows(1, 2), x.rows(0, 2)), device.concat(1, tensor.rows(1, 2), tensor.rows(0, 2)));
    }

    @ParameterizedTest
    @CsvSource({"2, 3, 5, 7", "1, 1, 1, 1", "1, 64, 64, 40"})
    void add(int batch, int height, int width, int channels) {
        Values a = activations(batch, height, width, channels);
        Values b = activations(batch, height, width, channels);
        assertClose(Reference.add(a, b), device.add(put(a), put(b)));
    }

    @Test
    void wrongShapesOfMaps() {
        Tensor x = zeros(2, 3, 5, 7);
        for (int[] size : new int[][] {{4, 10}, {7, 10}, {6, 8}, {6, 11}, {0, 0}}) {
            assertRefused(() -> device.upsample2x(x, size[0], size[1]), x.shape());
        }
        assertRefused(() -> device.concat(-1, x, zeros(1, 3, 5, 7)), x.shape(), new int[] {1, 3, 5, 7});
        assertRefused(() -> device.concat(3, x, zeros(2, 5, 3, 7)), x.shape(), new int[] {2, 5, 3, 7});
        assertRefused(() -> device.concat(2, x, zeros(2, 15, 7)), x.shape(), new int[] {2, 15, 7});
        assertRefused(() -> device.concat(0, x, zeros(2, 3, 5, 8)), x.shape(), new int[] {2, 3, 5, 8});
        assertRefused(() -> device.concat(4, x, x), x.shape());
        assertRefused(() -> device.concat(-5, x, x), x.shape());
        assertRefused(() -> device.concat(0));
        assertRefused(() -> device.add(x, zeros(2, 5, 3, 7)), x.shape(), new int[] {2, 5, 3, 7});
        assertRefused(() -> device.add(x, zeros(1, 3, 5, 7)), x.shape(), new int[] {1, 3, 5, 7});
    }
}
