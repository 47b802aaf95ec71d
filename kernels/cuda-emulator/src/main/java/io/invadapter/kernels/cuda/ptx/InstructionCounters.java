package io.invadapter.kernels.cuda.ptx;

/**
 * What a launch counted for one instruction.
 *
 * @param line              its line in the PTX text
 * @param text              its text
 * @param loads             whether it reads memory
 * @param stores            whether it writes memory; atomics do both
 * @param executed          how often warps executed it
 * @param lanes             how often threads executed it
 * @param globalRequests    requests of warps to global memory
 * @param globalBytes       bytes that threads asked for, lane by lane
 * @param sectors           32-byte sectors that the requests touched
 * @param idealSectors      sectors that would have been enough for the different bytes of each request
 * @param worstSectors      sectors of the request with the worst ratio to its ideal
 * @param worstIdealSectors the ideal of that request
 * @param sharedRequests    requests of warps to shared memory
 * @param sharedBytes       bytes of shared memory that threads asked for
 * @param sharedWavefronts  passes over the shared memory that these took
 * @param bankConflicts     passes beyond the least
 * @param worstBankConflict the most extra passes of one request
 */
public record InstructionCounters(int line, String text, boolean loads, boolean stores, long executed, long lanes,
                                  long globalRequests, long globalBytes, long sectors, long idealSectors,
                                  int worstSectors, int worstIdealSectors, long sharedRequests, long sharedBytes,
                                  long sharedWavefronts, long bankConflicts, int worstBankConflict) {

    /** The opcode without guard and modifiers. */
    public String opcode() {
        String bare = text.startsWith("@") ? text.substring(text.indexOf(' ') + 1) : text;
        return bare.split("[ .]", 2)[0];
    }

    /** Ideal divided by touched sectors; 1 is perfectly coalesced. */
    public double coalescing() {
        return sectors == 0 ? 1 : (double) idealSectors / sectors;
    }
}
