package io.invadapter.kernels.cuda.libraries;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.cuda.ChildJvm;
import io.invadapter.kernels.cuda.OpenedDevices;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What applications get that ask for {@code cuda}: a device where driver, cuBLAS and cuDNN are there, and otherwise one sentence
 * that says what to do. All three are fakes in C, found by name as the real ones are.
 */
class OpeningTest {
    private static final String ADVICE = "install it, name its folder in INVADAPTER_CUDA_LIBRARIES, or build with mvn -Pnvidia,"
            + " which downloads 2 GB";
    private static final String GPU = "GPU 0: Fake GPU, compute capability 8.9, 22 GiB";

    @TempDir
    static Path folder;

    @BeforeAll
    static void build() throws Exception {
        assumeTrue(System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64"),
                "JCuda's native libraries are for Linux on x86-64");
        Path driver = FakeLibraries.build(folder.resolve("driver"), "fake_cuda.c", "libcuda.so.1");
        assumeTrue(driver != null, "there is no gcc");
        Path map = Files.writeString(folder.resolve("map"), "libcublas.so.12 { global: *; };");
        FakeLibraries.build(folder.resolve("12"), "fake_cublas.c", "libcublas.so.12", "-DVERSION=120603",
                "-Wl,--version-script=" + map);
        FakeLibraries.build(folder.resolve("12"), "fake_cublaslt.c", "libcublasLt.so.12", "-DVERSION=120603");
        FakeLibraries.build(folder.resolve("13"), "fake_cublas.c", "libcublas.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("13"), "fake_cublaslt.c", "libcublasLt.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("alone"), "fake_cublas.c", "libcublas.so.13", "-DVERSION=130101");
        FakeLibraries.build(folder.resolve("cudnn"), "fake_cudnn.c", "libcudnn.so.9");
        FakeLibraries.build(folder.resolve("cudnn8"), "fake_cudnn.c", "libcudnn.so.8");
        for (String library : List.of("libcublas.so.12", "libcudnn.so.9")) {
            Files.createDirectories(folder.resolve("broken"));
            Files.writeString(folder.resolve("broken").resolve(library), "no library");
        }
        Files.createDirectories(folder.resolve("home"));
    }

    /** @param device the driver's CUDA version, how many GPUs, and their compute capability */
    private static List<String> run(String device, String folders, Map<String, String> environment, String... arguments)
            throws Exception {
        return run(device, folders, environment, List.of(), arguments);
    }

