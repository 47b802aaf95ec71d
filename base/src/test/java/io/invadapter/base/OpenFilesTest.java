package io.invadapter.base;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.FileSystemException;
import org.junit.jupiter.api.Test;

class OpenFilesTest {
    @Test
    void theSystemsWordsAreFoundInAnyCause() {
        assertTrue(OpenFiles.areExhausted(new FileSystemException("/file", null, "Too many open files")));
        assertTrue(OpenFiles.areExhausted(new LinkageError("not loaded", new IOException("/file: Too many open files"))));
        assertFalse(OpenFiles.areExhausted(new FileSystemException("/file", null, "No space left on device")));
        assertFalse(OpenFiles.areExhausted(new IOException()));
    }
}
