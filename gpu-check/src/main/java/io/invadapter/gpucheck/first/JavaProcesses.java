package io.invadapter.gpucheck.first;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Java processes on this one's class path. Whatever they or NVIDIA's libraries keep lies in the folder they are given: what is
 * unpacked, what the driver compiled, which ways were chosen.
 *
 * @param options of Java
 * @param main    the class to start, which calls {@link FirstChild#endWithParent}
 * @param prefix  its first arguments
 */
public record JavaProcesses(List<String> options, Class<?> main, List<String> prefix) implements Children {
    private static final int GONE_SECONDS = 3;

    private record JavaProcess(Process process) implements Child {
        @Override
        public boolean isAlive() {
            return process.isAlive();
        }

        @Override
        public int exitCode() {
            return process.exitValue();
        }

        @Override
        public void kill() {
            process.destroyForcibly();
            try {
                process.waitFor(GONE_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public Child start(List<String> arguments, Path folder, Path log) throws IOException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-XX:-UsePerfData", "-Djava.io.tmpdir=" + folder,
                "-XX:ErrorFile=" + log + ".crash"));
        command.addAll(options);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(prefix);
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        Map<String, String> environment = builder.environment();
        environment.put("CUDA_CACHE_PATH", folder.resolve("cuda").toString());
        environment.put("XDG_CACHE_HOME", folder.resolve("cache").toString());
        environment.put("TMPDIR", folder.toString());
        return new JavaProcess(builder.start());
    }
}
