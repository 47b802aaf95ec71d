package io.invadapter.gpucheck.first;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.util.List;

/** What opens the GPU: NVIDIA's driver and libraries, or what a test has in their place. */
public interface Gpu {

    /** @throws io.invadapter.kernels.DeviceException when there is no GPU to speak of, or no driver */
    void mustBeThere();

    /** Driver, GPUs and libraries, one line each; see {@link CudaLibraries#report}. */
    List<String> report();

    /** The driver of the first GPU; whoever asks closes it. */
    CudaDriver driver();

    /** cuBLAS and cuDNN on that driver; whoever asks closes them. */
    CudaLibraries libraries(CudaDriver driver);
}
