package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Counts of kernels whose costs are known. */
class CountersTest {
    private static final Dim BLOCK = new Dim(128);

    private final Programs p = new Programs();

    @AfterEach
    void close() {
        p.close();
    }

    private static Kernel kernel(String name) {
        return Programs.kernel("counters", name);
    }

    private static InstructionCounters instruction(Counters c, String start) {
        return c.perInstruction().stream().filter(i -> i.text().startsWith(start)).findFirst().orElseThrow();
    }

    private Counters strided(int stride, int offset) {
        long a = p.upload(new float[1024 * stride + offset]);
        return p.run(kernel("strided_copy"), new Dim(8), BLOCK, 0, a, p.allocate(4096), stride, offset);
    }

    @Test
    void coalescedCopy() {
        Counters c = strided(1, 0);
        assertEquals(4096, c.globalLoadedBytes());
        assertEquals(4096, c.globalStoredBytes());
        assertEquals(4096, c.uniqueLoadedBytes());
        assertEquals(4096, c.uniqueStoredBytes());
        assertEquals(128, c.globalLoadedSectors());
        assertEquals(128, c.globalStoredSectors());
        assertEquals(1, c.coalescing());
    }

    @Test
    void stridesAndOffsets() {
        InstructionCounters two = instruction(strided(2, 0), "ld.global");
        assertEquals(8, two.worstSectors());
        assertEquals(4, two.worstIdealSectors());
        assertEquals(0.5, two.coalescing());
        InstructionCounters far = strided(37, 0).worstCoalesced();
        assertTrue(far.text().startsWith("ld.global"));
        assertEquals(32, far.worstSectors());
        assertEquals(32 * 32, far.sectors());
        assertEquals(5, instruction(strided(1, 3), "ld.global").worstSectors());
    }

    @Test
    void vectorsAndBroadcasts() {
        long a = p.upload(new float[4096]);
        Counters vectors = p.run(kernel("vector_copy"), new Dim(8), BLOCK, 0, a, p.allocate(16384));
        assertEquals(16384, vectors.globalLoadedBytes());
        assertEquals(16, instruction(vectors, "ld.global").worstSectors());
        assertEquals(1, vectors.coalescing());
        Counters one = p.run(kernel("same_for_all"), new Dim(1), BLOCK, 0, a, p.allocate(512));
        assertEquals(512, one.globalLoadedBytes());
        assertEquals(4, one.uniqueLoadedBytes());
        assertEquals(4, one.globalLoadedSectors());
        assertEquals(1, one.coalescing());
    }

    private InstructionCounters banks(int stride) {
        Counters c = p.run(kernel("banks"), new Dim(1), new Dim(32), 32 * stride * 4, p.allocate(128), stride);
        assertEquals(0, instruction(c, "st.shared").bankConflicts());
        assertEquals(1, c.barriers());
        return instruction(c, "ld.shared");
    }

    @Test
    void bankConflictsOfWords() {
        assertEquals(0, banks(1).bankConflicts());
        assertEquals(1, banks(2).bankConflicts());
        assertEquals(7, banks(8).bankConflicts());
        assertEquals(31, banks(32).bankConflicts());
        assertEquals(0, banks(33).bankConflicts());
        assertEquals(32, banks(32).sharedWavefronts());
    }

    private InstructionCounters wideBanks(int pitch) {
        Counters c = p.run(kernel("wide_banks"), new Dim(1), new Dim(32), 32 * pitch * 4, p.allocate(128), pitch);
        return instruction(c, "ld.shared.v4");
    }

    @Test
    void bankConflictsOfVectors() {
        assertEquals(4, wideBanks(4).sharedWavefronts());
        assertEquals(0, wideBanks(4).bankConflicts());
        // Eight lanes of a phase, 32 words apart, all in the same four banks.
        assertEquals(4 * 7, wideBanks(32).bankConflicts());
        assertEquals(0, wideBanks(36).bankConflicts());
        assertEquals(4, wideBanks(8).worstBankConflict());
    }

    @Test
    void ldmatrixInEightRowPhases() {
        long a = p.upload(new short[64 * 64]);
        long b = p.upload(new short[64 * 64]);
        Counters c = p.run(Programs.kernel("matrix", "gemm_f16"), new Dim(1), BLOCK, 0, a, b, p.allocate(4 * 64 * 64), 64,
                64, 64);
        InstructionCounters x4 = instruction(c, "ldmatrix.sync.aligned.m8n8.x4");
        assertEquals(x4.executed() * 4, x4.sharedWavefronts());
        assertEquals(0, x4.bankConflicts());
        assertEquals(0, instruction(c, "ldmatrix.sync.aligned.m8n8.x2").bankConflicts());
        // Rows of 48 bytes: of the four rows that a phase of cp.async fills, the first and the last share four banks.
        assertEquals(4 * 4 * 4, c.bankConflicts());
        assertEquals(4 * 4 * 8, c.mmaInstructions());
        // Loads are cp.async; each tile is read once.
        assertEquals(2 * 64 * 64 * 2, c.globalLoadedBytes());
        assertEquals(2 * 64 * 64 * 2, c.uniqueLoadedBytes());
        assertEquals(4 * 64 * 64, c.uniqueStoredBytes());
    }

    @Test
    void executedInstructions() {
        Counters c = strided(1, 0);
        assertEquals(c.warpInstructions() * 32, c.laneInstructions());
        assertEquals(32, instruction(c, "ld.global").executed());
        Counters part = p.run(kernel("same_for_all"), new Dim(1), new Dim(40), 0, p.upload(1f), p.allocate(512));
        assertEquals(40, instruction(part, "st.global").lanes());
        assertEquals(2, instruction(part, "st.global").executed());
    }
}
