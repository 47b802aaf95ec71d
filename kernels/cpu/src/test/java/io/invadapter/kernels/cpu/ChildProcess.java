package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * What a Java process of its own with this one's classes came to: for limits of processes and what can be loaded only once.
 *
 * @param output both streams
 */
record ChildProcess(int status, String output) {

    /** @param before words before {@code java}, e.g. {@code prlimit --as=6000000000} */
    static ChildProcess run(List<String> before, Map<String, String> environment, List<String> options, Class<?> main,
            String... arguments) {
        List<String> command = new ArrayList<>(before);
        command.addAll(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-XX:TieredStopAtLevel=1"));
        command.addAll(options);
        String modules = System.getProperty("jdk.module.path", "");
        command.addAll(List.of("-cp", System.getProperty("java.class.path") + File.pathSeparator + modules, main.getName()));
        command.addAll(Arrays.asList(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(environment);
        try {
            Process process = builder.start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return new ChildProcess(process.waitFor(), output);
        } catch (IOException | InterruptedException e) {
            return fail(String.join(" ", command), e);
        }
    }
}
