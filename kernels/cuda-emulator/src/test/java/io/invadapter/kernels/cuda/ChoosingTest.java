package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.choice.Attempt;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Choice;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.choice.Chooser;
import io.invadapter.kernels.cuda.choice.Offer;
import io.invadapter.kernels.cuda.choice.Stopwatch;
import io.invadapter.kernels.cuda.choice.TrialMemory;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.choice.Workspace;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Choosing among ways whose times are made up, on the emulator's clock. */
class ChoosingTest {
    private static final long MEBIBYTE = 1L << 20;

    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final CudaDriver.Stream stream = driver.newStream();
    private final Workspace workspace = new Workspace(driver);
    private final ChoiceBook book = ChoiceBook.inMemory();
    private final Chooser chooser = new Chooser(driver, stream, workspace, book, () -> this.trimmed++);
    private final List<Attempt> attempts = new ArrayList<>();
    private final List<String> prepared = new ArrayList<>();
    private int open;
    private int trimmed;

    ChoosingTest() {
        chooser.listener((key, attempt) -> attempts.add(attempt));
    }

    @AfterEach
    void nothingIsLeft() {
        workspace.close();
        assertEquals(0, driver.usedMemory());
        assertEquals(1, driver.openHandles(), "the stream");
        driver.close();
    }

    /** A candidate that takes so many microseconds of the device and of the host, with something else that is wrong. */
    private class Made implements Candidate<Made.Running> {
        private final String name;
        private final int device;
        private final int host;
        private long scratch;
        private boolean compiled;
        private boolean lastResort;
        private boolean recordable = true;
        private CudaDriver.Stream target = stream;
        private int[] runs = {0};
        private int slowRuns;
        private int slower;
        private Faults faults;
        private RuntimeException refusal;
        private RuntimeException failure;

        Made(String name, int device, int host) {
            this.name = name;
            this.device = device;
            this.host = host;
        }

        Made scratch(long bytes) {
            scratch = bytes;
            return this;
        }

        Made compiled() {
            compiled = true;
            return this;
        }

        Made lastResort() {
            lastResort = true;
            return this;
        }

        Made notRecordable() {
            recordable = false;
            return this;
        }

        /** Gives a recording nothing, as work does that goes to another stream. */
        Made elsewhere(CudaDriver.Stream other) {
            target = other;
            return this;
        }

        Made counting(int[] into) {
            runs = into;
            return this;
        }

        /** The first runs take so many microseconds more. */
        Made slowFor(int count, int microseconds) {
            slowRuns = count;
            slower = microseconds;
            return this;
        }

        /** Its kernel reads where nothing is. */
        Made fatal(Faults device) {
            faults = device;
            return this;
        }

        Made refused(RuntimeException e) {
            refusal = e;
            return this;
        }

        Made failing(RuntimeException e) {
            failure = e;
            return this;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public List<String> notes() {
            return compiled ? List.of("compiled at run time") : List.of();
        }

        @Override
        public boolean compiledAtRunTime() {
            return compiled;
        }

        @Override
        public boolean isLastResort() {
            return lastResort;
        }

        @Override
        public Running prepare() {
            prepared.add(name);
            if (refusal != null) {
                throw refusal;
            }
            open++;
            return new Running();
        }

        final class Running implements Way {
            @Override
            public long workspaceBytes() {
                return scratch;
            }

            void run(long address) {
                assertEquals(scratch == 0, address == 0);
                if (faults != null) {
                    faults.lose();
                }
                if (failure != null) {
                    throw failure;
                }
                if (!recordable) {
                    driver.notRecordable(name);
                }
                int taken = device + (runs[0]++ < slowRuns ? slower : 0);
                driver.submit(target, new EmulatedWork("product", () -> { }, taken * 1000L, host * 1000L));
            }

            @Override
            public void close() {
                open--;
            }
        }
    }

