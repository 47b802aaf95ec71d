package io.invadapter.cli;

import io.invadapter.kernels.Devices;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** What {@code --device} can name on this computer. */
@Command(name = "devices", description = "Lists what this computer can compute with, and what is missing.")
final class ListDevices implements Callable<Integer> {

    @Override
    public Integer call() {
        for (Map.Entry<String, List<String>> kind : Devices.report().entrySet()) {
            System.out.println(kind.getKey());
            kind.getValue().forEach(line -> System.out.println("  " + line));
        }
        return 0;
    }
}