    private static List<String> run(String device, String folders, Map<String, String> environment, List<String> options,
                                    String... arguments) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(ChildJvm.command(OpenedDevices.class, options, List.of(arguments)))
                .redirectErrorStream(true);
        StringBuilder named = new StringBuilder();
        for (String each : folders.split(" ")) {
            named.append(named.isEmpty() ? "" : ":").append(folder.resolve(each));
        }
        builder.environment().keySet().removeIf(v -> v.startsWith("CUDA") || v.equals("CONDA_PREFIX") || v.equals("VIRTUAL_ENV"));
        builder.environment().putAll(Map.of("LD_LIBRARY_PATH", folder.resolve("driver").toString(), "FAKE_DEVICE", device,
                "FAKE_LOG", folder.resolve("log").toString(), LibraryFolders.VARIABLE, named.toString(), "PATH", "",
                "HOME", folder.resolve("home").toString(), "XDG_CACHE_HOME", folder.resolve("home").toString()));
        builder.environment().putAll(environment);
        Process process = builder.start();
        List<String> output = new String(process.getInputStream().readAllBytes()).lines().toList();
        assertEquals(0, process.waitFor(), () -> String.join("\n", output));
        return output;
    }

    private static String cublas(int version) {
        return "cuBLAS " + (version == 12 ? "12.6.3" : "13.1.1") + ": " + folder + "/" + version + "/libcublas.so." + version;
    }

    private static String lt(int version) {
        return cublas(version).replace("cuBLAS", "cuBLASLt").replace("libcublas", "libcublasLt");
    }

    /** Where the machine has the real ones, they are found. */
    private static void assumeNotInstalled(String library) {
        assumeTrue(new LibraryFolders(null, Map.of(), Path.of("/")).usual().stream()
                .noneMatch(f -> Files.exists(f.resolve(library))), library + " is installed here");
    }

    @Test
    void withEverythingThereIsADevice() throws Exception {
        String libraries = "cuBLAS 12.6.3 (JCublas, " + folder + "/12/libcublas.so.12), cuBLASLt 12.6.3 (java.lang.foreign, " + folder
                + "/12/libcublasLt.so.12), cuDNN 9.5.1 for CUDA 12 (JCudnn, " + folder + "/cudnn/libcudnn.so.9)";
        assertEquals(List.of("driver for CUDA 12.4", GPU, "GPU 1: Fake GPU, compute capability 8.9, 22 GiB",
                cublas(12), lt(12),
                "cuDNN 9.5.1 for CUDA 12: " + folder + "/cudnn/libcudnn.so.9",
                "cuda:0: Fake GPU (compute capability 8.9), fp16, " + libraries,
                "cuda:1: Fake GPU (compute capability 8.9), fp16, " + libraries,
                "There is no GPU 2: the driver knows GPUs 0 to 1"),
                run("12040 2 8 9", "12 cudnn", Map.of(), "report", "cuda", "cuda:1", "cuda:2"));
    }

    @Test
    void whatCouldNotBeRecordedInAnEarlierProcessIsTold() throws Exception {
        Path books = folder.resolve("home/invadapter/choices");
        ChoiceBook.onDisk(books, "Other GPU, driver 12040").put("some work", new ChoiceBook.Entry("engine 5", 3));
        ChoiceBook.onDisk(books, "Fake GPU, driver 12040").put("what cannot be recorded as a graph",
                new ChoiceBook.Entry("engine 7 cannot be captured", Double.NaN));
        try {
            assertEquals("launched one by one, for it could not be recorded as a graph: engine 7 cannot be captured (Fake GPU, driver"
                    + " 12040)", run("12040 1 8 9", "12 cudnn", Map.of(), "report").getLast());
        } finally {
            try (Stream<Path> files = Files.list(books)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    @Test
    void withANewDriverCublas13WillDo() throws Exception {
        assumeNotInstalled("libcublas.so.12");
        List<String> output = run("13000 1 8 9", "13 cudnn", Map.of("FAKE_CUDART", "13010"), "report", "cuda:0");
        assertEquals(List.of("driver for CUDA 13.0", GPU, cublas(13), lt(13),
                "cuDNN 9.5.1 for CUDA 13: " + folder + "/cudnn/libcudnn.so.9",
                "cuda:0: Fake GPU (compute capability 8.9), fp16, cuBLAS 13.1.1 (java.lang.foreign, " + folder
                        + "/13/libcublas.so.13), cuBLASLt 13.1.1 (java.lang.foreign, " + folder
                        + "/13/libcublasLt.so.13), cuDNN 9.5.1 for CUDA 13 (JCudnn, " + folder + "/cudnn/libcudnn.so.9)"), output);
    }

    @Test
    void cublasIsOfTheCudaThatCudnnWasBuiltForOrOfTheOther() throws Exception {
        assumeNotInstalled("libcublas.so.12");
        assumeNotInstalled("libcublas.so.13");
        assertEquals(cublas(13), run("13000 1 8 9", "12 13 cudnn", Map.of("FAKE_CUDART", "13010"), "report").get(2));
        assertEquals(cublas(12),
                run("13000 1 8 9", "13 12 cudnn", Map.of("FAKE_CUDART", "12080"), "report").get(2));
        assertTrue(run("13000 1 8 9", "12 cudnn", Map.of("FAKE_CUDART", "13010"), "cuda").getFirst()
                .contains("cuBLAS 12.6.3 (JCublas, "), "only 12 is there");
        assertEquals("cuBLAS 13 or 12 (libcublas.so.13, libcublas.so.12) is not found: " + ADVICE,
                run("13000 1 8 9", "cudnn", Map.of("FAKE_CUDART", "13010"), "cuda").getFirst());
    }

    @Test
    void withoutCublasLtProductsAndAdditionsAreApart() throws Exception {
        assumeNotInstalled("libcublasLt.so.13");
        List<String> output = run("13000 1 8 9", "alone cudnn", Map.of("FAKE_CUDART", "13010"), "report", "cuda");
        assertEquals("cuBLASLt is not beside it: biases and residuals are added by launches of their own", output.get(3));
        assertTrue(output.getLast().contains("cuBLAS 13.1.1 (java.lang.foreign, ") && !output.getLast().contains("Lt"), output::toString);
    }

    @Test
    void withoutCublasTheSentenceSaysWhichOne() throws Exception {
        assumeNotInstalled("libcublas.so.12");
        assumeNotInstalled("libcublas.so.13");
        String missing = "cuBLAS 12 (libcublas.so.12) is not found: " + ADVICE;
        List<String> output = run("12040 1 8 9", "13 cudnn", Map.of(), "report", "cuda", "auto");
        assertEquals(List.of("driver for CUDA 12.4", GPU, missing,
                "cuDNN 9.5.1 for CUDA 12: " + folder + "/cudnn/libcudnn.so.9", missing), output.subList(0, 5));
        // Whoever leaves the choice to the library gets the CPU, and is told why.
        assertTrue(output.contains("using cpu, not cuda: " + missing), output::toString);
        assertEquals("cuBLAS 12 or 13 (libcublas.so.12, libcublas.so.13) is not found: " + ADVICE,
                run("13000 1 8 9", "cudnn", Map.of(), "cuda").getFirst());
    }

    @Test
    void filesThatAreNoLibrariesAreNamed() throws Exception {
        assumeNotInstalled("libcublas.so.12");
        String found = run("12040 1 8 9", "broken cudnn", Map.of(), "cuda").getFirst();
        assertTrue(found.startsWith("cuBLAS 12 (libcublas.so.12) is not found: " + ADVICE + " (" + folder
                + "/broken/libcublas.so.12: "), found);
        assumeNotInstalled("libcudnn.so.9");
        found = run("12040 1 8 9", "12 broken", Map.of(), "cuda").getFirst();
        assertTrue(found.startsWith("cuDNN 9 (libcudnn.so.9) is not found: " + ADVICE) && found.contains("/broken/libcudnn.so.9: "),
                found);
    }

    /** NVIDIA's first file aborts the process when it is called and the others are not there. */
    @Test
    void cudnnInPartsMustBeWhole() throws Exception {
        assumeNotInstalled("libcudnn.so.9");
        Path parts = Files.createDirectories(folder.resolve("parts"));
        Path first = Files.copy(folder.resolve("cudnn/libcudnn.so.9"), parts.resolve("libcudnn.so.9"));
        Files.writeString(first, "libcudnn_graph.so\0libcudnn_cnn.so\0", StandardOpenOption.APPEND);
        String missing = "cuDNN 9 (libcudnn.so.9) is not found: " + ADVICE + " (" + first + " is not all of cuDNN: ";
        List<String> output = run("12040 1 8 9", "12 parts", Map.of(), "report", "cuda");
        assertTrue(output.get(4).startsWith(missing + "libcudnn_graph.so.9: "), output::toString);
        assertEquals(output.get(4), output.get(5));

        FakeLibraries.build(parts, "fake_cublas.c", "libcudnn_graph.so.9", "-DVERSION=120603");
        byte[] whole = Files.readAllBytes(parts.resolve("libcudnn_graph.so.9"));
        Files.write(parts.resolve("libcudnn_cnn.so.9"), Arrays.copyOf(whole, whole.length / 2));
        output = run("12040 1 8 9", "12 parts", Map.of(), "report");
        assertTrue(output.get(4).startsWith(missing + parts + "/libcudnn_cnn.so.9: has only " + whole.length / 2 + " of at least "),
                output::toString);
        assertTrue(run("12040 1 8 9", "12 parts cudnn", Map.of(), "cuda").getFirst().contains(folder + "/cudnn/libcudnn.so.9"),
                "the next one is taken");

        Files.write(parts.resolve("libcudnn_cnn.so.9"), whole);
        assertTrue(run("12040 1 8 9", "12 parts", Map.of(), "cuda").getFirst().contains(first.toString()), "all are there");
        Files.delete(parts.resolve("libcudnn_graph.so.9"));
        output = run("12040 1 8 9", "12", Map.of("LD_LIBRARY_PATH", folder.resolve("driver") + ":" + parts), "cuda");
        assertTrue(output.getFirst().contains(first + " is not all of cuDNN: libcudnn_graph.so.9: "), output::toString);
    }

    @Test
    void halfAFileIsNotLoaded() throws Exception {
        assumeNotInstalled("libcudnn.so.9");
        byte[] whole = Files.readAllBytes(folder.resolve("cudnn/libcudnn.so.9"));
        Path half = Files.write(Files.createDirectories(folder.resolve("half")).resolve("libcudnn.so.9"),
                Arrays.copyOf(whole, whole.length / 2));
        String found = run("12040 1 8 9", "12 half", Map.of(), "cuda").getFirst();
        assertTrue(found.startsWith("cuDNN 9 (libcudnn.so.9) is not found: " + ADVICE + " (" + half + ": has only " + whole.length / 2
                + " of at least "), found);
    }

    @Test
    void cudnnMustBe9() throws Exception {
        assumeNotInstalled("libcudnn.so.9");
        String missing = "cuDNN 9 (libcudnn.so.9) is not found: " + ADVICE;
        assertEquals(List.of("driver for CUDA 12.4", GPU, "cuBLAS ?.?.?: " + folder + "/12/libcublas.so.12", lt(12), missing, missing),
                run("12040 1 8 9", "12 cudnn8", Map.of("FAKE_CUBLAS_PROPERTY", "14"), "report", "cuda"));
    }

    @Test
    void cudnnMustNotBeNewerThanTheDriver() throws Exception {
        String sentence = folder + "/cudnn/libcudnn.so.9 is cuDNN for CUDA 13, NVIDIA's driver supports CUDA 12: update the driver"
                + " or install cuDNN for CUDA 12";
        assertEquals(List.of("driver for CUDA 12.8", GPU, cublas(12), lt(12),
                "cuDNN 9.5.1 for CUDA 13: " + folder + "/cudnn/libcudnn.so.9", sentence, sentence),
                run("12080 1 8 9", "12 cudnn", Map.of("FAKE_CUDART", "13000"), "report", "cuda"));
    }

    @Test
    void theDriverMustBeNewEnough() throws Exception {
        String old = "NVIDIA's driver is too old: it supports CUDA 11.8, 12.0 or newer is needed; update the driver";
        assertEquals(List.of(old, cublas(12), lt(12),
                "cuDNN 9.5.1 for CUDA 12: " + folder + "/cudnn/libcudnn.so.9", old),
                run("11080 1 8 9", "12 cudnn", Map.of(), "report", "cuda"));
    }

    @Test
    void theLibrariesAreReportedWithoutADriver() throws Exception {
        assertEquals(List.of("NVIDIA's driver is there, but it finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES",
                cublas(12), lt(12), "cuDNN 9.5.1 for CUDA 12: " + folder + "/cudnn/libcudnn.so.9"),
                run("12040 0 8 9", "12 cudnn", Map.of(), "report"));
    }

    @Test
    void whereJCudaCannotBeUnpackedIsNamed() throws Exception {
        Path noFolder = folder.resolve("broken/libcudnn.so.9");
        assertEquals("JCuda's native library could not be loaded: it is unpacked into " + noFolder + ", which must be writable and"
                + " allow programs; java.io.tmpdir names another folder",
                run("12040 1 8 9", "12 cudnn", Map.of(), List.of("-Djava.io.tmpdir=" + noFolder), "cuda").getLast());
    }

    /** JCuda itself would load it, or die of it. */
    @Test
    void whatLiesAmongTheTemporaryFilesIsNotLoaded() throws Exception {
        Path temporary = Files.createDirectories(folder.resolve("temporary"));
        for (String library : List.of("JCudaDriver-12.6.0", "JCublas2-12.6.0", "JCudnn-12.6.0", "JCudnn-11.7.0")) {
            Files.writeString(temporary.resolve("lib" + library + "-linux-x86_64.so"), "half a library");
        }
        List<String> options = List.of("-Djava.io.tmpdir=" + temporary);
        assertEquals(run("12040 1 8 9", "12 cudnn", Map.of(), "report", "cuda"), run("12040 1 8 9", "12 cudnn", Map.of(), options, "report", "cuda"));
        try (Stream<Path> left = Files.list(temporary)) {
            assertEquals(4, left.count(), "what was unpacked is removed");
        }
    }
}