    /** Work that may be done by those candidates, tried on a MiB of operands. */
    private Offer<Made.Running> offer(String key, Made... candidates) {
        return new Offer<>() {
            @Override
            public String key() {
                return key;
            }

            @Override
            public Iterable<Made> candidates() {
                return List.of(candidates);
            }

            @Override
            public Trial<Made.Running> trial() {
                TrialMemory memory = new TrialMemory(driver);
                memory.block(MEBIBYTE);
                return new Trial<>() {
                    @Override
                    public void run(Made.Running way, long scratch, CudaDriver.Stream on) {
                        way.run(scratch);
                    }

                    @Override
                    public void close() {
                        memory.close();
                    }
                };
            }
        };
    }

    private Choice<Made.Running> choose(String key, Made... candidates) {
        Choice<Made.Running> choice = chooser.choose(offer(key, candidates));
        assertEquals(1, open, "what is not chosen is closed");
        choice.way().close();
        return choice;
    }

    private Made made(String name, int device) {
        return new Made(name, device, 1);
    }

    @Test
    void theQuickerKernelWinsWhateverItsHostDoes() {
        // One by one, the second would take 9 us and the first 30.
        Choice<Made.Running> choice = choose("work", new Made("long way to the device", 7, 30), new Made("short way", 9, 1));
        assertEquals("long way to the device", choice.name());
        // 7, and the gap between two pieces of a graph.
        assertEquals(8, choice.microseconds(), 0.2);
        assertTrue(choice.recordable());
        assertEquals("long way to the device, 8.1 us", choice.description());
    }

    @Test
    void theChipIsWarmBeforeEachMeasurement() {
        // A cold chip takes twice as long: whoever is measured on it loses.
        assertEquals("first", choose("a", made("first", 10), made("second", 11)).name());
        assertEquals("second", choose("b", made("first", 11), made("second", 10)).name());
        for (Attempt attempt : attempts) {
            assertEquals(11.5, attempt.microseconds(), 1);
        }
    }

    @Test
    void whatFailsIsPassedOverAndTold() {
        Choice<Made.Running> choice = choose("work",
                made("refused", 1).refused(new CudaException("no such engine")),
                made("failing", 1).failing(new CudaException("EXECUTION_FAILED")),
                made("hungry", 1).scratch(Chooser.MOST_WORKSPACE_BYTES + 1),
                made("out of memory", 1).failing(new OutOfDeviceMemoryException("none left")),
                made("slow", 50), made("good", 20).scratch(MEBIBYTE));
        assertEquals("good", choice.name());
        assertEquals(List.of("no such engine", "EXECUTION_FAILED",
                "it needs 536870913 bytes of scratch memory, more than 536870912", "none left", "null", "null"),
                attempts.stream().map(a -> String.valueOf(a.refusal())).toList());
        assertEquals(List.of(-1L, 0L, Chooser.MOST_WORKSPACE_BYTES + 1, 0L, 0L, MEBIBYTE),
                attempts.stream().map(Attempt::workspaceBytes).toList());
        assertTrue(Double.isNaN(attempts.getFirst().microseconds()));
    }

    @Test
    void whereNothingWorksOneSentenceSaysWhy() {
        CudaException e = assertThrows(CudaException.class, () -> chooser.choose(offer("the product of A and B",
                made("first", 1).refused(new CudaException("no such engine")),
                made("second", 1).failing(new CudaException("EXECUTION_FAILED")))));
        assertEquals("the product of A and B cannot be computed: first: no such engine; second: EXECUTION_FAILED",
                e.getMessage());
        assertEquals("work cannot be computed: the library has no way",
                assertThrows(CudaException.class, () -> chooser.choose(offer("work"))).getMessage());
        assertThrows(OutOfDeviceMemoryException.class, () -> chooser.choose(offer("work",
                made("first", 1).refused(new CudaException("no such engine")), made("second", 1).scratch(1L << 40))));
        assertEquals(0, open);
    }

    @Test
    void theHungriestWayIsDroppedAlone() {
        driver.totalMemory(12 * MEBIBYTE);
        // It neither fits with the operands, nor would the others' scratch matter.
        Choice<Made.Running> choice = choose("work", made("hungry", 1).scratch(32 * MEBIBYTE), made("modest", 5).scratch(MEBIBYTE),
                made("slow", 9));
        assertEquals("modest", choice.name());
        // It fits while it is tried; as a block of a power of two it does not: the next best.
        assertEquals("modest", choose("other", made("fast", 1).scratch(9 * MEBIBYTE), made("modest", 5).scratch(MEBIBYTE)).name());
    }

