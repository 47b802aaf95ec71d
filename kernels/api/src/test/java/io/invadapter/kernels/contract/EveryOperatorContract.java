package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Operators.Padding;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What holds for every operator alike. */
abstract class EveryOperatorContract extends DeviceFixture {

    private final DeviceContract contract;

    EveryOperatorContract(DeviceContract contract) {
        this(contract, contract.device);
    }

    private EveryOperatorContract(DeviceContract contract, Device device) {
        super(contract, device);
        this.contract = contract;
    }

    /** One use of an operator; its inputs are exact in every type. */
    private record Use(String name, Function<Tensor[], Tensor> operator, DataType[] types, Values... inputs) {
    }

    private Use use(String name, Function<Tensor[], Tensor> operator, Values... inputs) {
        return new Use(name, operator, Stream.of(inputs).map(i -> type).toArray(DataType[]::new), inputs);
    }

    private Use float32Use(String name, Function<Tensor[], Tensor> operator, Values... inputs) {
        return new Use(name, operator, Stream.of(inputs).map(i -> DataType.FLOAT32).toArray(DataType[]::new), inputs);
    }

    private Values input(int... shape) {
        return Values.coarse(random, shape);
    }

    private List<Use> everyOperator() {
        Device.Linear linear = packer.linear(host(weights(9, 6)), host(floats(9)));
        Device.GatedLinear gated = packer.gatedLinear(host(weights(10, 6)), host(floats(10)),
                new Device.LayerNorm(host(floats(6)), host(floats(6)), EPSILON));
        Device.TokenMixer mixer = packer.tokenMixer(host(weights(4, 15)));
        Device.Convolution convolution = packer.convolution(host(weights(9, 6, 3, 3)), host(floats(9)), 1, Padding.same(1), type);
        Device.Norm norm = packer.norm(host(floats(6)), host(floats(6)));
        Device.Norm wideNorm = packer.norm(host(floats(8)), host(floats(8)));
        Tensor statistics = device.upload(DataType.FLOAT32, new float[] {0.5f, 1, 0.25f, 2, 0, 1, 0.125f, 0.5f}, 2, 2, 2);
        Tensor rows = device.upload(new int[] {1, 0});
        Tensor scales = device.upload(DataType.FLOAT32, new float[] {0.5f, 1}, 2);
        return List.of(
                use("linear", t -> device.linear(t[0], linear, Activation.GELU, t[1]), input(2, 15, 6), input(2, 15, 9)),
                use("linearInto", t -> {
                    device.linearInto(t[0], linear, t[1]);
                    return t[1];
                }, input(2, 15, 6), input(2, 15, 9)),
                use("gatedLinear", t -> device.gatedLinear(t[0], gated), input(2, 15, 6)),
                use("mixTokens", t -> device.mixTokens(t[0], mixer), input(2, 15, 6)),
                use("conv2d", t -> device.conv2d(t[0], convolution, t[1], t[2]), input(2, 3, 5, 6), input(1, 9), input(2, 3, 5, 9)),
                use("conv2d, a shift for each", t -> device.conv2d(t[0], convolution, t[1], t[2]), input(2, 3, 5, 6), input(2, 9),
                        input(2, 3, 5, 9)),
                use("groupNorm", t -> device.groupNorm(t[0], norm, 2, EPSILON, true), input(2, 3, 5, 6)),
                use("groupStatistics", t -> device.groupStatistics(t[0], 2, EPSILON), input(2, 3, 5, 8)),
                use("groupNorm with statistics", t -> device.groupNorm(t[0], wideNorm, statistics, true), input(2, 3, 5, 8)),
                use("joinedGroupNorm, the map", t -> device.joinedGroupNorm(t[0], t[1], norm, 2, EPSILON, true).map(),
                        input(2, 3, 5, 2), input(2, 3, 5, 4)),
                use("joinedGroupNorm", t -> device.joinedGroupNorm(t[0], t[1], norm, 2, EPSILON, true).normed(),
                        input(2, 3, 5, 2), input(2, 3, 5, 4)),
                use("layerNorm", t -> device.layerNorm(t[0], norm, EPSILON), input(2, 15, 6)),
                use("attention", t -> device.attention(t[0], List.of(Source.of(t[1], t[2]), new Source(t[3], t[4], rows, scales),
                        Source.of(t[5], t[6])), 3, false), input(2, 15, 24), input(2, 7, 24), input(2, 7, 24), input(2, 5, 24),
                        input(2, 5, 24), input(2, 9, 24), input(2, 9, 24)),
                use("causal attention", t -> device.attention(t[0], List.of(Source.of(t[1], t[2])), 3, true),
                        input(2, 15, 24), input(2, 15, 24), input(2, 15, 24)),
                use("upsample2x", t -> device.upsample2x(t[0], 5, 10), input(2, 3, 5, 6)),
                use("add", t -> device.add(t[0], t[1]), input(2, 3, 5, 6), input(2, 3, 5, 6)),
                use("concat", t -> device.concat(-1, t[0], t[1]), input(2, 3, 5, 6), input(2, 3, 5, 4)),
                float32Use("timestepEmbedding", t -> device.timestepEmbedding(t[0], 26, true, 0), input(5)),
                float32Use("toActivations", t -> device.toActivations(t[0], t[1]), input(1, 5, 7, 3), input(2, 5, 7, 3)),
                float32Use("combine", t -> {
                    device.combine(List.of(t[0], t[1]), t[2], t[0], t[3]);
                    return t[0];
                }, input(2, 5, 7, 3), input(2, 5, 7, 3), input(2, 2, 2), input(2, 5, 7, 3)),
                float32Use("matchDeviation", t -> {
                    device.matchDeviation(t[0], t[1], t[2]);
                    return t[0];
                }, input(2, 5, 7, 3), input(2, 5, 7, 3), input(2)),
                float32Use("blend", t -> {
                    device.blend(t[0], t[1], t[2]);
                    return t[0];
                }, input(2, 5, 7, 3), input(2, 5, 7, 3), input(1, 5, 7, 1)));
    }

