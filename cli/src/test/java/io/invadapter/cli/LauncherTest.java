package io.invadapter.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * The script {@code invadapter}, wherever it lies and whatever the environment holds. A copy of it runs here in a checkout that
 * is built already, with a Java that prints how it was called.
 */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "a bash script")
class LauncherTest {
    private static final Path CHECKOUT = Path.of(System.getProperty("basedir", ".")).toAbsolutePath().normalize().getParent();
    private static final String JAVA = """
            #!/bin/sh
            [ -z "$JAVA_TOOL_OPTIONS" ] || echo "Picked up JAVA_TOOL_OPTIONS: $JAVA_TOOL_OPTIONS" >&2
            for argument in "$@"; do
                case "$argument" in
                    -version) echo 'openjdk version "25.0.1" 2025-10-21 LTS' >&2; exit ;;
                    -XX:AOTCacheOutput=*) echo started > "${argument#*=}"; exit ;;
                esac
            done
            echo "LC_ALL=$LC_ALL"
            for argument in "$@"; do echo "$argument"; done
            """;

    @TempDir
    private Path folder;
    private Path jdk;
    private Path launcher;

    @BeforeEach
    void checkout() throws IOException {
        jdk = Files.createDirectories(folder.resolve("jdk"));
        Files.createDirectory(jdk.resolve("bin"));
        Files.writeString(jdk.resolve("bin/java"), JAVA).toFile().setExecutable(true);
        Files.writeString(jdk.resolve("release"), "IMPLEMENTOR=\"Somebody\"\nJAVA_VERSION=\"25.0.1\"\n");
        launcher = checkout("checkout");
    }

    private Path checkout(String name) throws IOException {
        Path root = folder.resolve(name);
        Files.createDirectories(root.resolve("scripts"));
        Files.writeString(root.resolve("pom.xml"), "<project/>");
        for (String script : List.of("invadapter", "scripts/jdk.sh")) {
            Files.copy(CHECKOUT.resolve(script), root.resolve(script));
        }
        Files.createDirectories(root.resolve("cli/target/app"));
        return root.resolve("invadapter");
    }

