package io.invadapter.kernels.cuda.libraries;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.cuda.ChildJvm;
import java.io.IOException;
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

/**
 * Every argument that reaches cuBLAS and cuDNN, through JCublas, JCudnn and java.lang.foreign: they are fakes in C that take
 * down their calls. Without a C compiler there is nothing to call.
 */
class FakeLibrariesTest {

    @TempDir
    static Path folder;

    private List<String> options = List.of();
    private List<String> output;
    private List<String> log;

    @BeforeAll
    static void build() throws Exception {
        Path map = Files.writeString(folder.resolve("map"), "libcublas.so.12 { global: *; };");
        Path cublas12 = FakeLibraries.build(folder.resolve("12"), "fake_cublas.c", "libcublas.so.12", "-DVERSION=120603",
                "-Wl,--version-script=" + map);
        assumeTrue(System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64"),
                "JCuda's native libraries are for Linux on x86-64");
        assumeTrue(cublas12 != null, "there is no gcc");
        FakeLibraries.build(folder.resolve("13"), "fake_cublas.c", "libcublas.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("cudnn"), "fake_cudnn.c", "libcudnn.so.9");
    }

    private void run(String folders, Map<String, String> environment, String... arguments)
            throws IOException, InterruptedException {
        run(FakeLibraries.class, folders, environment, arguments);
    }

    private void run(Class<?> program, String folders, Map<String, String> environment, String... arguments)
            throws IOException, InterruptedException {
        Path logFile = Files.createTempFile(folder, "log", "");
        ProcessBuilder builder = new ProcessBuilder(ChildJvm.command(program, options, List.of(arguments)))
                .redirectErrorStream(true);
        builder.environment().keySet().removeIf(v -> v.equals("LD_LIBRARY_PATH") || v.startsWith("CUDA"));
        builder.environment().put("FAKE_LOG", logFile.toString());
        StringBuilder named = new StringBuilder();
        for (String each : folders.split(" ")) {
            named.append(named.isEmpty() ? "" : ":").append(folder.resolve(each));
        }
        builder.environment().put(LibraryFolders.VARIABLE, named.toString());
        builder.environment().putAll(environment);
        Process process = builder.start();
        output = new String(process.getInputStream().readAllBytes()).lines().toList();
        assertEquals(0, process.waitFor(), () -> String.join("\n", output));
        log = Files.readAllLines(logFile);
    }

    private void assertLogged(String... lines) {
        for (String line : lines) {
            assertTrue(log.contains(line), () -> "not called: " + line + "\n" + String.join("\n", log));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {12, 13})
    void productsReachCublas(int version) throws Exception {
        run(version + " cudnn", Map.of(), "13000");
        assertEquals("cuBLAS " + (version == 12 ? "12.6.3 (JCublas, " : "13.1.1 (java.lang.foreign, ")
                + folder.resolve(version + "/libcublas.so." + version) + ")", output.getFirst());
        assertEquals(List.of(
                "cublasCreate",
                "cublasGetVersion 0xb1a5",
                "cublasSetMathMode 0xb1a5 16",
                "gemm 0xb1a5 op 1 0 size 2 3 4 alpha 0.5 A 0xa000 2 11 12 B 0xb000 2 21 0 beta 0 C 0xc000 2 31 5000000000 batch 6"
                        + " compute 68 algo -1",
                "cublasSetStream 0xb1a5 0",
                "cublasSetWorkspace 0xb1a5 0x77000 4096",
                "cublasSetStream 0xb1a5 5000",
                "cublasSetWorkspace 0xb1a5 0x77000 4096",
                "gemm 0xb1a5 op 0 1 size 2 3 4 alpha 1 A 0xa000 14 11 12 B 0xb000 14 21 0 beta 0.25 C 0xc000 14 31 5000000000"
                        + " batch 1 compute 68 algo -1",
                "gemm 0xb1a5 op 0 0 size 2 3 4 alpha 1 A 0xa000 0 11 12 B 0xb000 0 21 0 beta 0 C 0xc000 0 31 5000000000 batch 1"
                        + " compute 68 algo -1",
                "cublasDestroy 0xb1a5"), log.stream().filter(l -> l.startsWith("cublas") || l.startsWith("gemm")).toList());
    }

    @Test
    void whatCudnnCompilesWithIsLoadedBeforehand() throws Exception {
        FakeLibraries.build(folder.resolve("nvrtc"), "fake_nvrtc.c", "libnvrtc.so.12", "-DNAME=nvrtc");
        FakeLibraries.build(folder.resolve("nvrtc"), "fake_nvrtc.c", "libnvrtc-builtins.so.12.6", "-DNAME=builtins");
        FakeLibraries.build(folder.resolve("nvrtc"), "fake_nvrtc.c", "libnvrtc-builtins.so.13.0", "-DNAME=another");
        run("12 cudnn nvrtc", Map.of(), "12040");
        assertEquals(List.of("builtins is loaded", "nvrtc is loaded"), log.stream().filter(l -> l.endsWith(" is loaded")).toList());
    }

    @Test
    void classicCallReachesCudnn() throws Exception {
        run("12 cudnn", Map.of("FAKE_FINALIZE_15", "3001"), "12040", "0.25");
        assertEquals("cuDNN 9.5.1 for CUDA 12 (JCudnn, " + folder.resolve("cudnn/libcudnn.so.9") + ")", output.get(1));
        assertEquals("one classic call, 0.250 ms, 1001 bytes", output.get(2));
        assertEquals("one classic call, 0.250 ms, 1001 bytes", output.get(3));
        assertEquals("remembered: true", output.get(4));
        assertEquals("left allocated: 0, streams: 2", output.get(5));
        assertLogged("tensor 1 format 1 type 2 n 2 c 320 h 10 w 12", "tensor 2 format 1 type 2 n 1 c 640 h 1 w 1",
                "tensor 3 format 1 type 2 n 2 c 640 h 5 w 6", "filter 4 type 2 format 1 k 640 c 320 h 3 w 3",
                "convolution 5 padding 1 1 stride 2 2 dilation 1 1 mode 1 compute 0", "convolution 5 math 1",
                "activation 6 mode 5 nan 0 coef 0", "workspace 0xd22 x 1 w 4 conv 5 y 3 algo 1",
                "cudnnSetStream 0xd22 5000",
                "fused 0xd22 alpha 1 x 1 0x1000 w 4 0x2000 conv 5 algo 1 workspace 0x6000 1001 alpha 1 z 3 0x4000 bias 2 0x3000"
                        + " activation 6 y 3 0x5000",
                "cudnnDestroy 0xd22");
        // Float32 without TF32, and without a residual.
        List<String> second = log.subList(log.indexOf("tensor 1 format 1 type 2 n 2 c 320 h 10 w 12"), log.size());
        assertTrue(second.stream().anyMatch(l -> l.matches("convolution \\d+ math 3")), () -> String.join("\n", log));
        assertTrue(second.stream().anyMatch(l -> l.matches("fused 0xd22 alpha 1 x \\d+ 0x1000 w \\d+ 0x2000 conv \\d+ algo 1"
                + " workspace 0x6000 1001 alpha 0 z (\\d+) 0x5000 bias \\d+ 0x3000 activation \\d+ y \\1 0x5000")),
                () -> String.join("\n", log));
    }

    @Test
    void graphReachesCudnn() throws Exception {
        // Three runs of the classic call, then three of each engine.
        run("12 cudnn", Map.of(), "12040", "9", "9", "9", "5", "4", "5", "6", "6", "6", "7", "7", "7", "8", "8", "8");
        assertEquals("graph engine 1, 4.000 ms, 2048 bytes", output.get(2));
        int first = log.indexOf("7 = kind 17");
        assertEquals(List.of(
                // y, what lies between, x, w
                "7 = kind 17", "7.906 type 3: 5", "7.901 type 1: 2", "7.902 type 3: 2 640 5 6", "7.903 type 3: 19200 1 3840 640",
                "7.900 type 3: 16", "7.907 type 2: false", "finalize 7",
                "8 = kind 17", "8.906 type 3: 6", "8.901 type 1: 0", "8.902 type 3: 2 640 5 6", "8.903 type 3: 19200 1 3840 640",
                "8.900 type 3: 16", "8.907 type 2: true", "finalize 8",
                "9 = kind 17", "9.906 type 3: 1", "9.901 type 1: 2", "9.902 type 3: 2 320 10 12",
                "9.903 type 3: 38400 1 3840 320", "9.900 type 3: 16", "9.907 type 2: false", "finalize 9",
                "10 = kind 17", "10.906 type 3: 2", "10.901 type 1: 2", "10.902 type 3: 640 320 3 3",
                "10.903 type 3: 2880 1 960 320", "10.900 type 3: 16", "10.907 type 2: false", "finalize 10",
                // the convolution
                "11 = kind 1", "11.100 type 1: 0", "11.101 type 7: 1", "11.106 type 3: 2", "11.102 type 3: 1 1",
                "11.103 type 3: 2 2", "11.104 type 3: 1 1", "11.105 type 3: 1 1", "finalize 11",
                "12 = kind 10", "12.700 type 4: 1", "12.701 type 4: 0", "12.702 type 15: 11", "12.703 type 15: 10",
                "12.704 type 15: 9", "12.705 type 15: 8", "finalize 12",
                // + residual
                "13 = kind 17", "13.906 type 3: 7", "13.901 type 1: 0", "13.902 type 3: 2 640 5 6",
                "13.903 type 3: 19200 1 3840 640", "13.900 type 3: 16", "13.907 type 2: true", "finalize 13",
                "14 = kind 17", "14.906 type 3: 4", "14.901 type 1: 2", "14.902 type 3: 2 640 5 6",
                "14.903 type 3: 19200 1 3840 640", "14.900 type 3: 16", "14.907 type 2: false", "finalize 14",
                "15 = kind 0", "15.0 type 14: 0", "15.1 type 1: 0", "finalize 15",
                "16 = kind 13", "16.750 type 15: 15", "16.751 type 15: 8", "16.752 type 15: 14", "16.753 type 15: 13",
                "finalize 16",
                // + bias
                "17 = kind 17", "17.906 type 3: 3", "17.901 type 1: 2", "17.902 type 3: 1 640 1 1",
                "17.903 type 3: 640 1 640 640", "17.900 type 3: 16", "17.907 type 2: false", "finalize 17",
                "18 = kind 0", "18.0 type 14: 0", "18.1 type 1: 0", "finalize 18",
                "19 = kind 13", "19.750 type 15: 18", "19.751 type 15: 13", "19.752 type 15: 17", "19.753 type 15: 7",
                "finalize 19",
                "20 = kind 15", "20.800 type 0: " + 0xd22, "20.801 type 15: 12 16 19", "finalize 20",
                // what the heuristics propose; the first is refused for its numerical notes
                "21 = kind 4", "21.201 type 15: 20", "21.200 type 8: 3", "finalize 21", "21.202? type 15 room 0",
                "22 = kind 3", "23 = kind 3", "24 = kind 3", "21.202? type 15 room 3",
                "25 = kind 2", "22.300? type 15 room 1", "25.1303? type 11 room 10", "destroy 25",
                "26 = kind 2", "23.300? type 15 room 1", "26.1303? type 11 room 10", "destroy 26",
                "27 = kind 5", "27.400 type 0: " + 0xd22, "27.401 type 15: 23", "finalize 27", "27.402? type 3 room 1"),
                log.subList(first, log.indexOf("27.402? type 3 room 1") + 1));
        // The run that was asked for comes last.
        List<String> asked = log.stream().filter(l -> l.contains(".1001 type 6: 4096 8192 12288 16384 20480")).toList();
        assertEquals(1, asked.size(), () -> String.join("\n", log));
        String pack = asked.getFirst().substring(0, asked.getFirst().indexOf('.'));
        assertLogged(pack + " = kind 16", pack + ".1000 type 3: 1 2 3 4 5", pack + ".1003 type 6: " + 0x6000, "finalize " + pack,
                "execute 0xd22 27 " + pack, "destroy " + pack);
        // Without a residual, float32: engines on tensor cores are TF32.
        assertTrue(output.get(3).startsWith("one classic call"), output.get(3));
        assertEverythingIsGivenBack();
    }

    private void assertEverythingIsGivenBack() {
        List<String> left = new ArrayList<>();
        for (String line : log) {
            if (line.matches("\\d+ = kind \\d+")) {
                left.add(line.substring(0, line.indexOf(' ')));
            } else if (line.matches("cudnnCreate\\w+ -> \\d+")) {
                left.add(line.substring(line.lastIndexOf(' ') + 1));
            } else if (line.matches("(destroy|cudnnDestroy\\w+) \\d+")) {
                assertTrue(left.remove(line.substring(line.lastIndexOf(' ') + 1)), line);
            }
        }
        assertEquals(List.of(), left);
    }

    @Test
    void theLastResortIsThreeCalls() throws Exception {
        run("12 cudnn", Map.of("FAKE_FINALIZE_15", "3000", "FAKE_FUSED", "3000"), "12040", "2");
        assertEquals("classic calls one after the other, 2.000 ms, 1000 bytes", output.get(2));
        assertTrue(log.stream().anyMatch(l -> l.matches("plain 0xd22 alpha 1 x \\d+ 0x1000 w \\d+ 0x2000 conv \\d+ algo 0"
                + " workspace 0x6000 1000 beta 0 y \\d+ 0x5000")), () -> String.join("\n", log));
        assertTrue(log.stream().anyMatch(l -> l.matches("add 0xd22 alpha 1 a \\d+ 0x3000 beta 1 c \\d+ 0x5000")));
        assertTrue(log.stream().anyMatch(l -> l.matches("add 0xd22 alpha 1 a (\\d+) 0x4000 beta 1 c \\1 0x5000")));
        assertEverythingIsGivenBack();
    }

    @Test
    void noWayIsOneSentence() throws Exception {
        run("12 cudnn", Map.of("FAKE_FINALIZE_15", "3001", "FAKE_FUSED", "3002", "FAKE_PLAIN", "5001"), "12040");
        assertEquals(3, output.size());
        assertTrue(output.get(2).startsWith("cuDNN cannot compute Shape[type=FLOAT16, batch=2,"), output.get(2));
        assertTrue(output.get(2).contains("CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN (in cuDNN's own words)"), output.get(2));
        assertTrue(output.get(2).contains("CUDNN_STATUS_NOT_SUPPORTED_SHAPE"), output.get(2));
        assertTrue(output.get(2).contains("CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER"), output.get(2));
        assertEverythingIsGivenBack();
    }

    @Test
    void failuresAreOneSentence() throws Exception {
        run("13 cudnn", Map.of("FAKE_CUBLAS_CREATE", "1"), "13000");
        assertEquals(List.of("cuBLAS does not start: cublasCreate answered CUBLAS_STATUS_NOT_INITIALIZED; is there a GPU that"
                + " nvidia-smi lists, and is its driver as new as the library?"), output);
        run("12 cudnn", Map.of("FAKE_CUBLAS_CREATE", "3"), "12000");
        assertEquals(List.of("the GPU has not enough memory left for cuBLAS (cublasCreate); end other programs that use it"),
                output);
        run("12 cudnn", Map.of("FAKE_CUBLAS_GEMM", "13"), "12000");
        assertEquals("cuBLAS failed on no GPU: the product of 2 x 4 and 4 x 3 in FLOAT16, 6 times, answered"
                + " CUBLAS_STATUS_EXECUTION_FAILED", output.getLast());
        run("12 cudnn", Map.of("FAKE_CUDNN_CREATE", "1001"), "12000");
        assertEquals(List.of("cuDNN failed: cudnnCreate answered CUDNN_STATUS_NOT_INITIALIZED (in cuDNN's own words)"), output);
        run("12 cudnn", Map.of("FAKE_CUDART", "13000"), "12040");
        assertEquals(List.of(folder.resolve("cudnn/libcudnn.so.9") + " is cuDNN for CUDA 13, NVIDIA's driver supports CUDA 12:"
                + " update the driver or install cuDNN for CUDA 12"), output);
    }

    @Test
    void everyStatusOfAProductIsNamed() throws Exception {
        run(FailingLibraries.class, "13 cudnn", Map.of(), "blas");
        String product = ": the product of 2 x 4 and 4 x 3 in FLOAT16, 6 times, answered ";
        assertEquals(List.of("cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_NOT_INITIALIZED",
                "no GPU has not enough memory left for cuBLAS (the product of 2 x 4 and 4 x 3 in FLOAT16, 6 times,)",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_INVALID_VALUE",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_ARCH_MISMATCH",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_MAPPING_ERROR",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_EXECUTION_FAILED",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_INTERNAL_ERROR",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_NOT_SUPPORTED",
                "cuBLAS failed on no GPU" + product + "CUBLAS_STATUS_LICENSE_ERROR",
                "cuBLAS failed on no GPU" + product + "status 99",
                "products are of floating-point matrices, not of INT32", "closed on a lost device"), output);
        assertEquals(0, log.stream().filter(l -> l.contains("Destroy")).count(), "a lost device takes its handles with it");
    }

    @Test
    void whatCudnnRefusesIsPassedOver() throws Exception {
        run(FailingLibraries.class, "12 cudnn", Map.of(), "dnn");
        // Each asks for a new shape, with one thing that fails; the classic call takes longest.
        assertEquals(List.of("all well: graph engine 2",
                "FAKE_FINALIZE_17 3003: one classic call",
                "FAKE_FINALIZE_4 3000: one classic call",
                "FAKE_ATTRIBUTE_202 3000: one classic call",
                "FAKE_ATTRIBUTE_1303 2000: one classic call",
                "FAKE_FINALIZE_5 4001: one classic call",
                "FAKE_GRAPH_WORKSPACE 2000000: one classic call",
                "FAKE_FUSED 4004: there is not enough memory left for cuDNN (cudnnConvolutionBiasActivationForward)",
                "FAKE_CUDNN_SET_STREAM 1001: cuDNN failed: cudnnSetStream answered CUDNN_STATUS_NOT_INITIALIZED (in cuDNN's own"
                        + " words)",
                "no scratch memory: cuDNN cannot compute " + FailingLibraries.shape(20) + " with 10 bytes of scratch memory:"
                        + " one classic call needs 1001 bytes; classic calls one after the other needs 1000 bytes",
                "convolutions are of floating-point tensors, not of INT32",
                "residual is missing", "closed on a lost device"), output);
    }

    @Test
    void aLibraryOfAnotherVersionIsOneSentence() throws Exception {
        // It calls itself cuDNN 9 and has none of its functions.
        Files.createDirectories(folder.resolve("other-dnn"));
        FakeLibraries.build(folder.resolve("other-dnn"), "fake_cublas.c", "libcudnn.so.9", "-DVERSION=120603");
        run("12 other-dnn", Map.of(), "12040");
        assertEquals(List.of(folder.resolve("other-dnn/libcudnn.so.9")
                + " cannot be used: it has no function cudnnGetCudartVersion"), output);
    }

    @Test
    void nativeLibrariesThatDoNotLoadAreOneSentence() throws Exception {
        // JCublas and JCudnn have nowhere to unpack them to; the JVM warns of it, too.
        options = List.of("-Djava.io.tmpdir=" + Files.createFile(folder.resolve("no-folder")));
        run("12 cudnn", Map.of(), "12040");
        assertEquals("cuBLAS cannot be used: JCublas does not load with " + folder.resolve("12/libcublas.so.12"),
                output.getLast());
        run("13 cudnn", Map.of(), "13000");
        assertEquals("cuDNN cannot be used: JCudnn does not load with " + folder.resolve("cudnn/libcudnn.so.9"),
                output.getLast());
    }
}