    private Tensor[] put(Use use) {
        Tensor[] tensors = new Tensor[use.inputs.length];
        for (int i = 0; i < tensors.length; i++) {
            tensors[i] = put(use.types[i], use.inputs[i]);
        }
        return tensors;
    }

    private float[] run(Use use) {
        return device.download(use.operator.apply(put(use)));
    }

    @Test
    void theSameCallGivesTheSameBits() {
        List<Use> uses = everyOperator();
        List<float[]> first = uses.stream().map(this::run).toList();
        for (int i = 0; i < uses.size(); i++) {
            assertArrayEquals(first.get(i), run(uses.get(i)), uses.get(i).name);
        }
    }

    @Test
    void tensorsOfAClosedScopeAreRefused() {
        for (Use use : everyOperator()) {
            for (int i = 0; i < use.inputs.length; i++) {
                Tensor[] tensors = put(use);
                try (Scope inner = device.scope()) {
                    tensors[i] = put(use.types[i], use.inputs[i]);
                }
                assertThrows(IllegalStateException.class, () -> use.operator.apply(tensors), "argument " + i + " of " + use.name);
            }
        }
    }

    /** Native code that is called with what is gone may end the process. */
    @Test
    void tensorsOfAClosedDeviceAreRefused() {
        Device other = contract.open(precision);
        EveryOperatorContract onOther = new EveryOperatorContract(contract, other) { };
        List<Use> uses = onOther.everyOperator();
        List<Tensor[]> inputs = uses.stream().map(onOther::put).toList();
        other.close();
        for (int i = 0; i < uses.size(); i++) {
            Use use = uses.get(i);
            Tensor[] tensors = inputs.get(i);
            assertThrows(IllegalStateException.class, () -> use.operator.apply(tensors), use.name);
        }
    }

    /** Others' weights, and operators without any, are as they were. */
    @Test
    void weightsOfAClosedPackerAreRefused() {
        Set<String> weighted = Set.of("linear", "linearInto", "gatedLinear", "mixTokens", "conv2d", "conv2d, a shift for each", "groupNorm",
                "groupNorm with statistics", "joinedGroupNorm, the map", "joinedGroupNorm", "layerNorm");
        EveryOperatorContract others = new EveryOperatorContract(contract, device) { };
        List<Use> uses = everyOperator();
        List<Use> staying = others.everyOperator();
        List<float[]> before = staying.stream().map(this::run).toList();
        packer.close();
        for (int i = 0; i < uses.size(); i++) {
            Use use = uses.get(i);
            if (weighted.contains(use.name)) {
                assertThrows(IllegalStateException.class, () -> run(use), use.name);
            } else {
                run(use);
            }
            assertArrayEquals(before.get(i), run(staying.get(i)), use.name);
        }
        others.packer.close();
    }

    /** To the bit, whatever the device was opened in. */
    @ParameterizedTest
    @EnumSource
    void aViewComputesAsADeviceOfThatPrecision(Precision other) {
        Device view = PrecisionContract.view(device, other);
        try (Device opened = contract.open(other)) {
            EveryOperatorContract onView = new EveryOperatorContract(contract, view) { };
            EveryOperatorContract onDevice = new EveryOperatorContract(contract, opened) { };
            List<Use> uses = onView.everyOperator();
            List<Use> expected = onDevice.everyOperator();
            for (int i = 0; i < uses.size(); i++) {
                assertArrayEquals(onDevice.run(expected.get(i)), onView.run(uses.get(i)), uses.get(i).name);
            }
            onView.packer.close();
        }
    }

    /** Silent garbage is the one thing an operator must not make of a view. */
    @Test
    void columnsAreUnderstoodOrRefused() {
        for (Use use : everyOperator()) {
            for (int i = 0; i < use.inputs.length; i++) {
                int channels = use.inputs[i].channels();
                Tensor[] tensors = put(use);
                tensors[i] = put(use.types[i], Reference.concat(-1, use.inputs[i], use.inputs[i].times(-2))).columns(0, channels);
                assertUnderstoodOrRefused(use, i, tensors);
            }
        }
    }

    @Test
    void otherTypesAreUnderstoodOrRefused() {
        for (Use use : everyOperator()) {
            for (int i = 0; i < use.inputs.length; i++) {
                for (DataType other : new DataType[] {DataType.FLOAT32, DataType.FLOAT16, DataType.BFLOAT16}) {
                    if (other != use.types[i]) {
                        Tensor[] tensors = put(use);
                        tensors[i] = put(other, use.inputs[i]);
                        assertUnderstoodOrRefused(use, i, tensors);
                    }
                }
            }
        }
    }

    private void assertUnderstoodOrRefused(Use use, int argument, Tensor[] tensors) {
        String what = use.name + " with " + tensors[argument] + " as argument " + argument;
        Tensor result;
        try {
            result = use.operator.apply(tensors);
        } catch (IllegalArgumentException e) {
            return;
        }
        assertClose(what, Values.of(run(use), result.shape()), result, result.type(), tolerance);
    }
}
