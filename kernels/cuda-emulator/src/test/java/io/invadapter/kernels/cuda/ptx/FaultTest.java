package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** One mistake of each kind, and what is said about it. */
class FaultTest {
    private static final Dim ONE = new Dim(1);

    private final Programs p = new Programs();

    @AfterEach
    void close() {
        p.close();
    }

    private PtxFault fault(Kernel kernel, Dim grid, Dim block, int shared, Object... arguments) {
        PtxFault f = assertThrows(PtxFault.class, () -> p.run(kernel, grid, block, shared, arguments));
        assertEquals(kernel.name(), f.kernel());
        assertTrue(f.getMessage().contains(f.instruction()) && f.getMessage().contains(kernel.name())
                && f.getMessage().contains("line " + f.line()) && f.getMessage().contains(f.thread().toString()),
                f.getMessage());
        return f;
    }

    private static void check(PtxFault f, PtxFault.Kind kind, String instruction, Dim thread) {
        assertEquals(kind, f.kind(), f.getMessage());
        assertTrue(f.instruction().replaceFirst("^@!?%p\\d+ ", "").startsWith(instruction), f.getMessage());
        assertEquals(thread, f.thread(), f.getMessage());
        String line = Programs.text("faults").lines().skip(f.line() - 1).findFirst().orElseThrow();
        assertEquals(f.instruction().replaceAll("\\s+", ""), line.replaceAll("//.*", "").replaceAll("[\\s;]+", ""));
    }

    private static Kernel kernel(String name) {
        return Programs.kernel("faults", name);
    }

    /** A kernel of the test programs with the first match of a pattern inside it replaced. */
    private static Kernel changed(String module, String name, String pattern, String replacement) {
        String text = Programs.text(module);
        int start = text.indexOf(".entry " + name + "(");
        Matcher m = Pattern.compile(pattern).matcher(text);
        assertTrue(m.find(start), pattern);
        return PtxModule.parse(text.substring(0, m.start()) + replacement + text.substring(m.end())).kernel(name);
    }

    @Test
    void outOfBounds() {
        long a = p.allocate(100 * 4);
        p.allocate(4000);
        PtxFault f = fault(kernel("store"), ONE, new Dim(32), 0, a, 90);
        check(f, PtxFault.Kind.OUT_OF_BOUNDS, "st.global.u32", new Dim(10, 0, 0));
        assertTrue(f.getMessage().contains("offset 400 of the 400 bytes"), f.getMessage());
        check(fault(kernel("store"), ONE, new Dim(32), 0, a, -1), PtxFault.Kind.OUT_OF_BOUNDS, "st.global.u32",
                new Dim(0, 0, 0));
        check(fault(kernel("store"), ONE, new Dim(32), 0, 0L, 0), PtxFault.Kind.OUT_OF_BOUNDS, "st.global.u32",
                new Dim(0, 0, 0));
    }

    @Test
    void afterFree() {
        long a = p.allocate(4096);
        p.emulator.free(a);
        check(fault(kernel("store"), ONE, new Dim(32), 0, a, 0), PtxFault.Kind.USE_AFTER_FREE, "st.global.u32",
                new Dim(0, 0, 0));
        assertThrows(PtxException.class, () -> p.emulator.free(a));
        assertThrows(PtxException.class, () -> p.emulator.free(a + 512));
        assertThrows(PtxException.class, () -> p.emulator.read(MemorySegment.ofArray(new byte[4]), a, 4));
    }

    @Test
    void misaligned() {
        long a = p.upload(new int[64]);
        long out = p.allocate(128);
        check(fault(kernel("load"), ONE, new Dim(32), 0, a, out, 2), PtxFault.Kind.MISALIGNED, "ld.global",
                new Dim(0, 0, 0));
    }

    @Test
    void unwrittenGlobalMemory() {
        long a = p.allocate(256);
        long out = p.allocate(128);
        p.emulator.fill(a, (byte) 1, 79);
        check(fault(kernel("load"), new Dim(1), new Dim(32), 0, a, out, 0), PtxFault.Kind.UNINITIALIZED, "ld.global",
                new Dim(19, 0, 0));
        p.emulator.fill(a, (byte) 1, 256);
        p.run(kernel("load"), ONE, new Dim(32), 0, a, out, 0);
        p.emulator.poison(a + 12, 1);
        check(fault(kernel("load"), ONE, new Dim(32), 0, a, out, 0), PtxFault.Kind.UNINITIALIZED, "ld.global",
                new Dim(3, 0, 0));
    }

    @Test
    void unwrittenMemoryIsNotReadBack() {
        long a = p.allocate(400);
        p.run(kernel("store"), ONE, new Dim(32), 0, a, 5);
        byte[] bytes = new byte[400];
        MemorySegment target = MemorySegment.ofArray(bytes);
        assertThrows(PtxException.class, () -> p.emulator.read(target, a, 400));
        p.emulator.read(target, a, 400, false);
        assertEquals(1, bytes[20]);
        p.emulator.read(target, a + 20, 128);
        assertThrows(PtxException.class, () -> p.emulator.read(target, a + 20, 1000));
    }

