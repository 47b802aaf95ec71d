package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.DataType;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The committed PTX is what the sources give, and what the assembler makes of it for each architecture. */
class PtxBuildTest {
    private static final Path COMPILED = Path.of("src/main/resources/io/invadapter/kernels/cuda");
    private static final List<String> ARCHITECTURES = List.of("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120");
    /** The release whose output is committed; others may order instructions differently. */
    private static final String RELEASE = "release 13.0";

    private static final Pattern ENTRY = Pattern.compile("Compiling entry function '(\\w+)'");
    private static final Pattern SPILLS =
            Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
    private static final Pattern REGISTERS = Pattern.compile("Used (\\d+) registers");
    private static final Pattern SHARED = Pattern.compile("(\\d+) bytes smem");

    private static List<String> operators(Path directory) {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(f -> f.getFileName().toString().replace(".ptx.gz", "")).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String read(Path file) throws IOException {
        try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        }
    }

    /** What a command prints; null when there is no such command. */
    private static String run(Path log, String... command) throws IOException, InterruptedException {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        } catch (IOException e) {
            return null;
        }
        if (!process.waitFor(5, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            throw new IOException(command[0] + " takes too long");
        }
        String output = Files.readString(log);
        assertEquals(0, process.exitValue(), output);
        return output;
    }

    @Test
    void ptxIsWhatTheSourcesGive(@TempDir Path directory) throws Exception {
        String version = run(directory.resolve("version"), "nvcc", "--version");
        assumeTrue(version != null && version.contains(RELEASE), "nvcc " + RELEASE + " is not here");
        Path built = directory.resolve("ptx");
        run(directory.resolve("log"), "./build-ptx", built.toString());
        for (DataType type : KernelLibrary.TYPES) {
            Path files = built.resolve(KernelLibrary.directory(type));
            assertEquals(operators(files), KernelLibrary.operators(type));
            for (String operator : KernelLibrary.operators(type)) {
                assertEquals(read(files.resolve(operator + ".ptx.gz")), KernelLibrary.ptx(type, operator),
                        operator + " for " + type + " is out of date: run kernels/cuda/build-ptx");
            }
        }
    }

    /** So what was chosen with other kernels is not relied on. */
    @Test
    void theFingerprintIsOfAllKernels() throws Exception {
        try (Stream<Path> sources = Files.list(Path.of("src/main/cuda"))) {
            assertEquals(sources.map(s -> s.getFileName().toString()).filter(s -> s.endsWith(".cu")).map(s -> s.replace(".cu", ""))
                    .sorted().toList(), KernelLibrary.OPERATORS);
        }
        CRC32 sum = new CRC32();
        for (String type : List.of("f16", "bf16", "f32")) {
            try (Stream<Path> compiled = Files.list(COMPILED.resolve(type))) {
                for (Path file : compiled.sorted(Comparator.comparing(f -> f.getFileName().toString().replace(".ptx.gz", ""))).toList()) {
                    sum.update(Files.readAllBytes(file));
                }
            }
        }
        assertEquals(Long.toHexString(sum.getValue()), KernelLibrary.fingerprint());
    }

    @Test
    void ptxLoadsOnOldDriversAndNamesNoCompiler() {
        for (DataType type : KernelLibrary.TYPES) {
            for (String operator : KernelLibrary.operators(type)) {
                String ptx = KernelLibrary.ptx(type, operator);
                assertTrue(ptx.startsWith(".version 7.0\n.target sm_80\n"), operator + " starts " + ptx.substring(0, 30));
                assertTrue(!ptx.contains("//"), operator + " has comments");
                // Shared memory declared in an unnamed namespace is named after the directory that it was compiled in.
                assertTrue(!ptx.contains("_GLOBAL__N"), operator + " names its directory");
            }
        }
    }

    /** A shuffle passes a ticket on but orders no memory: the warp meets before it reads what other blocks wrote. */
    @Test
    void theLastBlockSeesWhatTheOthersWrote() {
        Pattern ordered = Pattern.compile("\\batom\\.[^;]*;.*?\\bshfl\\.sync\\.[^;]*;[^}]*?\\bbar\\.warp\\.sync\\b[^;]*;\\s*membar\\.gl;", Pattern.DOTALL);
        for (DataType type : KernelLibrary.TYPES) {
            String ptx = KernelLibrary.ptx(type, "group_norm");
            assertTrue(ordered.matcher(ptx.substring(ptx.indexOf(".entry group_norm_statistics("))).find(), type.toString());
        }
    }

    /**
     * Prints registers, shared memory and spills of each kernel, and allows no spill. All architectures see the kernels for
     * float16, which are the first to use more registers; the others are assembled for the oldest one.
     */
    @Test
    void noKernelSpills(@TempDir Path directory) throws Exception {
        String help = run(directory.resolve("help"), "ptxas", "--help");
        assumeTrue(help != null, "ptxas is not here");
        List<String> known = ARCHITECTURES.stream().filter(a -> Pattern.compile("\\b" + a + "\\b").matcher(help).find()).toList();
        for (DataType type : KernelLibrary.TYPES) {
            List<String> architectures = type == DataType.FLOAT16 ? known : List.of("sm_80");
            Map<String, StringBuilder> table = new TreeMap<>();
            StringBuilder head = new StringBuilder(String.format("%-32s", type + ": registers (static shared)"));
            architectures.forEach(a -> head.append(String.format("%12s", a)));
            // Each on a processor of its own; the columns stay in order.
            architectures.parallelStream().map(a -> assemble(directory, type, a)).toList().forEach(column ->
                    column.forEach((kernel, use) -> table
                            .computeIfAbsent(kernel, k -> new StringBuilder(String.format("%-32s", k)))
                            .append(String.format("%12s", use))));
            System.out.println(head);
            table.values().forEach(System.out::println);
        }
    }

    /** Registers and static shared memory of each kernel. */
    private static Map<String, String> assemble(Path directory, DataType type, String architecture) {
        Map<String, String> used = new TreeMap<>();
        try {
            Path own = Files.createDirectories(directory.resolve(type + architecture));
            for (String operator : KernelLibrary.operators(type)) {
                Path ptx = own.resolve(operator + ".ptx");
                Files.writeString(ptx, KernelLibrary.ptx(type, operator));
                String report = run(own.resolve("log"), "ptxas", "-v", "-arch=" + architecture, ptx.toString(), "-o",
                        own.resolve("cubin").toString());
                for (String part : report.split("(?=Compiling entry function)")) {
                    Matcher entry = ENTRY.matcher(part);
                    if (!entry.find()) {
                        continue;
                    }
                    Matcher spills = SPILLS.matcher(part);
                    Matcher registers = REGISTERS.matcher(part);
                    assertTrue(spills.find() && registers.find(), part);
                    assertEquals("0 0 0", spills.group(1) + " " + spills.group(2) + " " + spills.group(3), entry.group(1)
                            + " for " + type + " on " + architecture + ": stack frame, spilled stores and loads");
                    Matcher shared = SHARED.matcher(part);
                    used.put(entry.group(1), registers.group(1) + (shared.find() ? " (" + shared.group(1) + ")" : ""));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
        return used;
    }
}
