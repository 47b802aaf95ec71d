package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The committed PTX is what the sources give, and what the assembler makes of it for each architecture. */
class PtxBuildTest {
    private static final Path SOURCES = Path.of("src/main/cuda");
    private static final List<String> ARCHITECTURES = List.of("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120");
    /** The release whose output is committed; others may order instructions differently. */
    private static final String RELEASE = "release 13.0";

    private static final Pattern ENTRY = Pattern.compile("Compiling entry function '(\\w+)'");
    private static final Pattern SPILLS =
            Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
    private static final Pattern REGISTERS = Pattern.compile("Used (\\d+) registers");
    private static final Pattern SHARED = Pattern.compile("(\\d+) bytes smem");

    /** The names of the .cu files. */
    static List<String> operators() {
        try (Stream<Path> files = Files.list(SOURCES)) {
            return files.map(f -> f.getFileName().toString()).filter(n -> n.endsWith(".cu"))
                    .map(n -> n.substring(0, n.length() - 3)).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
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
        for (String operator : operators()) {
            assertEquals(Files.readString(built.resolve(operator + ".ptx"), StandardCharsets.US_ASCII),
                    KernelLibrary.ptx(operator), operator + ".ptx is out of date: run kernels/cuda/build-ptx");
        }
    }

    @Test
    void ptxLoadsOnOldDriversAndNamesNoCompiler() {
        for (String operator : operators()) {
            String ptx = KernelLibrary.ptx(operator);
            assertTrue(ptx.startsWith(".version 7.0\n.target sm_80\n"), operator + ".ptx starts " + ptx.substring(0, 30));
            assertTrue(!ptx.contains("//"), operator + ".ptx has comments");
            // Shared memory declared in an unnamed namespace is named after the directory that it was compiled in.
            assertTrue(!ptx.contains("_GLOBAL__N"), operator + ".ptx names its directory");
        }
    }

    /** Prints registers, shared memory and spills of each kernel, and allows no spill. */
    @Test
    void noKernelSpills(@TempDir Path directory) throws Exception {
        String help = run(directory.resolve("help"), "ptxas", "--help");
        assumeTrue(help != null, "ptxas is not here");
        Map<String, StringBuilder> table = new TreeMap<>();
        StringBuilder head = new StringBuilder(String.format("%-32s", "registers (static shared memory)"));
        for (String architecture : ARCHITECTURES) {
            if (!Pattern.compile("\\b" + architecture + "\\b").matcher(help).find()) {
                continue;
            }
            head.append(String.format("%12s", architecture));
            for (String operator : operators()) {
                Path ptx = directory.resolve(operator + ".ptx");
                Files.writeString(ptx, KernelLibrary.ptx(operator));
                String report = run(directory.resolve("log"), "ptxas", "-v", "-arch=" + architecture, ptx.toString(), "-o",
                        directory.resolve("cubin").toString());
                for (String part : report.split("(?=Compiling entry function)")) {
                    Matcher entry = ENTRY.matcher(part);
                    if (!entry.find()) {
                        continue;
                    }
                    Matcher spills = SPILLS.matcher(part);
                    Matcher registers = REGISTERS.matcher(part);
                    assertTrue(spills.find() && registers.find(), part);
                    assertEquals("0 0 0", spills.group(1) + " " + spills.group(2) + " " + spills.group(3),
                            entry.group(1) + " on " + architecture + ": stack frame, spilled stores and loads");
                    Matcher shared = SHARED.matcher(part);
                    table.computeIfAbsent(entry.group(1), k -> new StringBuilder(String.format("%-32s", k)))
                            .append(String.format("%12s", registers.group(1) + (shared.find() ? " (" + shared.group(1) + ")"
                                    : "")));
                }
            }
        }
        System.out.println(head);
        table.values().forEach(System.out::println);
    }
}
