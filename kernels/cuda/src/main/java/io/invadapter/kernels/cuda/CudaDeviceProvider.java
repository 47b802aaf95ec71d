package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceProvider;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.GpuHardware;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.nio.file.Path;
import java.util.ArrayList;
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
        return open("cuda:" + index, precision, driver, libraries, choices(ChoiceBook.folder(), driver, libraries));
    }

    /** What was chosen with these libraries and our kernels on this GPU, as kept in a folder. */
    public static ChoiceBook choices(Path folder, CudaDriver driver, CudaLibraries libraries) {
        return ChoiceBook.onDisk(folder, String.join(", ", driver.deviceName(), "driver " + driver.driverVersion(),
                libraries.blas().description(), libraries.dnn().description(), "kernels " + KernelLibrary.fingerprint()));
    }

    /**
     * A device on a driver and libraries that are open already. It takes them over: they are closed with it, or at once when this
     * fails.
     */
    public static Device open(String name, Precision precision, CudaDriver driver, CudaLibraries libraries, ChoiceBook choices) {
        return new CudaDevice(name, precision, driver, libraries.blas(), libraries.dnn(), choices);
    }

    @Override
    public List<String> report() {
        List<String> lines = new ArrayList<>(CudaLibraries.report());
        ChoiceBook.findAll(ChoiceBook.folder(), CudaDevice.NOT_RECORDABLE).forEach((owner, entry) -> lines.add(
                "launched one by one, for it could not be recorded as a graph: " + entry.name() + " (" + owner + ")"));
        return lines;
    }
}
