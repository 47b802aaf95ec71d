package io.invadapter.kernels.cuda.dnn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import jcuda.jcudnn.JCudnn;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * NVIDIA's own cuBLAS and cuDNN, as far as they go without a GPU. Only where INVADAPTER_CUDA_LIBRARIES names a folder that has
 * them.
 */
class RealCudnnTest {
    /** The properties of a GPU as cuDNN writes them, from NVIDIA's data sheets. */
    private static final String DEVICE = """
            {"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,\
            "multiProcessorCount":%d,"smCountOrigin":0,"warpSize":32,"maxSharedMemoryPerBlock":49152,\
            "maxSharedMemoryPerBlockOptin":%d,"reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,\
            "maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,"supportCoopLaunch":1,\
            "totalGlobalMem":%d,"smClockRateKHz":%d,"memClockRateKHz":%d,"l2CacheSize":%d,"cudaDeviceId":0,"deviceVer":%d,\
            "driverVer":13000,"deviceName":"%s"}""";
    private static final String H100 =
            DEVICE.formatted(132, 232_448, 85_000_000_000L, 1_980_000, 2_619_000, 52_428_800, 900, "NVIDIA H100 80GB HBM3");
    private static final String A100 =
            DEVICE.formatted(108, 166_912, 42_000_000_000L, 1_410_000, 1_215_000, 41_943_040, 800, "NVIDIA A100-SXM4-40GB");

    private static String library;

    @BeforeAll
    static void find() {
        assumeTrue(System.getenv("INVADAPTER_CUDA_LIBRARIES") != null, "INVADAPTER_CUDA_LIBRARIES names no libraries");
        List<String> report = CudaLibraries.report();
        assertTrue(report.stream().anyMatch(l -> l.matches("cuBLAS 1[23]\\.\\d+\\.\\d+: .*/libcublas\\.so\\.1[23]")),
                report::toString);
        String found = report.stream().filter(l -> l.matches("cuDNN 9\\.\\d+\\.\\d+ for CUDA 1[23]: .*/libcudnn\\.so\\.9"))
                .findFirst().orElseThrow(() -> new AssertionError(report));
        library = found.substring(found.indexOf('/'));
    }

    private static Cudnn cudnn() throws Exception {
        return new Cudnn(SharedLibrary.load(library));
    }

    private static List<ConvolutionGraph.Variant> variants(boolean residual) {
        return residual ? List.of(ConvolutionGraph.Variant.FUSED) : List.of(ConvolutionGraph.Variant.values());
    }

    @Test
    void operationsAreAcceptedByCudnn() throws Exception {
        Cudnn cudnn = cudnn();
        assertEquals(9, JCudnn.cudnnGetVersion() / 10000);
        for (DataType type : List.of(DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32)) {
            for (boolean residual : new boolean[] {true, false}) {
                for (ConvolutionGraph.Variant variant : variants(residual)) {
                    new ConvolutionGraph(cudnn, new Dnn.Shape(type, 2, 64, 64, 320, 640, 3, 3, 1, 1, residual), variant).close();
                    new ConvolutionGraph(cudnn, new Dnn.Shape(type, 1, 65, 63, 4, 3, 1, 1, 1, 0, residual), variant).close();
                    new ConvolutionGraph(cudnn, new Dnn.Shape(type, 3, 64, 48, 640, 640, 3, 3, 2, 1, residual), variant).close();
                }
            }
        }
        // A kernel that is larger than the picture: cuDNN does look.
        Dnn.Shape impossible = new Dnn.Shape(DataType.FLOAT16, 1, 4, 4, 8, 8, 9, 9, 1, 0, false);
        String message = assertThrows(CudaException.class,
                () -> new ConvolutionGraph(cudnn, impossible, ConvolutionGraph.Variant.FUSED)).getMessage();
        assertTrue(message.contains("CUDNN_STATUS_BAD_PARAM"), message);
    }

