package io.invadapter.base;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TemporaryFolderTest {
    @TempDir
    private Path folder;

    @Test
    void goesWithItsFiles() throws IOException {
        Path temporary = Files.createDirectory(folder.resolve("temporary"));
        Files.createFile(temporary.resolve("one"));
        Files.createFile(temporary.resolve("two"));
        TemporaryFolder.remove(temporary);
        assertFalse(Files.exists(temporary));
        assertTrue(Files.exists(folder));
        TemporaryFolder.remove(temporary);
    }
}