    /** What Java was called with, a line each; the script's own lines come first, if it says something. */
    private List<String> run(Map<String, String> environment, String... command) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).directory(folder.toFile());
        builder.environment().keySet().removeAll(List.of("LC_ALL", "LC_CTYPE", "LANG", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
                "_JAVA_OPTIONS", "XDG_CACHE_HOME"));
        builder.environment().put("JAVA_HOME", jdk.toString());
        builder.environment().putAll(environment);
        Process process = builder.start();
        List<String> lines = process.inputReader().readAllLines();
        assertEquals(0, process.waitFor(), String.join("\n", lines));
        return lines;
    }

    private static Path modulePath(List<String> lines) {
        return Path.of(lines.get(lines.indexOf("--module-path") + 1));
    }

    @Test
    void argumentsArriveAsTheyAre() throws Exception {
        List<String> lines = run(Map.of(), launcher.toString(), "generate", "--prompt", "a  b", "", "*");
        assertEquals(List.of("io.invadapter.cli/io.invadapter.cli.Main", "generate", "--prompt", "a  b", "", "*"),
                lines.subList(lines.size() - 6, lines.size()));
    }

    @Test
    void throughALink() throws Exception {
        Path link = Files.createSymbolicLink(Files.createDirectory(folder.resolve("bin")).resolve("ia"), launcher);
        assertEquals(launcher.getParent().toRealPath().resolve("cli/target/app"), modulePath(run(Map.of(), link.toString())));
    }

    @Test
    void withoutAHome() throws Exception {
        assertTrue(run(Map.of(), "env", "-u", "HOME", launcher.toString()).contains("--module"));
    }

    @Test
    void aColonInThePath() throws Exception {
        Path odd = checkout("a:b c");
        List<String> lines = run(Map.of("XDG_CACHE_HOME", folder.resolve("cache").toString()), odd.toString());
        assertFalse(modulePath(lines).toString().contains(":"), modulePath(lines).toString());
        assertTrue(Files.isSameFile(odd.resolveSibling("cli/target/app"), modulePath(lines)));
    }

    @Test
    void optionsForJavaInTheEnvironment() throws Exception {
        for (String name : List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")) {
            assertTrue(run(Map.of(name, "-Xmx8g"), launcher.toString()).contains("--module"), name);
        }
        Files.delete(jdk.resolve("release"));
        assertTrue(run(Map.of("JAVA_TOOL_OPTIONS", "-Xmx8g"), launcher.toString()).contains("--module"));
    }

    @Test
    void onlyJava25OrNewerIsTaken() throws Exception {
        for (String version : List.of("25", "25.0.1", "26-ea", "100.1")) {
            assertTrue(isTaken(version), version);
        }
        for (String version : List.of("17.0.15", "24.0.2", "1.8.0_252", "9", "2")) {
            assertFalse(isTaken(version), version);
        }
    }

    private boolean isTaken(String version) throws Exception {
        Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"" + version + "\"\nJAVA_RUNTIME_VERSION=\"25.0.1\"\n");
        String script = "root=$1; source \"$1/scripts/jdk.sh\"; if is_jdk25 \"$2\"; then echo yes; else echo no; fi";
        return run(Map.of(), "bash", "-c", script, "bash", launcher.getParent().toString(), jdk.toString()).equals(List.of("yes"));
    }

    @Test
    void withLittleAddressSpaceJavaReservesLess() throws Exception {
        List<String> lines = run(Map.of(), "bash", "-c", "ulimit -v 4000000; \"$0\"", launcher.toString());
        assertTrue(lines.contains("-XX:CompressedClassSpaceSize=64m"), lines.toString());
        assertTrue(lines.contains("-XX:ErgoHeapSizeLimit=500000k"), lines.toString());
        assertTrue(run(Map.of(), launcher.toString()).stream().noneMatch(line -> line.matches("-XX:(CompressedClass|ErgoHeap).*")));
        assertEquals(List.of("invadapter: ulimit -v leaves too little room for Java: it is 1000000 and must be 1200000 or more"),
                run(Map.of(), "bash", "-c", "ulimit -v 1000000; \"$0\" || true", launcher.toString()));
    }

    @Test
    void whatJavaReportsOfItsEndIsNotLeftInTheUsersFolder() throws Exception {
        List<String> lines = run(Map.of("TMPDIR", folder + "/a b"), launcher.toString());
        assertTrue(lines.contains("-XX:ErrorFile=" + folder + "/a b/invadapter-java-%p.log"), lines.toString());
    }

    @Test
    void aLocaleWithoutUtf8IsReplaced() throws Exception {
        for (String locale : new String[] {"C", "POSIX", "no_SUCH.UTF-8"}) {
            assertTrue(run(Map.of("LC_ALL", locale), launcher.toString()).contains("LC_ALL=C.UTF-8"), locale);
        }
        assertTrue(run(Map.of(), launcher.toString()).contains("LC_ALL=C.UTF-8"), "no locale");
        assertTrue(run(Map.of("LANG", "C.UTF-8"), launcher.toString()).contains("LC_ALL="), "UTF-8 already");
    }

    @Test
    void whatOneRunLoadsIsKeptForTheNext() throws Exception {
        for (int i = 0; i < 2; i++) {
            List<String> caches = run(Map.of(), launcher.toString()).stream().filter(line -> line.startsWith("-XX:AOTCache=")).toList();
            assertEquals(1, caches.size());
            assertEquals("started\n", Files.readString(Path.of(caches.getFirst().substring("-XX:AOTCache=".length()))));
        }
        Files.writeString(jdk.resolve("bin/java"), JAVA.replace("echo started >", "false"));
        Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"26\"\n");
        List<String> lines = run(Map.of(), launcher.toString());
        assertTrue(lines.stream().noneMatch(line -> line.startsWith("-XX:AOTCache")), "not of another Java");
        assertEquals(lines, run(Map.of(), launcher.toString()));
    }

    @Test
    void anInterruptEndsTheFirstRunAndTheNextOneStartsAnew() throws Exception {
        // As Java does: an interrupt ends it in an orderly way, after a while.
        Files.writeString(jdk.resolve("bin/java"), JAVA.replace("echo started >", "trap '' INT; touch " + folder + "/begun; sleep 60; echo half >"));
        interruptWhen(folder.resolve("begun"));
        assertEquals(List.of("app"), names("checkout/cli/target"));
        Files.writeString(jdk.resolve("bin/java"), JAVA);
        assertTrue(run(Map.of(), launcher.toString()).stream().anyMatch(line -> line.startsWith("-XX:AOTCache=")));
    }

    @Test
    void anInterruptedBuildIsMadeAnew() throws Exception {
        Path app = folder.resolve("checkout/cli/target/app");
        Path maven = Files.createDirectory(folder.resolve("maven")).resolve("mvn");
        Files.delete(app);
        Files.writeString(maven, "#!/bin/sh\nmkdir -p " + app + "; touch " + app + "/half\ntrap 'exit 130' INT\nwhile :; do sleep 0.1; done\n")
                .toFile().setExecutable(true);
        interruptWhen(app.resolve("half"));
        Files.writeString(maven, "#!/bin/sh\ntouch " + app + "/whole\n");
        run(Map.of("PATH", path()), launcher.toString());
        assertEquals(List.of("half", "whole"), names("checkout/cli/target/app"));
        Files.writeString(maven, "#!/bin/sh\ntouch " + app + "/again\n");
        run(Map.of("PATH", path()), launcher.toString());
        assertEquals(List.of("half", "whole"), names("checkout/cli/target/app"));
    }

    @Test
    void ofTwoFirstRunsOneMakesWhatIsKeptAndBothRun() throws Exception {
        assumeTrue(new ProcessBuilder("sh", "-c", "command -v flock").start().waitFor() == 0, "needs flock");
        Files.writeString(jdk.resolve("bin/java"), JAVA.replace("echo started >", "echo once >> " + folder + "/made; sleep 1; echo started >"));
        String both = "\"$0\" a & first=$!; \"$0\" b & wait $first && wait $!";
        assertEquals(2, run(Map.of(), "bash", "-c", both, launcher.toString()).stream().filter(line -> line.equals("--module")).count());
        assertEquals(List.of("once"), Files.readAllLines(folder.resolve("made")));
        assertEquals(2, names("checkout/cli/target").size());
    }

    private String path() {
        return folder.resolve("maven") + ":" + System.getenv("PATH");
    }

    private List<String> names(String place) throws IOException {
        try (Stream<Path> files = Files.list(folder.resolve(place))) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    /** Ctrl-C, which goes to the script and all it has started in its process group, once there is that file. */
    private void interruptWhen(Path file) throws Exception {
        List<String> command = List.of("env", "--default-signal=INT", "setsid", "bash", launcher.toString());
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile());
        builder.environment().putAll(Map.of("JAVA_HOME", jdk.toString(), "PATH", path()));
        Process process = builder.start();
        while (process.isAlive() && !Files.exists(file)) {
            Thread.sleep(10);
        }
        assumeTrue(Files.exists(file), "needs env and setsid of Linux: " + Files.readString(folder.resolve("log")));
        new ProcessBuilder("kill", "-INT", "--", "-" + process.pid()).start().waitFor();
        assertEquals(130, process.waitFor(), Files.readString(folder.resolve("log")));
    }

    /** With the Java of this test: the command, told nothing of the encoding, gets every character. */
    @Test
    void aPromptAndAPathInThePosixLocale() throws Exception {
        String libraries = System.getProperty("jdk.module.path") + ":" + System.getProperty("java.class.path");
        String script = """
                root=$1; source "$1/scripts/jdk.sh"
                "$2/bin/java" -cp "$3" io.invadapter.cli.Main generate --prompt x -o "$(printf '\\303\\204')/o.png" 2>&1 || true
                """;
        List<String> lines = run(Map.of("LC_ALL", "POSIX"), "bash", "-c", script, "bash", launcher.getParent().toString(),
                System.getProperty("java.home"), libraries);
        assertEquals(1, lines.size(), lines.toString());
        assertTrue(lines.getFirst().contains("Ä/o.png: there is no folder"), lines.toString());
    }
}
