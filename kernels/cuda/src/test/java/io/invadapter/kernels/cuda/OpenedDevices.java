package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Devices;

/** A process of its own that opens devices as applications do, and prints what they are or why there is none. */
public final class OpenedDevices {
    private OpenedDevices() {
    }

    /** @param arguments names of devices, or {@code report} */
    public static void main(String[] arguments) {
        for (String argument : arguments) {
            if (argument.equals("report")) {
                Devices.report().get("cuda").forEach(System.out::println);
                continue;
            }
            try (Device device = Devices.open(argument, null, System.out::println)) {
                System.out.println(device.name() + ": " + (argument.equals("auto") ? "" : device.description()));
            } catch (DeviceException e) {
                System.out.println(e.getMessage());
            }
        }
    }
}
