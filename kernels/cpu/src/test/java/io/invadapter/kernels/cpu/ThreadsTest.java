package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DeviceException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ThreadsTest {
    @TempDir
    Path directory;

    @Test
    void theUsersChoiceComesFirstThenOpenMpsThenTheCores() {
        assertEquals(3, Threads.chosen("3", "5", 8));
        assertEquals(5, Threads.chosen(null, "5", 8));
        assertEquals(5, Threads.chosen(null, " 5,2", 8));
        assertEquals(8, Threads.chosen(null, null, 8));
        assertEquals(8, Threads.chosen(null, "many", 8));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "0", "-1", "two", "1.5", "10000"})
    void whatIsNoNumberOfThreadsIsRefused(String property) {
        DeviceException e = assertThrows(DeviceException.class, () -> Threads.chosen(property, null, 8));
        assertEquals("the system property invadapter.cpu.threads is '" + property
                + "': expected a number of threads from 1 to 9999", e.getMessage());
    }

    /** Four cores of two threads each, numbered as Intel does: the second threads after all first ones. */
    @Test
    void twoThreadsOfACoreCountOnce() throws IOException {
        for (int cpu = 0; cpu < 8; cpu++) {
            processor(cpu, cpu % 4 + "," + (cpu % 4 + 4));
        }
        assertEquals(4, Threads.cores(directory, allowed("0-7"), 8));
        assertEquals(2, Threads.cores(directory, allowed("0-1,4-5"), 4), "affinity to two cores");
        assertEquals(2, Threads.cores(directory, allowed("3,4"), 2), "one thread each of two cores");
        assertEquals(1, Threads.cores(directory, allowed("3,7"), 2), "both threads of one core");
        assertEquals(3, Threads.cores(directory, allowed("0-7"), 3), "a container's quota");
    }

    /** Numbered as AMD does: the threads of a core beside one another. */
    @Test
    void neighboursOfACoreCountOnce() throws IOException {
        for (int cpu = 0; cpu < 4; cpu++) {
            processor(cpu, cpu / 2 * 2 + "-" + (cpu / 2 * 2 + 1));
        }
        assertEquals(2, Threads.cores(directory, allowed("0-3"), 4));
    }

    @Test
    void withoutATopologyEveryProcessorCounts() throws IOException {
        assertEquals(6, Threads.cores(directory, allowed("0-5"), 6));
        assertEquals(6, Threads.cores(directory, directory.resolve("absent"), 6));
    }

    /** The property reaches OpenMP itself: with one thread no second one appears. */
    @Test
    void thePropertySetsTheThreadsThatCompute() {
        String one = inProcess("-Dinvadapter.cpu.threads=1");
        String three = inProcess("-Dinvadapter.cpu.threads=3");
        assertTrue(one.startsWith("CPU, 1 thread, "), one);
        assertTrue(three.startsWith("CPU, 3 threads, "), three);
        if (Files.isDirectory(Path.of("/proc/self/task"))) {
            assertTrue(one.endsWith("started 0"), one);
            assertTrue(three.endsWith("started 2"), three);
        }
    }

    private static String inProcess(String option) {
        ChildProcess process = ChildProcess.run(List.of(), Map.of(), List.of(option), ThreadsProcess.class);
        assertEquals(0, process.status(), process.output());
        return process.output().strip();
    }

    private void processor(int number, String siblings) throws IOException {
        Path topology = Files.createDirectories(directory.resolve("cpu" + number).resolve("topology"));
        Files.writeString(topology.resolve("thread_siblings_list"), siblings + "\n");
    }

    private Path allowed(String list) throws IOException {
        return Files.writeString(directory.resolve("status"), "Name:\tjava\nCpus_allowed:\tff\nCpus_allowed_list:\t" + list + "\n");
    }
}
