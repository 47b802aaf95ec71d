package io.invadapter.kernels.cuda.choice;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.cuda.ChildJvm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
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

    /** A process that comes to its end over a candidate, or takes its time. */
    static final class Trying {
        private Trying() {
        }

        /** @param arguments folder, and what happens */
        public static void main(String[] arguments) throws Exception {
            ChoiceBook book = ChoiceBook.onDisk(Path.of(arguments[0]), OWNER);
            book.trying("work", "harmless");
            book.tried();
            book.trying("work", "candidate");
            switch (arguments[1]) {
                case "ends" -> Runtime.getRuntime().halt(0);
                case "is asked to end" -> System.exit(0);
                default -> {
                    System.out.println("ready");
                    System.in.read();
                    book.tried();
                }
            }
        }
    }

    private Process start(String what) throws Exception {
        return new ProcessBuilder(ChildJvm.command(Trying.class, List.of(), List.of(folder.resolve("choices").toString(), what))).start();
    }

    @Test
    void whatEndedAProcessIsNotTriedAgain() throws Exception {
        open().put("a", FIRST);
        Process process = start("ends");
        assertEquals(0, process.waitFor());
        ChoiceBook book = open();
        assertTrue(book.isFatal("work", "candidate"));
        assertFalse(book.isFatal("work", "harmless"));
        assertFalse(book.isFatal("other work", "candidate"));
        assertFalse(ChoiceBook.onDisk(folder.resolve("choices"), OWNER + ".1").isFatal("work", "candidate"));
        assertTrue(open().isFatal("work", "candidate"), "for good");
        assertEquals(Optional.of(FIRST), open().find("a"));
        assertEquals(1, files().size());
    }

    @Test
    void whatIsTriedJustNowOrWasWhenTheUserEndedItIsNoReasonToFear() throws Exception {
        Process process = start("goes on");
        assertEquals('r', process.getInputStream().read());
        assertFalse(open().isFatal("work", "candidate"), "it goes on");
        process.getOutputStream().close();
        assertEquals(0, process.waitFor());
        assertFalse(open().isFatal("work", "candidate"));
        assertEquals(0, start("is asked to end").waitFor());
        assertFalse(open().isFatal("work", "candidate"));
        assertEquals(List.of(), files());
    }

    @Test
    void whatIsTriedInThisProcessIsSeenByNoOtherBook() {
        ChoiceBook book = open();
        book.trying("work", "candidate");
        assertFalse(open().isFatal("work", "candidate"));
        book.lost("work", "candidate");
        assertTrue(open().isFatal("work", "candidate"));
        ChoiceBook forgetful = ChoiceBook.inMemory();
        forgetful.trying("work", "candidate");
        forgetful.tried();
        assertFalse(forgetful.isFatal("work", "candidate"));
    }

    @Test
    void whatIsRemovedIsGoneForTheNextProcess() {
        ChoiceBook book = open();
        book.put("a", FIRST);
        book.put("b", SECOND);
        ChoiceBook other = open();
        other.put("c", FIRST);
        book.remove("a");
        book.remove("not there");
        assertEquals(Optional.empty(), open().find("a"));
        assertEquals(Optional.of(SECOND), open().find("b"));
        assertEquals(Optional.of(FIRST), open().find("c"));
    }

    @Test
    void damagedFilesDoNotSilenceTheOthers() throws Exception {
        open().put("a", FIRST);
        String other = OWNER + ".1";
        ChoiceBook.onDisk(folder.resolve("choices"), other).put("a", SECOND);
        Files.write(folder.resolve("choices/00.choices"), new byte[] {(byte) 0xff, (byte) 0xfe, 0});
        Files.createDirectory(folder.resolve("choices/aa.choices"));
        Files.write(folder.resolve("choices/zz.choices"), new byte[] {(byte) 0xff});
        assertEquals(Map.of(OWNER, FIRST, other, SECOND), ChoiceBook.findAll(folder.resolve("choices"), "a"));
        assertEquals(Map.of(), ChoiceBook.findAll(folder.resolve("nowhere"), "a"));
    }

    @Test
    void whereNothingCanBeWrittenItIsDoneWithout() throws Exception {
        Files.writeString(folder.resolve("choices"), "a file where the folder should be");
        ChoiceBook book = open();
        book.put("a", FIRST);
        book.trying("a", "candidate");
        book.tried();
        assertEquals(Optional.of(FIRST), book.find("a"));
        assertTrue(Files.isRegularFile(folder.resolve("choices")));
    }
}
