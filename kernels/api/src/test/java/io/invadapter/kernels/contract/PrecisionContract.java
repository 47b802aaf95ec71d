package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** One device in several precisions; that a view computes as a device of its own is in {@link EveryOperatorContract}. */
abstract class PrecisionContract extends DeviceFixture {
    private final DeviceContract contract;

    PrecisionContract(DeviceContract contract) {
        super(contract);
        this.contract = contract;
    }

    /** Skips the test where the device cannot compute in it. */
    static Device view(Device device, Precision other) {
        Device view = null;
        try {
            view = device.as(other);
        } catch (DeviceException e) {
            assumeTrue(false, e.getMessage());
        }
        return view;
    }

    private Precision other() {
        return precision == Precision.FP32 ? Precision.BF16 : Precision.FP32;
    }

    @ParameterizedTest
    @EnumSource
    void aViewIsOfItsPrecision(Precision other) {
        Device view = view(device, other);
        assertEquals(other, view.precision());
        assertEquals(device.name(), view.name());
        assertSame(view, view.as(other));
        assertSame(device, view.as(precision));
        assertSame(device, device.as(precision));
    }

    @Test
    void closingAViewDoesNothing() {
        Device view = device.as(other());
        Values values = floats(3, 5);
        Tensor tensor = view.upload(DataType.FLOAT32, values.floats(), 3, 5);
        view.close();
        assertExact(values, tensor);
        assertExact(values, view.upload(DataType.FLOAT32, values.floats(), 3, 5));
    }

    @Test
    void aViewIsClosedWithItsDevice() {
        Device opened = contract.open(precision);
        Device view = opened.as(other());
        Device.Linear layer = view.packer().linear(host(new Values(8, 8)), null);
        Tensor x = view.upload(view.precision().type(), new float[64], 8, 8);
        opened.close();
        assertThrows(IllegalStateException.class, () -> view.linear(x, layer, Activation.NONE, null));
        assertThrows(IllegalStateException.class, view::packer);
        assertThrows(IllegalStateException.class, () -> view.allocate(DataType.FLOAT32, 1));
    }

    @Test
    void tensorsOfBothGoToBoth() {
        Device view = device.as(other());
        Values values = floats(1, 2, 3, 4);
        Tensor ofView = view.upload(DataType.FLOAT32, values.floats(), 1, 2, 3, 4);
        assertExact(values.rounded(type), device.toActivations(ofView));
        assertExact(values.rounded(view.precision().type()), view.toActivations(put(DataType.FLOAT32, values)));
        Tensor scoped;
        try (Scope inner = device.scope()) {
            scoped = view.allocate(DataType.FLOAT32, 3);
        }
        assertThrows(IllegalStateException.class, () -> device.download(scoped));
    }

    @Test
    void activationsAndWeightsOfTheOtherPrecisionAreRefused() {
        Device view = device.as(other());
        Device.Linear layer = packer.linear(host(weights(9, 6)), null);
        Tensor x = put(activations(3, 6));
        Tensor ofView = view.upload(view.precision().type(), new float[18], 3, 6);
        assertThrows(IllegalArgumentException.class, () -> device.linear(ofView, layer, Activation.NONE, null));
        assertThrows(IllegalArgumentException.class, () -> view.linear(ofView, layer, Activation.NONE, null));
        assertThrows(IllegalArgumentException.class, () -> view.linear(x, layer, Activation.NONE, null));
    }

    /** Whichever of both records: what the work allocates is in the recording's memory, which nobody else gets. */
    @Test
    void aRecordingMayComputeInBoth() {
        Device view = device.as(other());
        Values weight = Values.coarse(random, 4, 4);
        Device.Linear ofView = view.packer().linear(host(weight), null);
        Tensor latents = put(DataType.FLOAT32, new Values(1, 2, 3, 4));
        Tensor result = device.allocate(type, 1, 2, 3, 4);
        Tensor other = device.allocate(view.precision().type(), 1, 2, 3, 4);
        for (Device recorder : List.of(device, view)) {
            try (Device.Recording recording = recorder.record(() -> {
                try (Scope inner = recorder.scope()) {
                    device.copy(device.toActivations(latents), result);
                    view.copy(view.linear(view.toActivations(latents), ofView, Activation.NONE, null), other);
                }
            })) {
                List<Tensor> between = new ArrayList<>();
                Values untouched = Values.coarse(random, 1, 2, 3, 4);
                for (int run = 0; run < 4; run++) {
                    Values values = Values.coarse(random, 1, 2, 3, 4);
                    device.write(latents, values.floats());
                    recording.run();
                    assertExact(values, result);
                    assertClose("in the other precision", Reference.linear(values, weight, null, Activation.NONE, null), other,
                            view.precision().type(), 3e-2);
                    between.forEach(tensor -> assertExact(untouched, tensor));
                    between.add(put(untouched));
                    between.add(view.upload(type, untouched.floats(), 1, 2, 3, 4));
                }
            }
        }
    }
}
