package io.invadapter.kernels.cuda.driver;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Whether an NVIDIA GPU is in this computer, with or without a driver: as Linux lists the devices on its buses. */
public final class GpuHardware {
    private static final String NVIDIA = "0x10de";
    private static final String DISPLAY = "0x03";

    private GpuHardware() {
    }

    /** Also where Windows lends its GPU to a Linux inside it. */
    public static boolean isPresent() {
        return isPresent(Path.of("/sys/bus/pci/devices"), Path.of("/usr/lib/wsl/lib/libcuda.so.1"));
    }

    static boolean isPresent(Path devices, Path lentDriver) {
        if (Files.exists(lentDriver)) {
            return true;
        }
        try (Stream<Path> listed = Files.list(devices)) {
            return listed.anyMatch(device -> content(device.resolve("vendor")).equals(NVIDIA)
                    && content(device.resolve("class")).startsWith(DISPLAY));
        } catch (IOException e) {
            return false;
        }
    }

    private static String content(Path file) {
        try {
            return Files.readString(file).strip();
        } catch (IOException e) {
            return "";
        }
    }
}
