package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;

/** Recorded work, run as often as wanted. */
abstract class RecordingContract extends DeviceFixture {

    RecordingContract(DeviceContract contract) {
        super(contract);
    }

    /** {@code 2 x} beside {@code x}, in several steps with tensors of their own. */
    private void work(Tensor x, Device.Linear twice, Tensor result) {
        try (Scope inner = device.scope()) {
            Tensor doubled = device.linear(x, twice, Device.Activation.NONE, null);
            device.copy(device.concat(-1, doubled, x), result);
        }
    }

    private Device.Linear twice(int features) {
        Values weight = new Values(features, features);
        for (int i = 0; i < features; i++) {
            weight.data()[i * features + i] = 2;
        }
        return packer.linear(host(weight), null);
    }

    private static Values worked(Values x) {
        return Reference.concat(-1, x.times(2), x);
    }

    @Test
    void aRecordingWorksOnWhatIsWritten() {
        Device.Linear twice = twice(5);
        Tensor x = zeros(3, 5);
        Tensor result = zeros(3, 10);
        try (Device.Recording recording = device.record(() -> work(x, twice, result))) {
            for (int run = 0; run < 5; run++) {
                Values values = activations(3, 5);
                device.write(x, values.floats());
                recording.run();
                assertExact(worked(values), result);
            }
        }
    }

    @Test
    void aRecordingRunsOnlyWhenTold() {
        Device.Linear twice = twice(5);
        Values untouched = activations(3, 10);
        Tensor x = zeros(3, 5);
        Tensor result = put(untouched);
        try (Device.Recording recording = device.record(() -> work(x, twice, result))) {
            assertExact(untouched, result);
            recording.run();
            assertExact(new Values(3, 10), result);
        }
    }

    @Test
    void workGivenBeforeAWriteSeesTheOldValues() {
        Device.Linear twice = twice(5);
        Values first = activations(3, 5);
        Values second = activations(3, 5);
        Tensor x = put(first);
        Tensor result = zeros(3, 10);
        Tensor firstResult = zeros(3, 10);
        try (Device.Recording recording = device.record(() -> work(x, twice, result))) {
            recording.run();
            device.copy(result, firstResult);
            device.write(x, second.floats());
            recording.run();
        }
        assertExact(worked(first), firstResult);
        assertExact(worked(second), result);
    }

    @Test
    void tensorsMadeBetweenRunsStayWhole() {
        Device.Linear twice = twice(5);
        Values values = activations(3, 5);
        Tensor x = put(values);
        Tensor result = zeros(3, 10);
        try (Device.Recording recording = device.record(() -> work(x, twice, result))) {
            recording.run();
            Tensor between = put(values);
            Tensor joined = put(worked(values));
            recording.run();
            assertExact(values, between);
            assertExact(worked(values), joined);
        }
        assertExact(worked(values), result);
    }

    @Test
    void recordingsTakeTurns() {
        Device.Linear twice = twice(5);
        Values values = activations(3, 5);
        Tensor x = put(values);
        Tensor middle = zeros(3, 10);
        Tensor result = zeros(6, 10);
        try (Device.Recording first = device.record(() -> work(x, twice, middle));
                Device.Recording second = device.record(() -> work(middle.reshape(6, 5), twice, result))) {
            for (int run = 0; run < 3; run++) {
                device.write(x, values.times(run).floats());
                first.run();
                second.run();
            }
        }
        assertExact(worked(worked(values.times(2)).reshape(6, 5)), result);
    }

    @Test
    void workThatFailsLeavesTheDeviceUsable() {
        Tensor x = zeros(3, 5);
        Values values = activations(3, 5);
        assertThrows(IllegalArgumentException.class, () -> {
            try (Device.Recording recording = device.record(() -> device.copy(device.concat(-1, x, x), x))) {
                recording.run();
            }
        });
        device.write(x, values.floats());
        assertExact(Reference.concat(-1, values, values), device.concat(-1, x, x));
    }
}
