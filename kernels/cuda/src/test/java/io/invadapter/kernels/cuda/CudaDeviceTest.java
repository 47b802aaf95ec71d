package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.contract.DeviceContract;
import org.junit.jupiter.api.Nested;

/** The CUDA device on the emulator keeps the contract of every device. */
class CudaDeviceTest {

    static CudaDevice open(EmulatedGpu gpu, Precision precision) {
        return new CudaDevice("cuda:0", precision, gpu.driver(), gpu.blas(), gpu.dnn());
    }

    @Nested
    class Float16 extends DeviceContract {
        Float16() {
            super(Precision.FP16, 4e-3);
        }

        @Override
        protected Device open(Precision precision) {
            return CudaDeviceTest.open(EmulatedGpu.fast(), precision);
        }
    }

    @Nested
    class Bfloat16 extends DeviceContract {
        Bfloat16() {
            super(Precision.BF16, 3e-2);
        }

        @Override
        protected Device open(Precision precision) {
            return CudaDeviceTest.open(EmulatedGpu.fast(), precision);
        }
    }

    @Nested
    class Float32 extends DeviceContract {
        Float32() {
            super(Precision.FP32, 1e-5);
        }

        @Override
        protected Device open(Precision precision) {
            return CudaDeviceTest.open(EmulatedGpu.fast(), precision);
        }
    }
}
