package io.invadapter.kernels.cuda.choice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What was chosen is known to the next process, whatever became of the file. */
class ChoiceBookTest {
    private static final String OWNER = "NVIDIA H100, driver 13000, cuDNN 9.24.0";
    private static final ChoiceBook.Entry FIRST = new ChoiceBook.Entry("engine 5, tile 3", 12.5);
    private static final ChoiceBook.Entry SECOND = new ChoiceBook.Entry("classic", 99);

    @TempDir
    Path folder;

    private ChoiceBook open() {
        return ChoiceBook.onDisk(folder.resolve("choices"), OWNER);
    }

    private List<Path> files() throws Exception {
        try (Stream<Path> files = Files.list(folder.resolve("choices"))) {
            return files.toList();
        }
    }

    @Test
    void isReadByTheNextProcess() throws Exception {
        ChoiceBook book = open();
        assertEquals(Optional.empty(), book.find("a"));
        book.put("a", FIRST);
        book.put("b", FIRST);
        book.put("b", SECOND);
        assertEquals(Optional.of(FIRST), open().find("a"));
        assertEquals(Optional.of(SECOND), open().find("b"));
        assertEquals(1, files().size(), "no half-written file is left");
        assertEquals(Optional.empty(), ChoiceBook.onDisk(folder.resolve("choices"), OWNER + ".1").find("a"));
        assertEquals(Optional.empty(), ChoiceBook.inMemory().find("a"));
        assertThrows(IllegalArgumentException.class, () -> book.put("a\tb", FIRST));
    }

    @Test
    void twoProcessesKeepEachOthersChoices() {
        ChoiceBook one = open();
        ChoiceBook other = open();
        one.put("a", FIRST);
        other.put("b", SECOND);
        assertEquals(Optional.of(FIRST), open().find("a"));
        assertEquals(Optional.of(SECOND), open().find("b"));
    }

    @Test
    void damagedAndForeignFilesAreWrittenAnew() throws Exception {
        open().put("a", FIRST);
        Path file = files().getFirst();
        String good = Files.readString(file);
        for (String bad : List.of("", "\n", "something else\n", good.replace("NVIDIA H100", "NVIDIA A100"),
                good.substring(0, good.length() - 3), good + "b\tc\n", good + "b\tc\tfast\n")) {
            Files.writeString(file, bad);
            ChoiceBook book = open();
            assertEquals(Optional.empty(), book.find("a"), bad);
            book.put("b", SECOND);
            assertEquals(Optional.of(SECOND), open().find("b"), bad);
        }
        Files.write(file, new byte[] {(byte) 0xff, (byte) 0xfe, 0});
        assertEquals(Optional.empty(), open().find("a"));
    }

    @Test
    void whereNothingCanBeWrittenItIsDoneWithout() throws Exception {
        Files.writeString(folder.resolve("choices"), "a file where the folder should be");
        ChoiceBook book = open();
        book.put("a", FIRST);
        assertEquals(Optional.of(FIRST), book.find("a"));
        assertTrue(Files.isRegularFile(folder.resolve("choices")));
    }
}
