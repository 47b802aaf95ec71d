package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Operators.Padding;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Weights of every type, wherever they lie. */
abstract class WeightContract extends DeviceFixture {

    WeightContract(DeviceContract contract) {
        super(contract);
    }

    /** The same weights in float32 on the heap and in {@code as} elsewhere give the same bits. */
    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void weightsOfEveryType(DataType as) {
        Tensor tokens = put(activations(2, 15, 6));
        Tensor map = tokens.map(3, 5);
        Values matrix = Values.coarse(random, 10, 6);
        Values vector = Values.coarse(random, 10);
        Values mixer = Values.coarse(random, 4, 15);
        Values kernel = Values.coarse(random, 10, 6, 3, 3);
        Values scale = Values.coarse(random, 6);
        Values table = Values.coarse(random, 9, 6);
        List<Function<Function<Values, HostTensor>, Tensor>> layers = List.of(
                w -> device.linear(tokens, packer.linear(w.apply(matrix), w.apply(vector)), Activation.SILU, null),
                w -> device.gatedLinear(tokens, packer.gatedLinear(w.apply(matrix), w.apply(vector),
                        new Device.LayerNorm(w.apply(scale), w.apply(scale), EPSILON))),
                w -> device.mixTokens(tokens, packer.tokenMixer(w.apply(mixer))),
                w -> device.conv2d(map, packer.convolution(w.apply(kernel), w.apply(vector), 1, Padding.same(1), type), null, null),
                w -> device.groupNorm(map, packer.norm(w.apply(scale), w.apply(scale)), 2, EPSILON, false),
                w -> device.embed(packer.table(w.apply(table)), packer.table(w.apply(table)), new int[][] {{8, 0, 3}}));
        try (Arena arena = Arena.ofConfined()) {
            for (Function<Function<Values, HostTensor>, Tensor> layer : layers) {
                float[] expected = device.download(layer.apply(DeviceFixture::host));
                assertArrayEquals(expected, device.download(layer.apply(values -> values.host(as))), "on the heap");
                assertArrayEquals(expected, device.download(layer.apply(values -> outside(values.host(as), arena, 0))), "native");
                assertArrayEquals(expected, device.download(layer.apply(values -> outside(values.host(as), arena, 1))),
                        "native, at an odd address, as in a mapped file");
            }
        }
    }

    private static HostTensor outside(HostTensor weights, Arena arena, long offset) {
        MemorySegment memory = arena.allocate(weights.data().byteSize() + offset, 64).asSlice(offset);
        memory.copyFrom(weights.data());
        return new HostTensor(weights.type(), weights.shape(), memory);
    }

    @Test
    void wrongShapesOfWeights() {
        HostTensor matrix = host(weights(10, 6));
        HostTensor kernel = host(weights(10, 6, 3, 3));
        HostTensor nine = host(floats(9));
        HostTensor odd = host(weights(9, 6));
        assertRefused(() -> packer.linear(matrix, nine), matrix.shape(), nine.shape());
        assertRefused(() -> packer.linear(kernel, null), kernel.shape());
        assertRefused(() -> packer.gatedLinear(matrix, nine, null), matrix.shape(), nine.shape());
        assertRefused(() -> packer.gatedLinear(odd, nine, null), odd.shape());
        HostTensor ten = host(floats(10));
        assertRefused(() -> packer.gatedLinear(matrix, ten, new Device.LayerNorm(nine, nine, EPSILON)), matrix.shape(), nine.shape());
        assertRefused(() -> packer.gatedLinear(matrix, ten, new Device.LayerNorm(host(floats(6)), nine, EPSILON)), nine.shape());
        assertRefused(() -> packer.tokenMixer(nine), nine.shape());
        assertRefused(() -> packer.convolution(kernel, nine, 1, Padding.NONE, type), kernel.shape(), nine.shape());
        assertRefused(() -> packer.convolution(matrix, null, 1, Padding.NONE, type), matrix.shape());
        assertRefused(() -> packer.norm(nine, host(floats(10))), nine.shape(), new int[] {10});
        assertRefused(() -> packer.norm(matrix, matrix), matrix.shape());
        assertRefused(() -> packer.table(nine), nine.shape());
    }
}