    /** A UNet's convolutions at 64 x 64 latents, batch 2, and the picture's end of the decoder. */
    private static List<Dnn.Shape> shapes(DataType type) {
        List<Dnn.Shape> shapes = new ArrayList<>();
        int[][] levels = {{64, 320}, {32, 640}, {16, 1280}, {8, 1280}};
        for (int[] level : levels) {
            for (boolean residual : new boolean[] {true, false}) {
                shapes.add(new Dnn.Shape(type, 2, level[0], level[0], level[1], level[1], 3, 3, 1, 1, residual));
                shapes.add(new Dnn.Shape(type, 2, level[0], level[0], 2 * level[1], level[1], 1, 1, 1, 0, residual));
            }
            shapes.add(new Dnn.Shape(type, 2, level[0], level[0], level[1], level[1], 3, 3, 2, 1, false));
        }
        shapes.add(new Dnn.Shape(type, 2, 64, 64, 4, 320, 3, 3, 1, 1, false));
        shapes.add(new Dnn.Shape(type, 2, 64, 64, 320, 4, 3, 3, 1, 1, false));
        shapes.add(new Dnn.Shape(type, 1, 512, 512, 128, 128, 3, 3, 1, 1, true));
        shapes.add(new Dnn.Shape(type, 1, 512, 512, 128, 3, 3, 3, 1, 1, false));
        return shapes;
    }

    /** cuDNN proposes and makes plans for a GPU that is not there, told by its properties. */
    @Test
    void enginesThatNeedNoCompilingAreProposedForEveryConvolution() throws Exception {
        assumeTrue(JCudnn.cudnnGetVersion() >= 91100, "deviceless compilation came with cuDNN 9.11");
        for (String device : List.of(H100, A100)) {
            Cudnn cudnn = cudnn();
            cudnn.describeDevice(device);
            for (Dnn.Shape shape : shapes(DataType.FLOAT16)) {
                for (ConvolutionGraph.Variant variant : variants(shape.residual())) {
                    List<String> names;
                    try (ConvolutionGraph graph = new ConvolutionGraph(cudnn, shape, variant)) {
                        List<EngineConfiguration> proposals = graph.proposals();
                        names = names(proposals);
                        String what = shape + ", " + variant + ": " + proposals;
                        assertTrue(proposals.size() >= 4, what);
                        assertEquals(proposals.size(), new HashSet<>(names).size(), "a name is one engine's: " + what);
                        assertFalse(proposals.getFirst().compiledAtRunTime(), what);
                        assertTrue(proposals.getFirst().notes().contains("tensor cores"), what);
                        try (Descriptor plan = graph.compile(proposals.getFirst())) {
                            assertTrue(plan.int64(Attribute.EXECUTION_PLAN_WORKSPACE_SIZE) >= 0);
                        }
                        assertFoundByNames(cudnn, shape.withBatch(3), variant, names);
                    }
                    try (ConvolutionGraph again = new ConvolutionGraph(cudnn, shape, variant)) {
                        assertEquals(names, names(again.proposals()), "a choice is found again by its name");
                    }
                }
            }
        }
    }

    /** What one batch was given another batch gets, though the heuristics propose other engines for it. */
    private static void assertFoundByNames(Cudnn cudnn, Dnn.Shape shape, ConvolutionGraph.Variant variant, List<String> names) {
        try (ConvolutionGraph graph = new ConvolutionGraph(cudnn, shape, variant)) {
            for (String name : names) {
                EngineConfiguration found = graph.named(name).orElseThrow(() -> new AssertionError(shape + ": " + name));
                assertEquals(name, found.name());
            }
            try (Descriptor plan = graph.compile(graph.named(names.getFirst()).orElseThrow())) {
                assertTrue(plan.int64(Attribute.EXECUTION_PLAN_WORKSPACE_SIZE) >= 0);
            }
            assertTrue(graph.named("engine 99999").isEmpty());
        }
    }

    private static List<String> names(List<EngineConfiguration> proposals) {
        return proposals.stream().map(EngineConfiguration::name).toList();
    }

    @Test
    void float32HasEnginesWithoutTensorCores() throws Exception {
        assumeTrue(JCudnn.cudnnGetVersion() >= 91100, "deviceless compilation came with cuDNN 9.11");
        Cudnn cudnn = cudnn();
        cudnn.describeDevice(H100);
        Dnn.Shape shape = new Dnn.Shape(DataType.FLOAT32, 2, 64, 64, 320, 320, 3, 3, 1, 1, true);
        try (ConvolutionGraph graph = new ConvolutionGraph(cudnn, shape, ConvolutionGraph.Variant.FUSED)) {
            List<EngineConfiguration> proposals = graph.proposals();
            assertTrue(proposals.size() >= 4, "more than the fallback's, though those with TF32 come first: " + proposals);
            proposals.forEach(proposal -> assertFalse(proposal.notes().contains("tensor cores"), proposal.toString()));
        }
    }

