package io.invadapter.gpucheck;

import io.invadapter.weights.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Does a step in a process of its own: a GPU that got lost, a crash in native code or an endless kernel ends that step and no
 * other.
 */
final class ChildProcess {

    private ChildProcess() {
    }

    /**
     * @param arguments of {@link GpuCheck}'s {@code --step}
     * @param seconds   after which it is ended
     */
    static Outcome run(List<String> arguments, long seconds) throws IOException, InterruptedException {
        Path result = Files.createTempFile("gpu-check", ".json");
        try {
            List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"), GpuCheck.class.getName(),
                    "--step", result.toString()));
            command.addAll(arguments);
            ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.INHERIT);
            // So that the driver compiles each kernel once and not in every step, whatever HOME is.
            builder.environment().putIfAbsent("CUDA_CACHE_PATH",
                    Path.of(System.getProperty("java.io.tmpdir"), "invadapter-cuda-cache").toString());
            Process process = builder.start();
            if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
                return Outcome.failed("not done after " + seconds + " s");
            }
            return Files.size(result) == 0 ? Outcome.failed("ended with exit code " + process.exitValue())
                    : Outcome.read(Json.read(result));
        } finally {
            Files.delete(result);
        }
    }
}
