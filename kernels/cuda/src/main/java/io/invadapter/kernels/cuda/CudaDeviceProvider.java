package io.invadapter.kernels.cuda;

import io.invadapter.base.CacheFolder;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceProvider;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.GpuHardware;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.util.List;

/** Opens NVIDIA GPUs. */
public final class CudaDeviceProvider implements DeviceProvider {

    @Override
    public String kind() {
        return "cuda";
    }

    @Override
    public int priority() {
        return 10;
    }

    @Override
    public boolean isPresent() {
        return GpuHardware.isPresent() || driverKnowsOne();
    }

    /** A container may show the driver's GPUs without the buses they are on. */
    private static boolean driverKnowsOne() {
        try {
            return JCudaDriverApi.deviceCount() > 0;
        } catch (CudaException e) {
            return false;
        }
    }

    @Override
    public Precision defaultPrecision() {
        return Precision.FP16;
    }

    @Override
    public Device open(int index, Precision precision) {
        CudaDriver driver = JCudaDriverApi.open(index);
        CudaLibraries libraries;
        try {
            libraries = CudaLibraries.open(driver);
        } catch (RuntimeException e) {
            driver.close();
            throw e;
        }
        ChoiceBook book = ChoiceBook.onDisk(CacheFolder.path().resolve("choices"), String.join(", ", driver.deviceName(),
                "driver " + driver.driverVersion(), libraries.blas().description(), libraries.dnn().description()));
        return new CudaDevice("cuda:" + index, precision, driver, libraries.blas(), libraries.dnn(), book);
    }

    @Override
    public List<String> report() {
        return CudaLibraries.report();
    }
}
