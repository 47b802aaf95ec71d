package io.invadapter.timing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;

/** What is added up, whichever precision computes it. No time is asserted. */
class MeasuringDeviceTest {
    private static final int ROWS = 3;
    private static final int INSIDE = 16;
    private static final int OUTSIDE = 32;

    private static void product(Device device) {
        DataType type = device.precision().type();
        try (Scope scope = device.scope(); Packer packer = device.packer()) {
            Device.Linear weights = packer.linear(HostTensor.of(new float[OUTSIDE * INSIDE], OUTSIDE, INSIDE), null);
            Tensor x = device.upload(type, new float[ROWS * INSIDE], 1, ROWS, INSIDE);
            device.linear(x, weights, Device.Activation.NONE, null);
        }
    }

    /** What an autoencoder computes in float32 beside a network in another precision, above all. */
    @Test
    void anotherPrecisionAddsToTheSameSums() {
        try (MeasuringDevice device = new MeasuringDevice(Devices.open("cpu", Precision.BF16, notice -> { }))) {
            Device wider = device.as(Precision.FP32);
            assertSame(device, wider.as(Precision.BF16));
            assertSame(wider, device.as(Precision.FP32));
            assertEquals(Precision.FP32, wider.precision());
            product(wider);
            long values = ROWS * INSIDE + ROWS * OUTSIDE + INSIDE * OUTSIDE;
            MeasuringDevice.Total one = device.totals().get("linear");
            assertEquals(1, one.calls());
            assertEquals(2.0 * ROWS * INSIDE * OUTSIDE, one.operations());
            assertEquals(4.0 * values, one.bytes());
            product(device);
            MeasuringDevice.Total both = device.totals().get("linear");
            assertEquals(2, both.calls());
            assertEquals(6.0 * values, both.bytes());
            device.measure(false);
            product(wider);
            assertEquals(both, device.totals().get("linear"));
            device.reset();
            assertEquals(0, device.operations());
        }
    }

    /** While it measures, each run of a recording calls the operators again. */
    @Test
    void nothingIsRecordedInAnyPrecision() {
        try (MeasuringDevice device = new MeasuringDevice(Devices.open("cpu", Precision.FP32, notice -> { }))) {
            Device other = device.as(Precision.BF16);
            try (Device.Recording work = other.record(() -> product(other))) {
                work.run();
                work.run();
            }
            assertEquals(2, device.totals().get("linear").calls());
        }
    }
}
