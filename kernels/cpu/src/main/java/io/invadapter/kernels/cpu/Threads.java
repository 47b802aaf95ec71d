package io.invadapter.kernels.cpu;

import io.invadapter.kernels.DeviceException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * How many threads compute: the system property {@value #PROPERTY}, else {@code OMP_NUM_THREADS}, else one for each core of
 * the machine that this process may use. Two hardware threads of a core share its arithmetic units: a second one only gets in
 * the way. The first device of a process decides; OpenMP keeps its number.
 */
final class Threads {
    static final String PROPERTY = "invadapter.cpu.threads";

    private static int count;

    private Threads() {
    }

    /**
     * The number for this process.
     *
     * @throws DeviceException if the property is no number of threads
     */
    static synchronized int count() {
        if (count == 0) {
            count = chosen(System.getProperty(PROPERTY), System.getenv(OpenMp.THREADS), cores());
        }
        return count;
    }

    /** @param environment what {@code OMP_NUM_THREADS} says; a list's first number counts, as for OpenMP */
    static int chosen(String property, String environment, int cores) {
        if (property != null) {
            if (!property.matches("[1-9][0-9]{0,3}")) {
                throw new DeviceException("the system property " + PROPERTY + " is '" + property
                        + "': expected a number of threads from 1 to 9999");
            }
            return Integer.parseInt(property);
        }
        String first = environment == null ? "" : environment.split(",")[0].strip();
        return first.matches("[1-9][0-9]{0,3}") ? Integer.parseInt(first) : cores;
    }

    private static int cores() {
        return cores(Path.of("/sys/devices/system/cpu"), Path.of("/proc/self/status"), Runtime.getRuntime().availableProcessors());
    }

    /**
     * The cores among the processors that this process may run on, at most {@code available}; {@code available} where the
     * system does not say.
     *
     * @param available what affinity and the container's quota leave
     */
    static int cores(Path processors, Path status, int available) {
        try {
            String allowed = Files.readAllLines(status).stream().filter(line -> line.startsWith("Cpus_allowed_list:"))
                    .findFirst().orElseThrow(() -> new IOException("no list of processors")).split(":")[1];
            Set<String> cores = new HashSet<>();
            for (String range : allowed.strip().split(",")) {
                String[] ends = range.split("-");
                for (int cpu = Integer.parseInt(ends[0]); cpu <= Integer.parseInt(ends[ends.length - 1]); cpu++) {
                    // One line for all hardware threads of a core, in this or the other form of the kernel.
                    cores.add(Files.readString(processors.resolve("cpu" + cpu + "/topology/thread_siblings_list")));
                }
            }
            return Math.min(cores.size(), available);
        } catch (IOException | NumberFormatException e) {
            return available;
        }
    }
}
