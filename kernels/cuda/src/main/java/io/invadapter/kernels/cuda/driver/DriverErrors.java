package io.invadapter.kernels.cuda.driver;

import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.util.Set;

/**
 * Turns what the driver's calls answer into sentences for users, and remembers whether one GPU is lost. Numbers are those of
 * {@code CUresult} in cuda.h, which never change.
 */
final class DriverErrors {
    static final int SUCCESS = 0;
    static final int OUT_OF_MEMORY = 2;
    private static final int STUB_LIBRARY = 34;
    private static final int DEVICE_UNAVAILABLE = 46;
    private static final int NO_DEVICE = 100;
    private static final int NO_BINARY_FOR_GPU = 209;
    private static final int INVALID_PTX = 218;
    private static final int JIT_COMPILER_NOT_FOUND = 221;
    private static final int UNSUPPORTED_PTX_VERSION = 222;
    private static final int LAUNCH_TIMEOUT = 702;
    private static final int SYSTEM_NOT_READY = 802;
    private static final int SYSTEM_DRIVER_MISMATCH = 803;
    private static final int COMPAT_NOT_SUPPORTED = 804;
    private static final int FIRST_OF_CAPTURE = 900;
    private static final int LAST_OF_CAPTURE = 908;

    /**
     * After these the context answers every call with the same error: deinitialised, ECC, NVLink, contained, illegal address,
     * time-out, context destroyed, assertion, stack, instruction, alignment, address space, program counter, launch failed,
     * tensor memory, MPS server gone, external device, unknown.
     */
    private static final Set<Integer> FATAL = Set.of(4, 214, 220, 226, 700, LAUNCH_TIMEOUT, 709, 710, 714, 715, 716, 717, 718,
            719, 721, 806, 810, 911, 999);

    /** The oldest driver whose CUDA version JCuda 12 can use: every call that is used here is in it. */
    private static final int OLDEST_VERSION = 12000;

    private final String gpu;
    private volatile String lostBy;

    /** @param gpu number and name, for the sentences */
    DriverErrors(String gpu) {
        this.gpu = gpu;
    }

    /** Why CUDA does not start. */
    static CudaException startup(String call, int status, String name) {
        return new CudaException(switch (status) {
            case NO_DEVICE -> "NVIDIA's driver is there, but it finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES";
            case STUB_LIBRARY -> "the libcuda.so.1 that is found is the CUDA toolkit's stub; put the driver's own before it in"
                    + " LD_LIBRARY_PATH";
            case SYSTEM_NOT_READY -> "the system is not ready for CUDA (" + name + "); is nvidia-fabricmanager running?";
            case SYSTEM_DRIVER_MISMATCH -> "libcuda.so.1 and NVIDIA's kernel driver are of different versions (" + name
                    + "); restart the computer or install the driver again";
            case COMPAT_NOT_SUPPORTED -> "the CUDA compatibility package does not support this GPU (" + name
                    + "); update NVIDIA's driver";
            default -> "CUDA does not start: " + call + " failed with " + name + "; check nvidia-smi";
        });
    }

    /** Refuses drivers that are too old. */
    static void checkVersion(int version) {
        if (version < OLDEST_VERSION) {
            throw new CudaException("NVIDIA's driver is too old: it supports CUDA " + version / 1000 + "." + version % 1000 / 10
                    + ", 12.0 or newer is needed; update the driver");
        }
    }

    /** Whether the GPU has failed for good. */
    boolean lost() {
        return lostBy != null;
    }

    /** Throws when the GPU has failed for good. */
    void throwIfLost() {
        if (lostBy != null) {
            throw new CudaException(gpu + " failed earlier (" + lostBy + ") and cannot be used any more;"
                    + " start the program again");
        }
    }

    /** What to throw after {@code call} answered {@code status}, which CUDA names {@code name}. */
    DeviceException failure(String call, int status, String name) {
        if (status == OUT_OF_MEMORY) {
            return new OutOfDeviceMemoryException(gpu + " has not enough memory left for " + call
                    + "; make smaller or fewer pictures, or end other programs that use it");
        }
        if (FATAL.contains(status)) {
            lostBy = name;
            return new CudaException(gpu + " failed: " + name + ", noticed by " + call
                    + (status == LAUNCH_TIMEOUT ? " (a GPU with a display may not compute for seconds at a time)" : "")
                    + "; it cannot be used any more, start the program again");
        }
        if (status >= FIRST_OF_CAPTURE && status <= LAST_OF_CAPTURE) {
            return new CudaException(call + " cannot be done while a graph is recorded (" + name + ")");
        }
        return new CudaException(switch (status) {
            case DEVICE_UNAVAILABLE -> gpu + " is reserved by another program (" + name + ")";
            case NO_BINARY_FOR_GPU, INVALID_PTX -> "the kernels do not fit " + gpu + ": " + call + " failed with " + name;
            case UNSUPPORTED_PTX_VERSION -> "NVIDIA's driver is too old for these kernels (" + name + "); update the driver";
            case JIT_COMPILER_NOT_FOUND -> "libnvidia-ptxjitcompiler.so.1, a part of NVIDIA's driver, is missing; in a container"
                    + " NVIDIA_DRIVER_CAPABILITIES must contain compute";
            default -> call + " failed on " + gpu + ": " + name;
        });
    }

    /** A number of bytes, for people. */
    static String bytes(long bytes) {
        if (bytes < 1L << 20) {
            return bytes + " bytes";
        }
        return bytes < 10L << 30 ? Math.ceilDiv(bytes, 1L << 20) + " MiB" : (bytes >> 30) + " GiB";
    }
}
