package io.invadapter.base;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** What was there before, and what is left behind. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "modes, links and pipes of POSIX")
class WholeFileTest {
    @TempDir
    private Path folder;

    private static void write(Path file, String text) throws IOException {
        WholeFile.write(file, channel -> channel.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8))));
    }

    private static String mode(Path file) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
    }

    private long files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.count();
        }
    }

    @Test
    void aReplacedFileKeepsItsModeAndANewOneHasTheUsualOne() throws IOException {
        Path usual = Files.createFile(folder.resolve("usual"));
        write(folder.resolve("new"), "new");
        assertEquals(mode(usual), mode(folder.resolve("new")));
        for (String mode : new String[] {"rw-------", "rw-rw-rw-", "rwxr-x--x"}) {
            Files.setPosixFilePermissions(usual, PosixFilePermissions.fromString(mode));
            write(usual, mode);
            assertEquals(mode, mode(usual));
            assertEquals(mode, Files.readString(usual));
        }
        assertEquals(2, files());
    }

    @Test
    void aReplacedFileKeepsItsOwner() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "old");
        try {
            Files.setAttribute(file, "unix:gid", 4242);
            Files.setAttribute(file, "unix:uid", 4242);
        } catch (IOException e) {
            assumeTrue(false, "needs the right to give files away");
        }
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        write(file, "new");
        assertEquals("4242 4242 rw-r-----", Files.getAttribute(file, "unix:uid") + " " + Files.getAttribute(file, "unix:gid") + " " + mode(file));
        assertEquals("new", Files.readString(file));
    }

    @Test
    void linksStayAndTheirFileIsReplacedOrMade() throws IOException {
        Path target = folder.resolve("target");
        Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("second"));
        Files.createSymbolicLink(folder.resolve("second"), target);
        for (String text : new String[] {"first", "again"}) {
            write(link, text);
            assertTrue(Files.isSymbolicLink(link) && Files.isSymbolicLink(folder.resolve("second")));
            assertEquals(text, Files.readString(target));
        }
        Path loop = Files.createSymbolicLink(folder.resolve("loop"), Path.of("loop"));
        assertThrows(FileSystemLoopException.class, () -> write(loop, "x"));
        assertEquals(4, files());
    }

    @Test
    void pipesAndDevicesAreWrittenTo() throws Exception {
        Path pipe = folder.resolve("pipe");
        assumeTrue(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor() == 0, "needs mkfifo");
        CompletableFuture<String> read = CompletableFuture.supplyAsync(() -> {
            try {
                return Files.readString(pipe);
            } catch (IOException e) {
                return e.toString();
            }
        });
        write(pipe, "through the pipe");
        assertEquals("through the pipe", read.get());
        write(Path.of("/dev/null"), "gone");
        assertTrue(Files.exists(Path.of("/dev/null")) && !Files.isRegularFile(Path.of("/dev/null")));
    }

    @Test
    void aFailureChangesNothing() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "old");
        assertThrows(IOException.class, () -> WholeFile.write(file, channel -> {
            channel.write(ByteBuffer.allocate(10));
            throw new IOException("no more");
        }));
        assertEquals("old", Files.readString(file));
        Path taken = Files.createDirectories(folder.resolve("taken/by a folder")).getParent();
        assertThrows(IOException.class, () -> write(taken, "new"));
        assertEquals(2, files());
    }

    @Test
    void aNameAsLongAsTheFileSystemAllows() throws IOException {
        write(folder.resolve("n".repeat(255)), "x");
        assertEquals(1, files());
    }
}
