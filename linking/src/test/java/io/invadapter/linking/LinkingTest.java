package io.invadapter.linking;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The lines of docs/java.md for class path, module path and jlink, each with the jars that Maven brought and in a process of its own. */
class LinkingTest {
    private static final Path LIBRARIES = Path.of(System.getProperty("basedir", "."), "target", "libs").toAbsolutePath();
    private static final Path JAVA_HOME = Path.of(System.getProperty("java.home"));
    private static final String NATIVE_ACCESS =
            "--enable-native-access=io.invadapter.kernels.cpu,org.bytedeco.javacpp,org.bytedeco.dnnl,org.bytedeco.opencl";
    private static final String MAIN = "io.invadapter.linking/io.invadapter.linking.Portrait";

    @TempDir
    private Path folder;

    @Test
    void classPath() throws Exception {
        prints("cpu: 64 pixels", java(JAVA_HOME), "--enable-native-access=ALL-UNNAMED", "-cp", LIBRARIES + File.separator + "*",
                Portrait.class.getName());
    }

    @Test
    void modulePath() throws Exception {
        prints("cpu: 64 pixels", java(JAVA_HOME), NATIVE_ACCESS, "--module-path", LIBRARIES.toString(),
                "--add-modules", "ALL-MODULE-PATH", "--module", MAIN);
    }

    @Test
    void jlink() throws Exception {
        String jlink = JAVA_HOME.resolve("bin", "jlink").toString();
        assumeTrue(Files.isDirectory(JAVA_HOME.resolve("jmods")) || run(jlink, "--help").contains("run-time image enabled"),
                "this JDK cannot link");
        Path image = folder.resolve("image");
        prints("", jlink, "--module-path", LIBRARIES.toString(), "--add-modules", "ALL-MODULE-PATH",
                "--add-options=--add-modules=ALL-SYSTEM " + NATIVE_ACCESS, "--output", image.toString());
        prints("cpu: 64 pixels", java(image), "--module", MAIN);
    }

    @Test
    void everyJarOfOursHoldsItsLicence() throws IOException {
        try (Stream<Path> jars = Files.list(LIBRARIES)) {
            List<Path> ours = jars.filter(jar -> jar.getFileName().toString().startsWith("invadapter-")).toList();
            assertEquals(7, ours.size(), ours.toString());
            for (Path jar : ours) {
                try (JarFile opened = new JarFile(jar.toFile())) {
                    for (String file : List.of("LICENSE", "NOTICE")) {
                        String expected = Files.readString(Path.of(System.getProperty("basedir", "."), "..", file));
                        assertEquals(expected, new String(opened.getInputStream(opened.getEntry("META-INF/" + file)).readAllBytes()), jar.toString());
                    }
                }
            }
        }
    }

    private static String java(Path home) {
        return home.resolve("bin", "java").toString();
    }

    private static void prints(String expected, String... command) throws Exception {
        assertEquals(expected, run(command).strip(), String.join(" ", command));
    }

    /** What it prints, also as warnings: nobody shall have to wonder about them. */
    private static String run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes());
        process.waitFor();
        return output;
    }
}
