package io.invadapter.kernels.cuda.libraries;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.cuda.ChildJvm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Every argument that reaches cublasLt, which is a fake in C that takes down its calls. */
class FusedProductsTest {
    private static final String FIRST = "cuBLASLt 66 tile 11 stages 16 split 12 reduction 13 swizzle 14 option 15 inner 17 cluster 18 #";

    @TempDir
    static Path folder;

    private List<String> output;
    private List<String> log;
    private List<String> all;

    @BeforeAll
    static void build() throws Exception {
        Path map = Files.writeString(folder.resolve("map"), "libcublas.so.12 { global: *; };");
        Path cublas12 = FakeLibraries.build(folder.resolve("12"), "fake_cublas.c", "libcublas.so.12", "-DVERSION=120603",
                "-Wl,--version-script=" + map);
        assumeTrue(System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64"),
                "JCuda's native libraries are for Linux on x86-64");
        assumeTrue(cublas12 != null, "there is no gcc");
        FakeLibraries.build(folder.resolve("12"), "fake_cublaslt.c", "libcublasLt.so.12", "-DVERSION=120603");
        FakeLibraries.build(folder.resolve("13"), "fake_cublas.c", "libcublas.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("13"), "fake_cublaslt.c", "libcublasLt.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("strange"), "fake_cublas.c", "libcublas.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("strange"), "fake_cublas.c", "libcublasLt.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("alone"), "fake_cublas.c", "libcublas.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("cudnn"), "fake_cudnn.c", "libcudnn.so.9");
    }

    private void run(String cublas, Map<String, String> environment) throws Exception {
        Path logFile = Files.createTempFile(folder, "log", "");
        ProcessBuilder builder = new ProcessBuilder(ChildJvm.command(FusedProducts.class, List.of(), List.of()))
                .redirectErrorStream(true);
        builder.environment().keySet().removeIf(v -> v.equals("LD_LIBRARY_PATH") || v.startsWith("CUDA"));
        builder.environment().putAll(Map.of("FAKE_LOG", logFile.toString(), "FAKE_CUDART", cublas.equals("12") ? "12060" : "13010",
                LibraryFolders.VARIABLE, folder.resolve(cublas) + ":" + folder.resolve("cudnn")));
        builder.environment().putAll(environment);
        Process process = builder.start();
        output = new String(process.getInputStream().readAllBytes()).lines().toList();
        assertEquals(0, process.waitFor(), () -> String.join("\n", output));
        all = Files.readAllLines(logFile);
        log = all.stream().filter(l -> l.startsWith("lt ") || l.startsWith("cublasLt")).toList();
    }

    @ParameterizedTest
    @ValueSource(strings = {"12", "13"})
    void everyArgumentArrives(String cublas) throws Exception {
        run(cublas, Map.of());
        assertTrue(output.getFirst().endsWith("), cuBLASLt " + (cublas.equals("12") ? "12.6.3" : "13.1.1") + " (java.lang.foreign, "
                + folder + "/" + cublas + "/libcublasLt.so." + cublas + ")"), output.getFirst());
        int end = 1 + log.indexOf("lt destroy 7");
        assertEquals(List.of("cublasLtCreate",
                // float32 sums and factors; W transposed, with a bias
                "lt 1 = operation compute 68 scale 0", "lt operation 1.3: 1", "lt operation 1.7: 4",
                // W, x, y, the residual
                "lt 2 = layout type 2 320 x 1280 by 320", "lt 3 = layout type 2 320 x 8192 by 320",
                "lt 4 = layout type 2 1280 x 8192 by 1280", "lt 5 = layout type 2 1280 x 8192 by 1280",
                // The bias's alignment, the workspace, reductions in float32 only, the alignment of the four matrices
                "lt operation 1.8: 0x10 in 8 bytes", "lt 6 = preference", "lt preference 6.1: 0x2000000 in 8 bytes",
                "lt preference 6.3: 2", "lt preference 6.5: 16", "lt preference 6.6: 16", "lt preference 6.7: 16",
                "lt preference 6.8: 16",
                "lt heuristics 0x17 operation 1 layouts 2 3 5 4 preference 6 room 5", "lt destroy 6",
                "lt destroy 5", "lt destroy 2", "lt destroy 3", "lt destroy 4", "lt destroy 1",
                // the first that it proposes
                "lt 7 = operation compute 68 scale 0", "lt operation 7.3: 1", "lt operation 7.7: 4",
                "lt 8 = layout type 2 320 x 1280 by 320", "lt 9 = layout type 2 320 x 8192 by 320",
                "lt 10 = layout type 2 1280 x 8192 by 1280", "lt 11 = layout type 2 1280 x 8192 by 1280",
                "lt operation 7.8: 0xb000 in 8 bytes",
                "lt product 0x17 operation 7 alpha 1 A 0x2000 8 B 0x1000 9 beta 1 C 0xc000 11 D 0x5000 10 algorithm 66 0x742 "
                        + "workspace 0x6000 5000000000 stream 5000",
                "lt operation 7.8: 0xb100 in 8 bytes",
                "lt product 0x17 operation 7 alpha 1 A 0x2100 8 B 0x1100 9 beta 1 C 0xc000 11 D 0x5100 10 algorithm 66 0x742 "
                        + "workspace 0x6000 5000000000 stream 5000",
                "lt destroy 11", "lt destroy 8", "lt destroy 9", "lt destroy 10", "lt destroy 7"), log.subList(0, end));
        // What is no proposal is left out, so is the same once more; what is not float32 is refused.
        assertEquals(List.of("FLOAT16 8192 x 320 -> 1280 + bias + residual: " + FIRST, "5000000000 bytes",
                "FLOAT16 8192 x 320 -> 1280 + bias + residual: " + FIRST.replace("66", "68"),
                FIRST.replace("66", "68"), "BFLOAT16 7 x 5 -> 3 + bias aligned to 2: " + FIRST),
                output.subList(1, 6).stream().map(l -> l.replaceAll("#.*", "#")).toList());
        assertTrue(output.get(1).endsWith(" [0.75 waves, numerical flags 0x10202]"), output.get(1));
        assertTrue(output.get(4).endsWith(" computes in less than float32 (numerical flags 0x40202)"), output.get(4));
    }

    @Test
    void theOtherProductsHaveNoMoreThanTheyNeed() throws Exception {
        run("13", Map.of());
        // A bias that is aligned to its type only; C is D.
        assertLogged("lt preference \\d+\\.[5678]: 2", "lt operation \\d+\\.8: 0x2 in 8 bytes",
                "lt \\d+ = layout type 14 3 x 7 by 3",
                "lt product 0x17 operation \\d+ alpha 1 A 0x2000 \\d+ B 0x1000 \\d+ beta 0 C 0x5000 (\\d+) D 0x5000 \\1 .* stream 5000");
        // No bias, no epilogue; the default stream.
        int first = firstOf("lt \\d+ = layout type 0 32 x 16 by 32");
        List<String> plain = log.subList(first, log.size());
        assertTrue(plain.stream().noneMatch(l -> l.matches("lt operation \\d+\\.[78]: .*")), () -> String.join("\n", plain));
        assertLogged("lt product 0x17 operation \\d+ alpha 1 A 0x2000 \\d+ B 0x1000 \\d+ beta 1 C 0xc000 \\d+ D 0x5000 \\d+ .* stream 0",
                "lt product 0x17 operation \\d+ alpha 1 A 0x2000 \\d+ B 0x1000 \\d+ beta 0 C 0x5000 (\\d+) D 0x5000 \\1 .* stream 0");
        assertEquals("cublasLtDestroy 0x17", log.getLast());
        assertEverythingIsGivenBack();
    }

    @Test
    void sumsInFloat16AreRefused() throws Exception {
        run("13", Map.of("FAKE_LT_FLAGS", "65794"));
        assertTrue(output.get(4).endsWith(" computes in less than float32 (numerical flags 0x10102)"), output.get(4));
        run("13", Map.of("FAKE_LT_FLAGS", "66050"));
        assertEquals("5000000002 bytes", output.get(4));
    }

    @Test
    void withoutCublasLtNothingIsProposed() throws Exception {
        run("alone", Map.of());
        assertEquals(1, output.size(), () -> String.join("\n", output));
        assertTrue(output.getFirst().startsWith("cuBLAS 13.1.1 (java.lang.foreign, ") && !output.getFirst().contains("Lt"),
                output.getFirst());
    }

    @Test
    void failuresAreOneSentenceAndNothingIsLeft() throws Exception {
        String refused = "FLOAT16 8192 x 320 -> 1280 + bias + residual: cuBLASLt []";
        run("13", Map.of("FAKE_LT_HEURISTICS", "15"));
        assertEquals(List.of(refused, "cuBLAS failed on no GPU: cublasLtMatmulAlgoGetHeuristic answered CUBLAS_STATUS_NOT_SUPPORTED"),
                output.subList(1, 3));
        assertEverythingIsGivenBack();
        run("13", Map.of("FAKE_LT_LAYOUT", "3"));
        assertEquals(List.of(refused, "no GPU has not enough memory left for cuBLAS (cublasLtMatrixLayoutCreate)"), output.subList(1, 3));
        run("13", Map.of("FAKE_LT_ATTRIBUTE", "7"));
        assertEquals(List.of(refused, "cuBLAS failed on no GPU: cublasLtMatmulDescSetAttribute answered CUBLAS_STATUS_INVALID_VALUE"),
                output.subList(1, 3));
        assertEverythingIsGivenBack();
        run("13", Map.of("FAKE_LT_PRODUCT", "13"));
        assertEquals("cuBLAS failed on no GPU: the product FLOAT16 8192 x 320 -> 1280 + bias + residual answered"
                + " CUBLAS_STATUS_EXECUTION_FAILED", output.get(2));
        assertEverythingIsGivenBack();
        run("13", Map.of("FAKE_LT_CREATE", "1"));
        assertEquals(1, output.size(), "nothing is proposed, cuBLAS goes on: " + output);
        assertTrue(output.getFirst().matches("cuBLAS 13.1.1 \\(java.lang.foreign, .*\\), without cuBLASLt \\(cuBLAS failed on no GPU:"
                + " cublasLtCreate answered CUBLAS_STATUS_NOT_INITIALIZED\\)"), output.getFirst());
        assertTrue(all.contains("cublasDestroy 0xb1a5"), all::toString);
        run("13", Map.of("FAKE_LT_DESTROY", "14"));
        assertEquals("cuBLAS failed on no GPU: cublasLtDestroy answered CUBLAS_STATUS_INTERNAL_ERROR", output.getLast());
        assertTrue(all.contains("cublasDestroy 0xb1a5"), all::toString);
    }

    @Test
    void aCublasLtThatLacksAFunctionIsDoneWithout() throws Exception {
        run("strange", Map.of());
        assertEquals(1, output.size(), () -> String.join("\n", output));
        assertTrue(output.getFirst().matches("cuBLAS 13.1.1 .*, without cuBLASLt \\(.*/libcublasLt.so.13 cannot be used: it has no function"
                + " cublasLt\\w+\\)"), output.getFirst());
    }

    private int firstOf(String pattern) {
        for (int i = 0; i < log.size(); i++) {
            if (log.get(i).matches(pattern)) {
                return i;
            }
        }
        throw new AssertionError("not called: " + pattern + "\n" + String.join("\n", log));
    }

    private void assertLogged(String... patterns) {
        for (String pattern : patterns) {
            firstOf(pattern);
        }
    }

    private void assertEverythingIsGivenBack() {
        List<String> left = new ArrayList<>();
        for (String line : log) {
            if (line.matches("lt \\d+ = .*")) {
                left.add(line.split(" ")[1]);
            } else if (line.startsWith("lt destroy ")) {
                assertTrue(left.remove(line.split(" ")[2]), line);
            }
        }
        assertEquals(List.of(), left);
    }
}