    @Test
    void withoutMemoryToTryTheFirstThatPreparesIsTaken() {
        driver.totalMemory(MEBIBYTE / 2);
        Choice<Made.Running> choice = choose("work", made("refused", 1).refused(new CudaException("no")),
                made("hungry", 1).scratch(2 * MEBIBYTE), made("slow", 9), made("fast", 1));
        assertEquals("slow, not timed", choice.description());
        assertTrue(trimmed > 0);
        driver.totalMemory(16 * MEBIBYTE);
        assertEquals("fast", choose("work", made("slow", 9), made("fast", 1)).name(), "what was not timed is not kept");
    }

    @Test
    void compiledOnesComeLastAndFew() {
        Made[] candidates = IntStream.range(0, 12)
                .mapToObj(i -> i % 2 == 0 ? made("compiled " + i, 20 - i).compiled() : made("ready " + i, 40 - i))
                .toArray(Made[]::new);
        assertEquals("compiled 2", choose("work", candidates).name());
        assertEquals(List.of("ready 1", "ready 3", "ready 5", "ready 7", "ready 9", "ready 11", "compiled 0", "compiled 2"),
                prepared);
        prepared.clear();
        for (Made candidate : candidates) {
            candidate.refused(new CudaException("no"));
        }
        candidates[10].refused(null);
        assertThrows(CudaException.class, () -> chooser.choose(offer("hopeless", candidates)));
        assertEquals(10, prepared.size(), "failed attempts count");
    }

    @Test
    void whatCannotBeRecordedIsTakenOnlyWhenNothingElseIsThere() {
        Made fast = made("fast", 1).notRecordable();
        assertEquals("slow", choose("work", fast, made("slow", 99)).name());
        assertFalse(attempts.getFirst().recordable());
        Choice<Made.Running> choice = choose("other", fast, made("refused", 1).refused(new CudaException("no")));
        assertEquals("fast, 1.0 us, cannot be recorded", choice.description());
        // The stream can be recorded again.
        driver.record(stream, () -> { }).close();
    }

    @Test
    void aKnownChoiceIsOnlyPrepared() {
        Made[] candidates = {made("slow", 9), made("fast", 2), made("other", 5)};
        choose("work", candidates);
        prepared.clear();
        attempts.clear();
        Choice<Made.Running> again = choose("work", candidates);
        assertEquals("fast", again.name());
        assertEquals(List.of("fast"), prepared);
        assertEquals(List.of(), attempts);
        assertEquals(book.find("work").orElseThrow().microseconds(), again.microseconds());
        // A known one that is gone, or does not work any more, is chosen anew.
        candidates[1].refused(new CudaException("no"));
        assertEquals("other", choose("work", candidates).name());
        assertEquals("other", book.find("work").orElseThrow().name());
        assertEquals("slow", choose("work", candidates[0], candidates[1]).name());
    }

    @Test
    void aSingleCandidateIsNotTimed() {
        Made resort = made("last resort", 1).lastResort();
        assertEquals("only, not timed", choose("work", resort, made("only", 9)).description());
        assertTrue(book.find("work").isEmpty());
        assertFalse(chooser.knows("work"));
    }

    @Test
    void lastResortsAreTriedOnlyWhereNothingElseWorks() {
        Made resort = made("last resort", 1).lastResort();
        assertEquals("fast", choose("work", resort, made("slow", 9), made("fast", 5)).name());
        assertFalse(prepared.contains("last resort"));
        Made[] many = IntStream.range(0, 12).mapToObj(i -> made("no " + i, 1).refused(new CudaException("no")))
                .toArray(Made[]::new);
        many[3] = resort;
        assertEquals("last resort", choose("other", many).name(), "however many have failed");
    }

