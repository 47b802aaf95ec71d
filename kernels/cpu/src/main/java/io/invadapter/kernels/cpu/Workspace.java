package io.invadapter.kernels.cpu;

/** Scratch memory that grows to what is asked for; its contents do not survive. */
final class Workspace {
    private final NativeMemory memory;
    private long address;
    private long bytes;

    Workspace(NativeMemory memory) {
        this.memory = memory;
    }

    /** The address of at least {@code needed} bytes, until the next call. */
    long atLeast(long needed) {
        if (needed > bytes) {
            free();
            address = memory.allocate(needed);
            bytes = needed;
        }
        return address;
    }

    void free() {
        if (bytes > 0) {
            memory.free(address, bytes);
            bytes = 0;
        }
    }
}
