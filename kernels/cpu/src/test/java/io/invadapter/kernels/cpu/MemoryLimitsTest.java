package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On a tree of files as Linux shows them. */
class MemoryLimitsTest {
    private static final long MIB = 1 << 20;
    /** What is left of the machine and the container. */
    private static final long RESERVE = 48;

    @TempDir
    private Path root;

    private void file(String path, String... lines) throws IOException {
        Path file = root.resolve(path);
        Files.createDirectories(file.getParent());
        Files.writeString(file, String.join("\n", lines) + "\n");
    }

    @BeforeEach
    void aMachineOfSixteenGigabytes() throws IOException {
        file("proc/meminfo", "MemTotal:       16777216 kB", "MemFree:         1048576 kB", "MemAvailable:    8388608 kB",
                "SwapTotal:       2097152 kB", "SwapFree:        1048576 kB");
        file("proc/self/status", "Name:\tjava", "VmPeak:\t 9000000 kB", "VmSize:\t 4194304 kB", "VmData:\t 1048576 kB");
        limits("unlimited", "unlimited");
        file("proc/self/cgroup", "0::/");
    }

    private void limits(String addresses, String data) throws IOException {
        file("proc/self/limits", "Limit                     Soft Limit           Hard Limit           Units     ",
                String.format("%-26s%-21s%-21s%-10s", "Max data size", data, "unlimited", "bytes"),
                String.format("%-26s%-21s%-21s%-10s", "Max address space", addresses, "unlimited", "bytes"));
    }

    private void assertRoom(long free, long most, String of) {
        MemoryLimits limits = new MemoryLimits(root);
        assertEquals(OptionalLong.of(free * MIB), limits.free());
        assertEquals(most * MIB, limits.tightest(0).most());
        assertEquals(of, limits.tightest(0).of());
    }

    @Test
    void withoutContainerItIsTheMachines() {
        assertRoom(8192, 9216 - RESERVE, "this machine's memory");
    }

    @Test
    void aContainerOfVersionTwoCountsWithoutItsFiles() throws IOException {
        file("sys/fs/cgroup/memory.max", "2147483648");
        file("sys/fs/cgroup/memory.current", "1610612736");
        file("sys/fs/cgroup/memory.stat", "anon 1000", "active_file 104857600", "inactive_file 209715200");
        assertRoom(512 + 200, 512 + 200 + 100 + 1024 - RESERVE, "the container's memory");
    }

    @Test
    void theTightestOfNestedGroupsCounts() throws IOException {
        file("proc/self/cgroup", "0::/system.slice/server.service");
        file("sys/fs/cgroup/system.slice/memory.max", "3221225472");
        file("sys/fs/cgroup/system.slice/memory.current", "2147483648");
        file("sys/fs/cgroup/system.slice/server.service/memory.max", "max");
        file("sys/fs/cgroup/system.slice/server.service/memory.current", "1073741824");
        assertRoom(1024, 2048 - RESERVE, "the container's memory");
    }