    @Test
    void sharedMemory() {
        long out = p.allocate(256);
        check(fault(kernel("shared_overrun"), ONE, new Dim(32), 0, out, 3), PtxFault.Kind.OUT_OF_BOUNDS, "st.shared",
                new Dim(29, 0, 0));
        check(fault(kernel("shared_overrun"), ONE, new Dim(32), 0, out, -1), PtxFault.Kind.OUT_OF_BOUNDS, "st.shared",
                new Dim(0, 0, 0));
        check(fault(kernel("shared_unwritten"), ONE, new Dim(32), 0, out), PtxFault.Kind.UNINITIALIZED, "ld.shared",
                new Dim(31, 0, 0));
    }

    @Test
    void localMemory() {
        long out = p.allocate(128);
        check(fault(kernel("local_unwritten"), ONE, new Dim(32), 0, out, 0), PtxFault.Kind.UNINITIALIZED, "ld.local",
                new Dim(1, 0, 0));
    }

    @Test
    void constantMemory() {
        long out = p.allocate(4);
        check(fault(kernel("writes_constant"), ONE, ONE, 0, out, 1), PtxFault.Kind.READ_ONLY, "st.b32",
                new Dim(0, 0, 0));
    }

    @Test
    void racesInSharedMemory() {
        long out = p.allocate(256);
        PtxFault between = fault(kernel("race"), ONE, new Dim(64), 256, out, 32);
        check(between, PtxFault.Kind.SHARED_RACE, "ld.shared", new Dim(32, 0, 0));
        assertTrue(between.getMessage().contains("write by thread (0,0,0) (another warp)"), between.getMessage());
        PtxFault within = fault(kernel("race"), ONE, new Dim(64), 256, out, 1);
        check(within, PtxFault.Kind.SHARED_RACE, "ld.shared", new Dim(1, 0, 0));
        assertTrue(within.getMessage().contains("write by thread (0,0,0) (same warp)"), within.getMessage());
        p.run(kernel("race"), ONE, new Dim(64), 256, out, 0);
        p.run(kernel("ordered_in_warp"), ONE, new Dim(64), 256, out, 1);
        check(fault(kernel("ordered_in_warp"), ONE, new Dim(64), 256, out, 32), PtxFault.Kind.SHARED_RACE, "ld.shared",
                new Dim(32, 0, 0));
        check(fault(kernel("write_after_read"), ONE, new Dim(64), 0, p.upload(new int[256]), out),
                PtxFault.Kind.SHARED_RACE, "ld.shared", new Dim(32, 0, 0));
        PtxFault overtaken = fault(kernel("overtaken"), ONE, new Dim(64), 0, out);
        check(overtaken, PtxFault.Kind.SHARED_RACE, "st.shared", new Dim(32, 0, 0));
        assertTrue(overtaken.getMessage().contains("after a read by thread (0,0,0)"), overtaken.getMessage());
    }

    @Test
    void racesOnBytesAndEqualValues() {
        long out = p.allocate(256);
        p.run(kernel("byte_neighbours"), ONE, new Dim(64), 64, out, 0);
        check(fault(kernel("byte_neighbours"), ONE, new Dim(64), 64, out, 1), PtxFault.Kind.SHARED_RACE, "st.shared.u8",
                new Dim(32, 0, 0));
        p.run(kernel("all_lanes_store"), ONE, new Dim(32), 0, out, 0);
        check(fault(kernel("all_lanes_store"), ONE, new Dim(32), 0, out, 3), PtxFault.Kind.SHARED_RACE, "st.shared.u32",
                new Dim(1, 0, 0));
        check(fault(kernel("all_lanes_store"), ONE, new Dim(64), 0, out, 0), PtxFault.Kind.SHARED_RACE, "st.shared.u32",
                new Dim(32, 0, 0));
    }

    @Test
    void asyncCopies() {
        int[] a = new int[256];
        for (int i = 0; i < a.length; i++) {
            a[i] = i;
        }
        long source = p.upload(a);
        long out = p.allocate(256);
        p.run(kernel("async_copy"), ONE, new Dim(64), 1024, source, out, 0);
        int[] want = new int[64];
        for (int i = 0; i < 64; i++) {
            want[i] = 16 * (63 - i) + 6;
        }
        assertArrayEquals(want, p.ints(out, 64));
        PtxFault noWait = fault(changed("faults", "async_copy", "cp.async.wait_group 0;", ""), ONE, new Dim(64), 1024,
                source, out, 0);
        assertEquals(PtxFault.Kind.ASYNC_PENDING, noWait.kind());
        PtxFault noCommit = fault(changed("faults", "async_copy", "cp.async.commit_group;", ""), ONE, new Dim(64), 1024,
                source, out, 0);
        assertEquals(PtxFault.Kind.ASYNC_PENDING, noCommit.kind());
        PtxFault tooFew = fault(changed("faults", "async_copy", "wait_group 0", "wait_group 1"), ONE, new Dim(64), 1024,
                source, out, 0);
        assertEquals(PtxFault.Kind.ASYNC_PENDING, tooFew.kind());
        PtxFault outside = fault(kernel("async_copy"), ONE, new Dim(64), 1008, source, out, 0);
        check(outside, PtxFault.Kind.OUT_OF_BOUNDS, "cp.async.ca", new Dim(63, 0, 0));
        PtxFault beyond = fault(kernel("async_copy"), ONE, new Dim(64), 1024, source + 16, out, 0);
        check(beyond, PtxFault.Kind.OUT_OF_BOUNDS, "cp.async.ca", new Dim(63, 0, 0));
        PtxFault skewed = fault(kernel("async_copy"), ONE, new Dim(64), 1024, source + 4, out, 0);
        check(skewed, PtxFault.Kind.MISALIGNED, "cp.async.ca", new Dim(0, 0, 0));
    }

