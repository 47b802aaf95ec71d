package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** What computer this is, and what of NVIDIA's is on it. */
final class Machine {
    private static final List<String> VARIABLES = List.of("INVADAPTER_CUDA_LIBRARIES", "LD_LIBRARY_PATH", "CUDA_HOME",
            "CUDA_VISIBLE_DEVICES", "CONDA_PREFIX", "VIRTUAL_ENV");

    private Machine() {
    }

    static void run(Contact contact) {
        double limit = contact.sizes().limit();
        contact.item("computer", limit, Machine::computer);
        contact.item("nvidia-smi", limit, Machine::nvidiaSmi);
        contact.item("driver and libraries", limit, () -> {
            List<String> lines = contact.gpu().report();
            return Outcome.of(true, String.join("; ", lines), lines);
        });
    }

    private static Outcome computer() throws IOException {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("processor", value(Path.of("/proc/cpuinfo"), "model name"));
        data.put("threads", Runtime.getRuntime().availableProcessors());
        data.put("memory", value(Path.of("/proc/meminfo"), "MemTotal"));
        data.put("system", System.getProperty("os.name") + " " + System.getProperty("os.version"));
        data.put("java", Runtime.version().toString());
        data.put("heap_bytes", Runtime.getRuntime().maxMemory());
        for (String name : VARIABLES) {
            if (System.getenv(name) != null) {
                data.put(name, System.getenv(name));
            }
        }
        return Outcome.of(true, data.get("processor") + ", " + data.get("threads") + " threads, " + data.get("memory"), data);
    }

    private static String value(Path file, String key) throws IOException {
        if (!Files.exists(file)) {
            return "unknown";
        }
        return Files.readAllLines(file).stream().filter(line -> line.startsWith(key)).findFirst()
                .map(line -> line.substring(line.indexOf(':') + 1).strip()).orElse("unknown");
    }

    /** Not needed for anything, so its absence is no failure. */
    private static Outcome nvidiaSmi() throws IOException, InterruptedException {
        Process process;
        try {
            process = new ProcessBuilder("nvidia-smi", "--format=csv,noheader",
                    "--query-gpu=name,driver_version,memory.total,memory.used,clocks.max.sm,clocks.max.mem,power.limit,"
                            + "temperature.gpu,mig.mode.current,compute_mode").redirectErrorStream(true).start();
        } catch (IOException e) {
            return Outcome.skipped("there is no nvidia-smi");
        }
        try {
            process.getOutputStream().close();
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                return Outcome.failed("nvidia-smi does not answer");
            }
            String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return Outcome.of(process.exitValue() == 0, text, text.lines().toList());
        } finally {
            process.destroyForcibly();
        }
    }

    /** NVIDIA's libraries in this process, by the paths they were loaded from: their file names say the versions. */
    static Outcome loaded() throws IOException {
        Map<String, Object> libraries = new TreeMap<>();
        try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            for (String path : (Iterable<String>) maps.filter(line -> line.indexOf('/') > 0)
                    .map(line -> line.substring(line.indexOf('/'))).distinct()::iterator) {
                String name = Path.of(path).getFileName().toString();
                if (name.matches("lib(cu|nv).*\\.so.*")) {
                    libraries.put(name, path);
                }
            }
        }
        return Outcome.of(true, String.join(", ", libraries.keySet()), libraries);
    }
}
