package io.invadapter.kernels.cuda.driver;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.JCudaDriver;

/**
 * A GPU that the driver lists, usable or not.
 *
 * @param number     as in {@code cuda:number}
 * @param capability major * 10 + minor
 * @param memory     bytes
 */
public record InstalledGpu(int number, String name, int capability, long memory) {
    /**
     * The driver's CUDA version, as major * 1000 + minor * 10.
     *
     * @throws CudaException when there is no driver, an old one, or no GPU; the message says what to do
     */
    public static int driverVersion() {
        return JCudaDriverApi.startVersion();
    }

    /**
     * All of them.
     *
     * @throws CudaException when there is no driver, an old one, or no GPU; the message says what to do
     */
    public static List<InstalledGpu> all() {
        List<InstalledGpu> gpus = new ArrayList<>();
        int count = JCudaDriverApi.deviceCount();
        for (int i = 0; i < count; i++) {
            CUdevice device = new CUdevice();
            byte[] name = new byte[256];
            long[] memory = new long[1];
            JCudaDriverApi.start("cuDeviceGet", JCudaDriver.cuDeviceGet(device, i));
            JCudaDriverApi.start("cuDeviceGetName", JCudaDriver.cuDeviceGetName(name, name.length, device));
            JCudaDriverApi.start("cuDeviceTotalMem", JCudaDriver.cuDeviceTotalMem(memory, device));
            int capability = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10
                    + attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
            gpus.add(new InstalledGpu(i, new String(name, StandardCharsets.US_ASCII).split("\0", 2)[0], capability, memory[0]));
        }
        return gpus;
    }

    private static int attribute(CUdevice device, int which) {
        int[] value = new int[1];
        JCudaDriverApi.start("cuDeviceGetAttribute", JCudaDriver.cuDeviceGetAttribute(value, which, device));
        return value[0];
    }

    /** One line for people. */
    public String description() {
        return "GPU " + number + ": " + name + ", compute capability " + capability / 10 + "." + capability % 10 + ", "
                + DriverErrors.bytes(memory)
                + (capability < 80 ? "; too old, 8.0 or newer is needed (GeForce RTX 30, A100 and later)" : "");
    }
}
