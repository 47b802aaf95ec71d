package io.invadapter.kernels.cuda.ptx;

/** What an instruction does to memory, as bits. */
final class Access {
    static final int READ = 1;
    static final int WRITE = 2;
    /** Volatile, relaxed, acquire, release and atomic accesses: they do not race with each other. */
    static final int STRONG = 4;
    /** {@code ld.global.nc}: what it reads must not be written in the same launch. */
    static final int NON_COHERENT = 8;
    /** A warp-wide access such as {@code ldmatrix}, which orders itself with its own warp's later writes. */
    static final int COLLECTIVE = 16;

    private Access() { }
}
