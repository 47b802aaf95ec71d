package io.invadapter.engine;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a Java process of its own with this one's classes came to.
 *
 * @param output both streams
 */
public record ChildProcess(int status, String output) {

    public static ChildProcess run(List<String> options, Class<?> main, String... arguments) {
        return run(List.of(), options, main, arguments);
    }

    /** @param before words before {@code java} */
    public static ChildProcess run(List<String> before, List<String> options, Class<?> main, String... arguments) {
        String classes = System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", "");
        List<String> command = new ArrayList<>(before);
        command.addAll(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED"));
        command.addAll(options);
        command.addAll(List.of("-cp", classes, main.getName()));
        command.addAll(List.of(arguments));
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return new ChildProcess(process.waitFor(), output);
        } catch (IOException | InterruptedException e) {
            return fail(String.join(" ", command), e);
        }
    }
}
