package io.invadapter.base;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CacheFolderTest {
    @TempDir
    private Path folder;

    private Path cache(String xdgCacheHome, Path home) {
        return CacheFolder.path(xdgCacheHome, home.toString(), folder.resolve("tmp"), "ann");
    }

    @Test
    void theVariableWinsWhenItIsAnAbsolutePath() throws IOException {
        Path home = Files.createDirectory(folder.resolve("home"));
        Path inHome = home.resolve(".cache/invadapter");
        assertEquals(folder.resolve("xdg/invadapter"), cache(folder.resolve("xdg").toString(), home));
        for (String none : new String[] {null, "", " ", "cache", "./cache", "~/cache", "\0"}) {
            assertEquals(inHome, cache(none, home));
        }
    }

    @Test
    void withoutAHomeToWriteToItIsAmongTheTemporaryFiles() throws IOException {
        Path temporary = folder.resolve("tmp/invadapter-ann");
        assertEquals(temporary, cache(null, folder.resolve("gone")));
        assertEquals(temporary, cache(null, Files.createFile(folder.resolve("file"))));
        // Java's own words for a user that has none.
        assertEquals(temporary, CacheFolder.path(null, "?", folder.resolve("tmp"), "ann"));
        assertEquals(temporary, CacheFolder.path(null, null, folder.resolve("tmp"), "ann"));
        Path readOnly = Files.createDirectory(folder.resolve("readOnly"));
        assumeTrue(readOnly.toFile().setWritable(false) && !Files.isWritable(readOnly), "root writes everywhere");
        assertEquals(temporary, cache(null, readOnly));
    }

    /** An image of a container may bring it along, and be read-only. */
    @Test
    void whatIsThereAlreadyNeedNotBeWritable() throws IOException {
        Path inHome = Files.createDirectories(folder.resolve("home/.cache/invadapter"));
        assertEquals(inHome, cache(null, folder.resolve("home")));
        Files.delete(inHome);
        assertEquals(inHome, cache(null, folder.resolve("home")));
    }
}
