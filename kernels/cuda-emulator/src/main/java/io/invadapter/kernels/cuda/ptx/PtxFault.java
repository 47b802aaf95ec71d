package io.invadapter.kernels.cuda.ptx;

/** A mistake that a running kernel made: what, in which instruction, by which thread. */
public final class PtxFault extends PtxException {
    private static final long serialVersionUID = 1L;

    /** The classes of mistakes that the emulator looks for. */
    public enum Kind {
        /** An access outside every allocation, array or window. */
        OUT_OF_BOUNDS,
        /** An access to an allocation that was freed. */
        USE_AFTER_FREE,
        /** An address that is not a multiple of the access size. */
        MISALIGNED,
        /** A read of bytes that nobody has written. */
        UNINITIALIZED,
        /** Two unordered accesses to one byte of shared memory, at least one of them a write. */
        SHARED_RACE,
        /** An access to shared memory that an unfinished {@code cp.async} still owns. */
        ASYNC_PENDING,
        /** Conflicting accesses to one byte of global memory by different CTAs of a launch. */
        GLOBAL_RACE,
        /** A store into constant or parameter memory. */
        READ_ONLY,
        /** A barrier that not all threads reach, or that threads reach at different places. */
        BARRIER,
        /** Threads that wait for each other for ever, some at a barrier and some at a warp-wide instruction. */
        DEADLOCK,
        /** A warp-wide instruction with lanes missing, or with an undefined source lane. */
        WARP_SYNC,
        /** {@code trap}, for instance from a failed assertion. */
        TRAP,
        /** The instruction limit was reached: most likely an endless loop. */
        TIMEOUT
    }

    private final Kind kind;
    private final String kernel;
    private final String instruction;
    private final int line;
    private final Dim cta;
    private final Dim thread;

    PtxFault(Kind kind, String detail, String kernel, String instruction, int line, Dim cta, Dim thread) {
        super(kind + ": " + detail + "\n  in kernel " + kernel + ", PTX line " + line + ": " + instruction
                + "\n  CTA " + cta + ", thread " + thread);
        this.kind = kind;
        this.kernel = kernel;
        this.instruction = instruction;
        this.line = line;
        this.cta = cta;
        this.thread = thread;
    }

    public Kind kind() {
        return kind;
    }

    public String kernel() {
        return kernel;
    }

    /** The text of the instruction, guard predicate included. */
    public String instruction() {
        return instruction;
    }

    /** The line of the instruction in the PTX text, from 1. */
    public int line() {
        return line;
    }

    public Dim cta() {
        return cta;
    }

    public Dim thread() {
        return thread;
    }
}
