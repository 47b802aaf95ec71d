package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.contract.DeviceContract;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import org.junit.jupiter.api.Nested;

/** The CUDA device on the emulator keeps the contract of every device. */
class CudaDeviceTest {

    static CudaDevice open(EmulatedGpu gpu, Precision precision) {
        return open(gpu, precision, ChoiceBook.inMemory());
    }

    static CudaDevice open(EmulatedGpu gpu, Precision precision, ChoiceBook book) {
        return new CudaDevice("cuda:0", precision, gpu.driver(), gpu.blas(), gpu.dnn(), book);
    }

    private abstract static class OnTheEmulator extends DeviceContract {
        OnTheEmulator(Precision precision, double tolerance) {
            super(precision, tolerance);
        }

        @Override
        protected Device open(Precision precision) {
            return CudaDeviceTest.open(EmulatedGpu.fast(), precision);
        }
    }

    @Nested
    class Float16 extends OnTheEmulator {
        Float16() {
            super(Precision.FP16, 4e-3);
        }
    }

    @Nested
    class Bfloat16 extends OnTheEmulator {
        Bfloat16() {
            super(Precision.BF16, 3e-2);
        }
    }

    @Nested
    class Float32 extends OnTheEmulator {
        Float32() {
            super(Precision.FP32, 1e-5);
        }
    }
}