    /** What cuDNN wants of a driver before it proposes an engine that it would compile. */
    private static final List<String> DRIVER = List.of("cuCtxGetCurrent", "cuCtxGetLimit", "cuCtxPopCurrent", "cuCtxPushCurrent",
            "cuDeviceGet", "cuDeviceGetCount", "cuDriverGetVersion", "cuGetErrorName", "cuGetErrorString", "cuKernelGetAttribute",
            "cuKernelSetAttribute", "cuLaunchCooperativeKernel", "cuLaunchKernel", "cuLaunchKernelEx", "cuLibraryGetKernel",
            "cuLibraryLoadData", "cuLibraryLoadFromFile", "cuLibraryUnload", "cuLinkAddData", "cuLinkComplete", "cuLinkCreate",
            "cuLinkDestroy", "cuOccupancyMaxPotentialClusterSize", "cuStreamGetCtx");

    /** Loads a driver that does nothing, where there is none; cuDNN finds it by its name. */
    private static void loadDriver(Path folder) throws IOException, InterruptedException {
        StringBuilder code = new StringBuilder();
        DRIVER.forEach(function -> code.append("int ").append(function).append("(void) { return 0; }\n"));
        Path source = Files.writeString(folder.resolve("driver.c"), code);
        Path driver = folder.resolve("libcuda.so.1");
        Process gcc = new ProcessBuilder("gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", driver.toString(),
                source.toString()).inheritIO().start();
        assertEquals(0, gcc.waitFor());
        SymbolLookup.libraryLookup(driver, Arena.global());
    }

    private static Dnn.AttentionShape attention(DataType type, int batch, int tokens, int keys, int size) {
        long width = 8L * size;
        Dnn.Strides query = keys == tokens ? new Dnn.Strides(tokens * 3 * width, 3 * width, size)
                : new Dnn.Strides(tokens * width, width, size);
        Dnn.Strides key = keys == tokens ? query : new Dnn.Strides(keys * 2 * width, 2 * width, size);
        return new Dnn.AttentionShape(type, batch, 8, tokens, keys, size, 0.1f, query, key, key,
                new Dnn.Strides(tokens * width, width, size));
    }

    @Test
    void fusedAttentionHasEngines(@TempDir Path folder) throws Exception {
        assumeTrue(JCudnn.cudnnGetVersion() >= 91100, "deviceless compilation came with cuDNN 9.11");
        loadDriver(folder);
        for (String device : List.of(H100, A100)) {
            Cudnn cudnn = cudnn();
            cudnn.describeDevice(device);
            for (DataType type : List.of(DataType.FLOAT16, DataType.BFLOAT16)) {
                for (Dnn.AttentionShape shape : List.of(attention(type, 1, 4096, 4096, 40), attention(type, 2, 4096, 4096, 40),
                        attention(type, 3, 6144, 6144, 40), attention(type, 16, 1024, 1024, 80), attention(type, 2, 4096, 77, 64))) {
                    try (AttentionGraph graph = new AttentionGraph(cudnn, shape)) {
                        List<EngineConfiguration> proposals = graph.proposals();
                        String what = shape + ": " + proposals;
                        assertFalse(proposals.isEmpty(), what);
                        proposals.forEach(proposal -> assertTrue(proposal.compiledAtRunTime()
                                && proposal.notes().contains("tensor cores"), what));
                        // The engine with Hopper's own products.
                        assertEquals(device.equals(H100), proposals.stream().anyMatch(proposal -> proposal.engine() == 2), what);
                    }
                }
            }
            try (AttentionGraph graph = new AttentionGraph(cudnn, attention(DataType.FLOAT16, 2, 4096, 4096, 44))) {
                assertEquals(List.of(), graph.proposals(), "heads that are no multiple of 8");
            }
        }
    }
}
