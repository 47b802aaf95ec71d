package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.contract.DeviceContract;
import java.util.function.Consumer;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

class CpuDeviceTest {
    private static final Consumer<String> NO_NOTICES = notice -> {
        throw new AssertionError(notice);
    };

    @Nested
    class Float32 extends DeviceContract {
        Float32() {
            super(Precision.FP32, 1e-5);
        }

        @Override
        protected Device open(Precision precision) {
            return Devices.open("cpu", precision, NO_NOTICES);
        }
    }

    @Nested
    class Bfloat16 extends DeviceContract {
        Bfloat16() {
            super(Precision.BF16, 2e-2);
        }

        @Override
        protected Device open(Precision precision) {
            return Devices.open("cpu", precision, NO_NOTICES);
        }
    }

    @Test
    void float32IsTheDefault() {
        try (Device device = Devices.open("cpu", null, NO_NOTICES)) {
            assertEquals("cpu", device.name());
            assertEquals(Precision.FP32, device.precision());
            assertTrue(device.description().startsWith("CPU, "), device.description());
        }
    }

    @Test
    void autoFindsIt() {
        try (Device device = Devices.open("auto", Precision.BF16, NO_NOTICES)) {
            assertEquals("cpu", device.name());
            assertEquals(Precision.BF16, device.precision());
        }
    }

    @Test
    void float16IsRefused() {
        assertRefused("cpu", Precision.FP16, "the CPU device computes in fp32 or bf16, not in fp16");
    }

    @Test
    void thereIsOnlyOneCpu() {
        assertRefused("cpu:1", Precision.FP32, "there is no device cpu:1: all cores together are cpu");
    }

    private static void assertRefused(String name, Precision precision, String message) {
        DeviceException e = assertThrows(DeviceException.class, () -> Devices.open(name, precision, NO_NOTICES));
        assertEquals(message, e.getMessage());
    }
}
