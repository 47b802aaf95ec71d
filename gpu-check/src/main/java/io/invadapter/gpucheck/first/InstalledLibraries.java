package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.util.List;

/** This computer's first GPU. */
public final class InstalledLibraries implements Gpu {

    @Override
    public void mustBeThere() {
        if (JCudaDriverApi.deviceCount() == 0) {
            throw new DeviceException("NVIDIA's driver knows no GPU");
        }
    }

    @Override
    public List<String> report() {
        return CudaLibraries.report();
    }

    @Override
    public CudaDriver driver() {
        return JCudaDriverApi.open(0);
    }

    @Override
    public CudaLibraries libraries(CudaDriver driver) {
        return CudaLibraries.open(driver);
    }
}
