package io.invadapter.kernels.cuda.libraries;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.cuda.ChildJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
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
        run("12 cudnn", Map.of("FAKE_FINALIZE_15", "3001"), "12040");
        assertEquals("cuDNN 9.5.1 for CUDA 12 (JCudnn, " + folder.resolve("cudnn/libcudnn.so.9") + ")", output.get(1));
        String refused = "cuDNN failed: cudnnBackendFinalize answered CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN (in cuDNN's own words)";
        assertEquals(List.of("classic call []: 1001 bytes", "graph conv+bias []: " + refused,
                "last resort classic calls one after the other []: 1001 bytes",
                "last resort classic calls one after the other, implicit GEMM []: 1000 bytes",
                "classic call []: 1001 bytes", "graph conv+bias []: " + refused, "graph conv []: " + refused, "last resort classic calls one after the other []: 1001 bytes",
                "last resort classic calls one after the other, implicit GEMM []: 1000 bytes",
                "left allocated: 0, streams: 2"), output.subList(2, output.size()));
        List<String> first = renamed(log.stream().filter(l -> !l.contains("kind") && !l.matches("(finalize|destroy) .*|\\d+\\..*"))
                .dropWhile(l -> !l.startsWith("cudnnCreateTensor")).toList());
        int start = first.indexOf("cudnnCreateTensorDescriptor -> 1");
        assertEquals(List.of("cudnnCreateTensorDescriptor -> 1", "tensor 1 format 1 type 2 n 2 c 320 h 10 w 12",
                "cudnnCreateTensorDescriptor -> 2", "tensor 2 format 1 type 2 n 1 c 640 h 1 w 1",
                "cudnnCreateTensorDescriptor -> 3", "tensor 3 format 1 type 2 n 2 c 640 h 5 w 6",
                "cudnnCreateFilterDescriptor -> 4", "filter 4 type 2 format 1 k 640 c 320 h 3 w 3",
                "cudnnCreateConvolutionDescriptor -> 5",
                "convolution 5 padding 1 1 stride 2 2 dilation 1 1 mode 1 compute 0", "convolution 5 math 1",
                "cudnnCreateActivationDescriptor -> 6", "activation 6 mode 5 nan 0 coef 0",
                "workspace 0xd22 x 1 w 4 conv 5 y 3 algo 1", "cudnnSetStream 0xd22 5000",
                "fused 0xd22 alpha 1 x 1 0x1000 w 4 0x2000 conv 5 algo 1 workspace 0x6000 1001 alpha 1 z 3 0x4000 bias 2 0x3000"
                        + " activation 6 y 3 0x5000"), first.subList(start, start + 16));
        assertLogged("cudnnDestroy 0xd22");
        // Float32 without TF32, and without a residual.
        assertTrue(log.stream().anyMatch(l -> l.matches("convolution \\d+ math 3")), () -> String.join("\n", log));
        assertTrue(log.stream().anyMatch(l -> l.matches("fused 0xd22 alpha 1 x \\d+ 0x1000 w \\d+ 0x2000 conv \\d+ algo 1"
                + " workspace 0x6000 1001 alpha 0 z (\\d+) 0x5000 bias \\d+ 0x3000 activation \\d+ y \\1 0x5000")),
                () -> String.join("\n", log));
        assertEverythingIsGivenBack();
    }

    /** Descriptors of the graph interface are numbered along with the classic ones: numbers in the order of these lines alone. */
    private static List<String> renamed(List<String> lines) {
        Map<String, String> numbers = new HashMap<>();
        List<String> result = new ArrayList<>();
        for (String line : lines) {
            if (line.matches("cudnnCreate\\w+ -> \\d+")) {
                numbers.put(line.substring(line.lastIndexOf(' ') + 1), Integer.toString(numbers.size() + 1));
            }
            result.add(Pattern.compile("(?<=-> |tensor |filter |convolution |activation |x |w |conv |y |z |bias )\\d+(?= |$)")
                    .matcher(line).replaceAll(m -> numbers.getOrDefault(m.group(), m.group())));
        }
        return result;
    }

    @Test
    void graphReachesCudnn() throws Exception {
        run("12 cudnn", Map.of(), "12040");
        // Each of the heuristics proposes three; the one that rounds is left out, and two of them are enough.
        assertEquals(List.of("classic call []: 1001 bytes",
                "graph conv+bias, engine 1 k10=10 [tensor cores]: 2048 bytes",
                "graph conv+bias, engine 2 k9=11 k10=10 [tensor cores, compiled at run time]: 2048 bytes",
                "graph conv+bias, engine 4 k10=10 [tensor cores]: 2048 bytes",
                "graph conv+bias, engine 5 k9=11 k10=10 [tensor cores, compiled at run time]: 2048 bytes",
                "last resort classic calls one after the other []: 1001 bytes",
                "last resort classic calls one after the other, implicit GEMM []: 1000 bytes"), output.subList(2, 9));
        // Without a residual, float32: engines on tensor cores are TF32.
        assertEquals(List.of("classic call []: 1001 bytes", "graph conv+bias []: cuDNN proposes no engine",
                "graph conv []: cuDNN proposes no engine"), output.subList(9, 12));
        int first = log.indexOf(log.stream().filter(l -> l.endsWith(" = kind 17")).findFirst().orElseThrow());
        int base = Integer.parseInt(log.get(first).substring(0, log.get(first).indexOf(' '))) - 1;
        UnaryOperator<String> number = line -> Pattern.compile("#(\\d+)").matcher(line)
                .replaceAll(m -> Integer.toString(base + Integer.parseInt(m.group(1))));
        List<String> expected = Stream.of(
                "#1 = kind 17", "#1.906 type 3: 5", "#1.901 type 1: 2", "#1.902 type 3: 2 640 5 6",
                "#1.903 type 3: 19200 1 3840 640", "#1.900 type 3: 16", "#1.907 type 2: false", "finalize #1",
                "#2 = kind 17", "#2.906 type 3: 6", "#2.901 type 1: 0", "#2.902 type 3: 2 640 5 6",
                "#2.903 type 3: 19200 1 3840 640", "#2.900 type 3: 16", "#2.907 type 2: true", "finalize #2",
                "#3 = kind 17", "#3.906 type 3: 1", "#3.901 type 1: 2", "#3.902 type 3: 2 320 10 12",
                "#3.903 type 3: 38400 1 3840 320", "#3.900 type 3: 16", "#3.907 type 2: false", "finalize #3",
                "#4 = kind 17", "#4.906 type 3: 2", "#4.901 type 1: 2", "#4.902 type 3: 640 320 3 3",
                "#4.903 type 3: 2880 1 960 320", "#4.900 type 3: 16", "#4.907 type 2: false", "finalize #4",
                "#5 = kind 1", "#5.100 type 1: 0", "#5.101 type 7: 1", "#5.106 type 3: 2", "#5.102 type 3: 1 1",
                "#5.103 type 3: 2 2", "#5.104 type 3: 1 1", "#5.105 type 3: 1 1", "finalize #5",
                "#6 = kind 10", "#6.700 type 4: 1", "#6.701 type 4: 0", "#6.702 type 15: #5", "#6.703 type 15: #4",
                "#6.704 type 15: #3", "#6.705 type 15: #2", "finalize #6",
                "#7 = kind 17", "#7.906 type 3: 7", "#7.901 type 1: 0", "#7.902 type 3: 2 640 5 6",
                "#7.903 type 3: 19200 1 3840 640", "#7.900 type 3: 16", "#7.907 type 2: true", "finalize #7",
                "#8 = kind 17", "#8.906 type 3: 4", "#8.901 type 1: 2", "#8.902 type 3: 2 640 5 6",
                "#8.903 type 3: 19200 1 3840 640", "#8.900 type 3: 16", "#8.907 type 2: false", "finalize #8",
                "#9 = kind 0", "#9.0 type 14: 0", "#9.1 type 1: 0", "finalize #9",
                "#10 = kind 13", "#10.750 type 15: #9", "#10.751 type 15: #2", "#10.752 type 15: #8",
                "#10.753 type 15: #7", "finalize #10",
                "#11 = kind 17", "#11.906 type 3: 3", "#11.901 type 1: 2", "#11.902 type 3: 1 640 1 1",
                "#11.903 type 3: 640 1 640 640", "#11.900 type 3: 16", "#11.907 type 2: false", "finalize #11",
                "#12 = kind 0", "#12.0 type 14: 0", "#12.1 type 1: 0", "finalize #12",
                "#13 = kind 13", "#13.750 type 15: #12", "#13.751 type 15: #7", "#13.752 type 15: #11",
                "#13.753 type 15: #1", "finalize #13",
                "#14 = kind 15", "#14.800 type 0: " + 0xd22, "#14.801 type 15: #6 #10 #13", "finalize #14",
                "#15 = kind 4", "#15.201 type 15: #14", "#15.200 type 8: 3", "finalize #15", "#15.202? type 15 room 0",
                "#16 = kind 3", "#17 = kind 3", "#18 = kind 3", "#15.202? type 15 room 3",
                "#19 = kind 2", "#16.300? type 15 room 1", "#19.1301? type 3 room 1").map(number).toList();
        assertEquals(String.join("\n", expected), String.join("\n", log.subList(first, first + expected.size())));
        // One plan of each, one variant pack for both of its runs.
        List<String> plans = log.stream().filter(l -> l.endsWith(" = kind 5")).toList();
        assertEquals(4, plans.size());
        String plan = plans.getFirst().substring(0, plans.getFirst().indexOf(' '));
        List<String> packs = log.stream().filter(l -> l.endsWith(" = kind 16")).toList();
        assertEquals(4, packs.size(), "not one for each run");
        String pack = packs.getFirst().substring(0, packs.getFirst().indexOf(' '));
        int run = log.indexOf(packs.getFirst());
        assertEquals(List.of(pack + ".1000 type 3: 1 2 3 4 5", pack + ".1001 type 6: 4096 8192 12288 16384 20480",
                pack + ".1003 type 6: " + 0x6000, "finalize " + pack, "execute 0xd22 " + plan + " " + pack,
                "execute 0xd22 " + plan + " " + pack), log.subList(run + 1, run + 7));
        assertLogged(plan + ".400 type 0: " + 0xd22, "finalize " + plan, plan + ".402? type 3 room 1");
        assertEverythingIsGivenBack();
    }

    @Test
    void faultyEnginesArePassedOver() throws Exception {
        run("12 cudnn", Map.of("FAKE_CUDNN_VERSION", "92301"), "12040", "86");
        assertEquals(List.of("1", "2", "4"), output.stream().filter(l -> l.startsWith("graph conv+bias, engine"))
                .map(l -> l.split(" ")[3]).toList(), "all but 5");
        assertEverythingIsGivenBack();
    }

    @Test
    void theConvolutionAloneCompetesToo() throws Exception {
        run("12 cudnn", Map.of("FAKE_NUMERICAL_NOTE", "9"), "12040");
        List<String> without = output.subList(output.indexOf("last resort classic calls one after the other, implicit GEMM []: 1000"
                + " bytes") + 1, output.size());
        // The best of each first.
        assertTrue(without.get(1).matches("graph conv\\+bias, engine .*"), without::toString);
        assertTrue(without.get(2).matches("graph conv, engine .*: 2048 bytes, no bias"), without::toString);
        // The convolution alone names no bias.
        assertTrue(log.stream().anyMatch(l -> l.endsWith(".1000 type 3: 1 2 5")));
        assertTrue(log.stream().anyMatch(l -> l.endsWith(".1001 type 6: 4096 8192 20480")));
        assertEverythingIsGivenBack();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4, 5, 6, 7, 8})
    void enginesThatRoundOnTheWayAreLeftOut(int note) throws Exception {
        run("12 cudnn", Map.of("FAKE_NUMERICAL_NOTE", Integer.toString(note)), "12040");
        assertEquals("graph conv+bias []: cuDNN proposes no engine", output.get(3));
    }

    /** Of engine and knobs, in the way in which the heuristics' configurations are read. */
    @Test
    void anEngineIsMadeOfItsName() throws Exception {
        run(NamedEngines.class, "12 cudnn", Map.of(), "graph conv+bias, engine 100 k10=10", "graph conv+bias, engine 101 k9=11 k10=10",
                "graph conv+bias, engine 99", "graph conv+bias, engine 100 k10=11", "graph conv+bias, engine 100 k10=", "graph other, engine 1",
                "classic call", "other call", "graph conv+bias, engine 1 k10=10");
        assertEquals(List.of("[tensor cores]: 2048 bytes", "[tensor cores, compiled at run time]: 2048 bytes", "none", "none", "none", "none", "[]: 1001 bytes", "none",
                "[tensor cores]: 2048 bytes"), output);
        int engine = IntStream.range(0, log.size()).filter(i -> log.get(i).endsWith(".1301 type 3: 101")).findFirst().orElseThrow();
        int number = Integer.parseInt(log.get(engine).substring(0, log.get(engine).indexOf('.')));
        String graph = log.stream().filter(l -> l.endsWith(" = kind 15")).findFirst().orElseThrow().replace(" = kind 15", "");
        assertEquals(Stream.of("#0 = kind 2", "#0.1300 type 15: " + graph, "#0.1301 type 3: 101", "finalize #0",
                "#1 = kind 7", "#1.600 type 9: 9", "#1.601 type 3: 11", "finalize #1",
                "#2 = kind 7", "#2.600 type 9: 10", "#2.601 type 3: 10", "finalize #2",
                "#3 = kind 3", "#3.300 type 15: #0", "#3.302 type 15: #1 #2", "finalize #3").map(line -> Pattern.compile("#(\\d)")
                .matcher(line).replaceAll(m -> Integer.toString(number + Integer.parseInt(m.group(1))))).toList(),
                log.subList(engine - 2, engine + 14));
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
    void theLastResortIsThreeCallsOnTensorCoresFirst() throws Exception {
        run("12 cudnn", Map.of("FAKE_FINALIZE_15", "3000", "FAKE_FUSED", "3000"), "12040");
        List<String> plain = log.stream().filter(l -> l.startsWith("plain")).toList();
        assertTrue(plain.getFirst().matches("plain 0xd22 alpha 1 x \\d+ 0x1000 w \\d+ 0x2000 conv \\d+ algo 1 workspace 0x6000 1001"
                + " beta 0 y \\d+ 0x5000"), plain::toString);
        assertTrue(plain.get(2).contains(" algo 0 workspace 0x6000 1000 "), plain::toString);
        assertTrue(log.stream().anyMatch(l -> l.matches("add 0xd22 alpha 1 a \\d+ 0x3000 beta 1 c \\d+ 0x5000")));
        assertTrue(log.stream().anyMatch(l -> l.matches("add 0xd22 alpha 1 a (\\d+) 0x4000 beta 1 c \\1 0x5000")));
        assertEverythingIsGivenBack();
    }

    @Test
    void attentionReachesCudnn() throws Exception {
        run(FakeAttention.class, "12 cudnn", Map.of(), "");
        assertEquals("graph attention, engine 1 k10=10 [tensor cores]: 2048 bytes", output.getFirst());
        // Which tensors there are, and their descriptors: q, k transposed, v and the result in memory, the scale by value.
        Map<String, String> tensors = new HashMap<>();
        for (String line : log) {
            if (line.matches("\\d+\\.906 type 3: \\d+")) {
                tensors.put(line.substring(line.lastIndexOf(' ') + 1), line.substring(0, line.indexOf('.')));
            }
        }
        assertEquals(14, tensors.size(), () -> String.join("\n", log));
        String part = ".903 type 3: 3932160 40 960 1";
        String scale = tensors.get("4");
        assertLogged(tensors.get("1") + ".902 type 3: 2 8 4096 40", tensors.get("1") + part,
                tensors.get("2") + ".902 type 3: 2 8 40 4096", tensors.get("2") + ".903 type 3: 3932160 40 1 960",
                tensors.get("3") + ".902 type 3: 2 8 4096 40", tensors.get("3") + part,
                scale + ".902 type 3: 1 1 1 1", scale + ".901 type 1: 0", scale + ".908 type 2: true", scale + ".907 type 2: false",
                tensors.get("5") + ".902 type 3: 2 8 4096 40", tensors.get("5") + ".903 type 3: 1310720 40 320 1");
        // Between: scores, scaled, highest, shifted, powers, sum, its logarithm and statistics in float32, weights in float16.
        for (int id = 6; id <= 14; id++) {
            String tensor = tensors.get(Integer.toString(id));
            boolean row = id == 8 || id == 11 || id == 12 || id == 13;
            assertLogged(tensor + ".907 type 2: true", tensor + ".901 type 1: " + (id == 14 ? 2 : 0),
                    tensor + ".902 type 3: 2 8 4096 " + (row ? 1 : 4096),
                    tensor + ".903 type 3: " + (row ? "32768 4096 1 1" : "134217728 16777216 4096 1"));
        }
        assertEquals(List.of("19 a 1 b 2 c 6", "13 mode 1 x 6 b 4 y 7", "22 mode 3 x 7 y 8", "13 mode 9 x 7 b 8 y 9",
                "13 mode 13 x 9 y 10", "22 mode 0 x 10 y 11", "13 mode 15 x 11 y 12", "13 mode 0 x 8 b 12 y 13",
                "13 mode 6 x 10 b 11 y 14", "19 a 14 b 3 c 5"), operations(tensors));
        assertTrue(log.stream().anyMatch(l -> l.matches("\\d+\\.1000 type 3: 1 2 3 4 5")));
        assertTrue(log.stream().anyMatch(l -> l.matches("\\d+\\.1001 type 6: 4096 8192 12288 \\d+ 16384")));
        assertTrue(log.stream().anyMatch(l -> l.matches("\\d+\\.1003 type 6: " + 0x5000)));
        assertTrue(log.stream().anyMatch(l -> l.matches("\\d+ by value: 0.25")));
        assertEverythingIsGivenBack();
        run(FakeAttention.class, "12 cudnn", Map.of("FAKE_FINALIZE_15", "3001"), "");
        assertEquals(List.of("graph attention: cuDNN failed: cudnnBackendFinalize answered CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN"
                + " (in cuDNN's own words)"), output);
    }

    /** The operations of the graph, in order: kind of descriptor, mode, and which tensors, by their ids. */
    private List<String> operations(Map<String, String> tensors) {
        Map<String, String> ids = new HashMap<>();
        tensors.forEach((id, descriptor) -> ids.put(descriptor, id));
        Map<Integer, String> names = Map.of(1520, "a", 1521, "b", 1522, "c", 751, "x", 752, "b", 753, "y", 1610, "x", 1611, "y");
        Map<String, String> modes = new HashMap<>();
        Map<String, StringBuilder> operations = new LinkedHashMap<>();
        for (String line : log) {
            Matcher made = Pattern.compile("(\\d+) = kind (13|19|22)").matcher(line);
            Matcher set = Pattern.compile("(\\d+)\\.(\\d+) type \\d+: (\\d+)").matcher(line);
            if (made.matches()) {
                operations.put(made.group(1), new StringBuilder(made.group(2)));
            } else if (set.matches()) {
                int attribute = Integer.parseInt(set.group(2));
                StringBuilder operation = operations.get(set.group(1));
                if (attribute == 0 || attribute == 1600) {
                    modes.put(set.group(1), set.group(3));
                } else if (operation != null && names.containsKey(attribute)) {
                    operation.append(' ').append(names.get(attribute)).append(' ').append(ids.get(set.group(3)));
                } else if (operation != null && (attribute == 750 || attribute == 1612)) {
                    operation.insert(2, " mode " + modes.get(set.group(3)));
                }
            }
        }
        return operations.values().stream().map(StringBuilder::toString).toList();
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
    void whatCudnnRefusesSaysWhy() throws Exception {
        run(FailingLibraries.class, "12 cudnn", Map.of(), "dnn");
        String all = "classic call - graph conv+bias, engine A - graph conv+bias, engine B - graph conv+bias, engine C - graph"
                + " conv+bias, engine D";
        String own = " (in cuDNN's own words)";
        String finalize = "cuDNN failed: cudnnBackendFinalize answered CUDNN_STATUS_";
        String execute = ": cuDNN failed: cudnnBackendExecute answered CUDNN_STATUS_EXECUTION_FAILED" + own;
        List<String> found = output.stream().map(l -> l.replaceAll("engine \\d+ k10=\\d+", "engine even")
                .replaceAll("engine \\d+ k9=\\d+ k10=\\d+", "engine odd").replaceFirst("engine even", "engine A")
                .replaceFirst("engine odd", "engine B").replaceFirst("engine even", "engine C").replaceFirst("engine odd", "engine D"))
                .toList();
        assertEquals(List.of("all well - " + all,
                "FAKE_FINALIZE_17 3003 - classic call - graph conv+bias: " + finalize + "NOT_SUPPORTED_DATA_TYPE" + own,
                "FAKE_FINALIZE_4 3000 - classic call - graph conv+bias: cuDNN proposes no engine",
                "FAKE_ATTRIBUTE_202 3000 - classic call - graph conv+bias: cuDNN proposes no engine",
                "FAKE_ATTRIBUTE_1303 2000 - classic call - graph conv+bias: cuDNN proposes no engine",
                "FAKE_ATTRIBUTE_1305 2000 - classic call - graph conv+bias: cuDNN proposes no engine",
                "FAKE_ATTRIBUTE_302 2000 - classic call - graph conv+bias: cuDNN proposes no engine",
                "FAKE_FINALIZE_5 4001 - " + all.replaceAll("(engine .)", "$1: " + finalize + "INTERNAL_ERROR_COMPILATION_FAILED" + own),
                "FAKE_FINALIZE_16 4000 - " + all.replaceAll("(engine .)", "$1: " + finalize + "INTERNAL_ERROR" + own),
                "FAKE_EXECUTE 5000 - " + all.replaceAll("(engine .)", "$1" + execute),
                "FAKE_FUSED 4004 - " + all.replace("classic call",
                        "classic call: there is not enough memory left for cuDNN (cudnnConvolutionBiasActivationForward)"),
                "FAKE_CUDNN_SET_STREAM 1001 - " + all.replaceAll("(classic call|engine .)",
                        "$1: cuDNN failed: cudnnSetStream answered CUDNN_STATUS_NOT_INITIALIZED" + own),
                "INT32 - convolutions are of floating-point tensors, not of INT32",
                "residual is missing", "closed on a lost device"), found);
        assertEverythingIsGivenBack();
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
