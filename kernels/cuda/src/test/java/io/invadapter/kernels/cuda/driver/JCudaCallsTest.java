package io.invadapter.kernels.cuda.driver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.cuda.ChildJvm;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * {@link JCudaDriverApi} through JCuda's native library to a driver that writes down what arrives there. Each scenario has a
 * process of its own, as the driver's library is loaded once for all.
 */
class JCudaCallsTest {
    @TempDir
    static Path directory;
    private static Path library;

    @BeforeAll
    static void compile() throws Exception {
        assumeTrue(System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64"),
                "the fake driver is for Linux on x86-64");
        assumeTrue(finds("gcc"), "there is no gcc to compile the fake driver");
        library = directory.resolve("libcuda.so.1");
        assertEquals("", run(List.of("gcc", "-Wall", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library.toString(),
                "src/test/c/fake_cuda.c")));
    }

    private static boolean finds(String program) throws InterruptedException {
        try {
            return new ProcessBuilder(program, "--version").redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    private static String run(List<String> command) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("LD_LIBRARY_PATH", directory.toString());
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "still running");
        assertEquals(0, process.exitValue(), output);
        return output;
    }

    @ParameterizedTest
    @ValueSource(strings = {"start", "memory", "copies", "streams", "kernels", "graphs", "spoilt", "shared", "lost", "noticed",
        "refusals"})
    void callsArriveAsTheyShould(String scenario) throws Exception {
        // Not with -Xcheck:jni: JCuda discards what cuDeviceGetName wrote when the JVM gives out copies of arrays.
        run(ChildJvm.command(FakeCudaScenarios.class, List.of("-Xmx256m", "-Dfake.cuda=" + library), List.of(scenario)));
    }
}