    @Test
    void everyBarrierOfAPipelineMatters() {
        Kernel whole = Programs.kernel("matrix", "gemm_f16");
        long a = p.upload(new short[64 * 64]);
        long b = p.upload(new short[64 * 64]);
        long c = p.allocate(4 * 64 * 64);
        Dim block = new Dim(128);
        p.run(whole, ONE, block, 0, a, b, c, 64, 64, 64);
        String text = Programs.text("matrix");
        int start = text.indexOf(".entry gemm_f16(");
        int end = text.indexOf("\n}", start);
        Matcher m = Pattern.compile("bar\\.sync[^;]*;|cp\\.async\\.wait_group[^;]*;").matcher(text).region(start, end);
        int removed = 0;
        while (m.find()) {
            Kernel k = PtxModule.parse(text.substring(0, m.start()) + text.substring(m.end())).kernel("gemm_f16");
            PtxFault f = assertThrows(PtxFault.class, () -> p.run(k, ONE, block, 0, a, b, c, 64, 64, 64));
            assertTrue(f.kind() == PtxFault.Kind.SHARED_RACE || f.kind() == PtxFault.Kind.ASYNC_PENDING,
                    f.getMessage());
            removed++;
        }
        assertTrue(removed >= 4);
    }

    @Test
    void barriers() {
        long out = p.allocate(256);
        PtxFault divergent = fault(kernel("divergent_barrier"), ONE, new Dim(32), 0, out);
        assertEquals(PtxFault.Kind.BARRIER, divergent.kind());
        assertTrue(divergent.getMessage().contains("16 threads wait at line"), divergent.getMessage());
        PtxFault missed = fault(kernel("missed_barrier"), ONE, new Dim(64), 0, out);
        check(missed, PtxFault.Kind.BARRIER, "bar.sync", new Dim(0, 0, 0));
        assertTrue(missed.getMessage().contains("32 of 64 have exited"), missed.getMessage());
    }

    @Test
    void warpWideInstructions() {
        long out = p.allocate(128);
        check(fault(kernel("divergent_mma"), ONE, new Dim(32), 0, out), PtxFault.Kind.WARP_SYNC, "mma.sync",
                new Dim(0, 0, 0));
        check(fault(kernel("shuffle_from_absent"), ONE, new Dim(32), 0, out), PtxFault.Kind.WARP_SYNC, "shfl.sync",
                new Dim(0, 0, 0));
        check(fault(kernel("outside_own_mask"), ONE, new Dim(32), 0, out), PtxFault.Kind.WARP_SYNC, "shfl.sync",
                new Dim(16, 0, 0));
    }

    @Test
    void racesInGlobalMemory() {
        long out = p.allocate(4 * 256);
        PtxFault stores = fault(kernel("everyone_stores"), new Dim(2), new Dim(32), 0, out);
        assertEquals(PtxFault.Kind.GLOBAL_RACE, stores.kind());
        // In order, so that the stores come before the reads.
        try (Emulator oneByOne = new Emulator(1)) {
            long data = oneByOne.allocate(4 * 256);
            Kernel k = kernel("reads_neighbour");
            PtxFault read = assertThrows(PtxFault.class, () -> oneByOne.launch(k, new Dim(4), new Dim(64), 0,
                    Programs.pack(k, data)));
            assertEquals(PtxFault.Kind.GLOBAL_RACE, read.kind());
            assertEquals(new Dim(1, 0, 0), read.cta());
        }
    }

    @Test
    void endlessLoops() {
        p.emulator.loopLimit(100_000);
        PtxFault f = fault(kernel("endless"), ONE, ONE, 0, p.upload(0));
        assertEquals(PtxFault.Kind.TIMEOUT, f.kind());
    }

    @Test
    void traps() {
        check(fault(kernel("trapped"), ONE, new Dim(32), 0, p.allocate(128)), PtxFault.Kind.TRAP, "trap",
                new Dim(7, 0, 0));
    }

    @Test
    void aDeviceWorksOnAfterAFault() {
        long a = p.allocate(128);
        fault(kernel("store"), ONE, new Dim(32), 0, a, 1);
        p.run(kernel("store"), ONE, new Dim(32), 0, a, 0);
        assertEquals(1, p.ints(a, 32)[31]);
    }
}