    @Test
    void longWorkIsRunFewTimes() {
        int[] runs = {0};
        Stopwatch.Reading reading = new Stopwatch(driver, stream).time(() -> {
            runs[0]++;
            driver.submit(stream, new EmulatedWork("slow", () -> { }, 80_000_000, 0));
        });
        assertEquals(80_000, reading.microseconds(), 100);
        assertEquals(3, runs[0], "once to load it, once to see how long it takes, once recorded");
    }

    @Test
    void workThatIsNotInTheGraphCannotBeRecorded() {
        assertFalse(new Stopwatch(driver, stream).time(() -> { }).recordable(), "an empty graph");
        try (CudaDriver.Stream other = driver.newStream()) {
            Made elsewhere = made("gives its work elsewhere", 1).elsewhere(other);
            assertEquals("slow", choose("work", elsewhere, made("slow", 99)).name());
        }
        assertFalse(attempts.getFirst().recordable());
    }

    @Test
    void longWorkThatHasLostIsGivenUpAfterOneRun() {
        int[] runs = {0};
        Made slow = made("slow", 30_000).counting(runs);
        assertEquals("quick", choose("work", made("quick", 19_000), slow).name());
        assertEquals(2, runs[0], "once to load it, once to see that it takes too long");
        assertEquals(30_000, attempts.get(1).microseconds(), 100);
        runs[0] = 0;
        assertEquals("quick", choose("near", made("quick", 21_000), slow).name());
        assertEquals(3, runs[0], "it may still win");
        runs[0] = 0;
        assertEquals("quick", choose("short", made("quick", 100), made("slow", 1000).counting(runs)).name());
        assertEquals(12, runs[0], "a first run tells little of short work");
    }

    @Test
    void theBestTwoAreComparedAgainWhereTheyAreClose() {
        // Whatever is timed first is timed at lower clocks.
        Made early = made("early", 100).slowFor(2 + 10, 8);
        assertEquals("early", choose("work", early, made("late", 104)).name());
        assertEquals(List.of("early", "late"), attempts.stream().map(Attempt::name).toList());
        assertEquals(101, book.find("work").orElseThrow().microseconds(), 1);
    }

    @Test
    void whatLostTheDeviceIsNotTriedAgain() {
        Faults faults = new Faults();
        CudaDriver fragile = faults.around(driver);
        CudaDriver.Stream own = fragile.newStream();
        Chooser losing = new Chooser(fragile, own, workspace, book, () -> { });
        Made deadly = made("deadly", 1).fatal(faults);
        assertThrows(CudaException.class, () -> losing.choose(offer("work", made("slow", 9), deadly, made("other", 20))));
        assertEquals(0, open);
        assertTrue(book.find("work").isEmpty());
        // The next process.
        assertEquals("slow", choose("work", deadly, made("slow", 9), made("other", 20)).name());
        assertEquals("it lost the device, or ended the program, when it was tried before", attempts.getFirst().refusal());
        // What was lost before is no candidate's fault.
        assertThrows(CudaException.class, () -> losing.choose(offer("other work", made("a", 1), made("b", 2))));
        assertFalse(book.isFatal("other work", "a"));
        own.close();
    }

    @Test
    void theWorkspaceGrowsAndKeepsWhatGraphsName() {
        assertEquals(0, workspace.address(0));
        long first = workspace.address(MEBIBYTE);
        assertEquals(first, workspace.address(10));
        long second = workspace.address(3 * MEBIBYTE);
        assertEquals(4 * MEBIBYTE, driver.usedMemory(), "the first is given back: no graph names it");
        driver.record(stream, () -> assertEquals(second, workspace.address(4 * MEBIBYTE))).close();
        workspace.recorded();
        long third = workspace.address(5 * MEBIBYTE);
        assertNotEquals(second, third);
        assertEquals(12 * MEBIBYTE, driver.usedMemory(), "a graph names the second");
        assertThrows(CudaException.class, () -> driver.record(stream, () -> workspace.address(9 * MEBIBYTE)));
        driver.totalMemory(13 * MEBIBYTE);
        assertThrows(OutOfDeviceMemoryException.class, () -> workspace.address(9 * MEBIBYTE));
        assertEquals(third, workspace.address(8 * MEBIBYTE));
    }
}