    @Test
    void aContainerOfVersionOneCounts() throws IOException {
        file("proc/self/cgroup", "5:cpu,cpuacct:/docker/1", "4:hugetlb,memory:/docker/1", "0::/docker/1");
        file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        file("sys/fs/cgroup/memory/memory.usage_in_bytes", "4096");
        file("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "1073741824");
        file("sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "536870912");
        file("sys/fs/cgroup/memory/docker/1/memory.stat", "inactive_file 5", "total_inactive_file 104857600");
        assertRoom(612, 612 + 1024 - RESERVE, "the container's memory");
    }

    @Test
    void insideAContainerThePathMayBeTheHosts() throws IOException {
        file("proc/self/cgroup", "4:memory:/docker/1");
        file("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824");
        file("sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912");
        assertRoom(512, 512 + 1024 - RESERVE, "the container's memory");
        file("proc/self/cgroup", "4:memory:/../../elsewhere");
        assertRoom(512, 512 + 1024 - RESERVE, "the container's memory");
    }

    @Test
    void aFullContainerLeavesNothing() throws IOException {
        file("proc/meminfo", "MemAvailable:    8388608 kB", "SwapFree: 0 kB");
        file("sys/fs/cgroup/memory.max", "1048576");
        file("sys/fs/cgroup/memory.current", "1056768");
        assertRoom(0, 0, "the container's memory");
    }

    @Test
    void theAddressSpaceCountsLessWhatJavaNeeds() throws IOException {
        limits("6442450944", "unlimited");
        assertRoom(2048 - 64, 2048 - 64, "what ulimit -v allows");
        assertEquals(OptionalLong.of((2048 - 64) * MIB), new MemoryLimits(root).addresses());
        limits("unlimited", "2147483648");
        assertEquals(OptionalLong.empty(), new MemoryLimits(root).addresses());
        assertRoom(1024 - 64, 1024 - 64, "what ulimit -d allows");
        limits("4294967296", "unlimited");
        assertRoom(0, 0, "what ulimit -v allows");
    }

    @Test
    void whatIsNotWrittenYetIsTakenAlreadyButCountedByUlimit() throws IOException {
        file("proc/self/status", "VmSize:\t 4194304 kB", "VmData:\t 1048576 kB", "RssAnon:\t  204800 kB");
        file("sys/fs/cgroup/memory.max", "2147483648");
        file("sys/fs/cgroup/memory.current", "1610612736");
        MemoryLimits limits = new MemoryLimits(root);
        assertEquals(new MemoryLimits.Room(512 * MIB, (512 + 1024 - 300) * MIB, "the container's memory"), limits.tightest(500 * MIB));
        assertEquals((512 + 1024 - RESERVE) * MIB, limits.tightest(200 * MIB).most(), "all is written");
        assertEquals(0, limits.tightest((200 + 1536) * MIB + 1).most());
        Files.delete(root.resolve("sys/fs/cgroup/memory.max"));
        assertEquals((9216 - 300) * MIB, limits.tightest(500 * MIB).most());
        limits("6442450944", "unlimited");
        assertEquals((2048 - 64) * MIB, limits.tightest(500 * MIB).most());
    }

    @Test
    void aContainerMayHaveLessSwapThanThereIs() throws IOException {
        file("sys/fs/cgroup/memory.max", "2147483648");
        file("sys/fs/cgroup/memory.current", "1610612736");
        file("sys/fs/cgroup/memory.swap.max", "0");
        file("sys/fs/cgroup/memory.swap.current", "0");
        assertRoom(512, 512 - RESERVE, "the container's memory");
        file("sys/fs/cgroup/memory.swap.max", "max");
        assertRoom(512, 512 + 1024 - RESERVE, "the container's memory");
        file("proc/self/cgroup", "4:memory:/");
        file("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824");
        file("sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912");
        file("sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "1610612736");
        file("sys/fs/cgroup/memory/memory.memsw.usage_in_bytes", "738197504");
        assertRoom(512, 512 + (1536 - 704 - 512) - RESERVE, "the container's memory");
    }

    @Test
    void aProcessComesToHaveItsBlocksItsHeapAndWhatJavaTakesBeside() {
        assertEquals((40 + 16 + 64 + 100) * MIB, NativeMemory.promised(40 * MIB, 8 * MIB, 121 * MIB, 100 * MIB), "a heap that still grows");
        assertEquals((40 + 16 + 24 + 100) * MIB, NativeMemory.promised(40 * MIB, 8 * MIB, 24 * MIB, 100 * MIB), "a small heap");
        assertEquals((40 + 16 + 300 + 100) * MIB, NativeMemory.promised(40 * MIB, 300 * MIB, 900 * MIB, 100 * MIB), "a large heap");
    }

    @Test
    void whatIsInMemoryIsKnown() throws IOException {
        assertEquals(0, new MemoryLimits(root).resident());
        file("proc/self/status", "VmRSS:\t  307200 kB");
        assertEquals(300 * MIB, new MemoryLimits(root).resident());
        file("proc/self/status", "VmRSS:\t  307200 kB", "RssAnon:\t  204800 kB");
        assertEquals(200 * MIB, new MemoryLimits(root).resident());
    }

    @Test
    void elsewhereNothingIsKnown() {
        MemoryLimits limits = new MemoryLimits(root.resolve("nowhere"));
        assertEquals(OptionalLong.empty(), limits.free());
        assertTrue(limits.tightest(0).most() > 1L << 60);
    }

    @Test
    void thisMachineHasSome() {
        MemoryLimits limits = new MemoryLimits();
        if (Files.exists(Path.of("/proc/meminfo"))) {
            assertTrue(limits.free().orElseThrow() > 0);
        }
    }
}
