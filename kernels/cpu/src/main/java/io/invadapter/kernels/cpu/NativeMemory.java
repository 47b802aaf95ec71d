package io.invadapter.kernels.cpu;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.TensorPool;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.Pointer;

/**
 * Memory from the C library. Arenas and direct buffers count against {@code -XX:MaxDirectMemorySize}, a quarter of the
 * machine by default; a model may well need more than that. What the system cannot give is refused here: Linux hands out more
 * than there is, and ends the process that uses it.
 */
final class NativeMemory implements TensorPool.Memory {
    private static final int ALIGNMENT = 64;
    /** Before each block: the address that the C library gave, and the block's size. */
    private static final int HEADER = 2 * Long.BYTES;
    /** Bytes that are handed out before the limits are looked at again: reading them takes a fraction of a millisecond. */
    private static final long UNSEEN = 16L << 20;

    /** Bytes freed before the C library is told to return them: it keeps what lies between others, and never gets round to it itself. */
    private static final long RETURNED_AT_ONCE = 64L << 20;

    /** Of a thread, as Linux does it unless told otherwise. */
    private static final long STACK = 8L << 20;

    /** What the Java heap comes to, if it may: work on this device needs little of it, however much it may take. */
    private static final long HEAP = 64L << 20;
    /** What Java comes to take besides, for classes, compiled code and threads, after the first device has opened. */
    private static final long SPARE = 16L << 20;

    private static final MemoryLimits LIMITS = new MemoryLimits();
    /** What the process has in memory without the heap and the blocks from here, when the first device opens. */
    private static final long AT_FIRST = Math.max(0,
            LIMITS.resident() - (Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory()));

    /** Bytes in blocks of all devices, and those that were {@link #take taken}: the limits are the process'. */
    private static final AtomicLong HANDED_OUT = new AtomicLong();
    /** Bytes of freed blocks, which the C library may still have. */
    private static final AtomicLong UNRETURNED = new AtomicLong();

    private long unseen;

    @Override
    public long allocate(long bytes) {
        expect(bytes);
        Pointer pointer = Pointer.malloc(bytes + ALIGNMENT + HEADER);
        if (pointer == null || pointer.isNull()) {
            throw new OutOfDeviceMemoryException("out of memory: the system has no " + mebibytes(bytes) + " left");
        }
        long start = pointer.address();
        long aligned = (start + HEADER + ALIGNMENT - 1) & -ALIGNMENT;
        MemorySegment header = view(aligned - HEADER, HEADER);
        header.set(ValueLayout.JAVA_LONG, 0, start);
        header.set(ValueLayout.JAVA_LONG, Long.BYTES, bytes);
        HANDED_OUT.addAndGet(bytes);
        return aligned;
    }

    /** @throws OutOfDeviceMemoryException when there are not as many bytes left */
    private void expect(long bytes) {
        unseen += bytes;
        if (unseen > UNSEEN) {
            MemoryLimits.Room room = room();
            if (bytes > room.most()) {
                returnFreed();
                room = room();
            }
            if (bytes > room.most()) {
                throw new OutOfDeviceMemoryException("out of memory: " + mebibytes(bytes) + " more are needed, and of " + room.of()
                        + " there are only " + mebibytes(room.most()) + " left");
            }
            unseen = 0;
        }
    }

    /**
     * Counts memory that oneDNN is about to take.
     *
     * @throws OutOfDeviceMemoryException when there is not that much left
     */
    void take(long bytes) {
        expect(bytes);
        HANDED_OUT.addAndGet(bytes);
    }

    /** What was taken is not used any more. */
    void giveBack(long bytes) {
        HANDED_OUT.addAndGet(-bytes);
    }

    @Override
    public void free(long address, long bytes) {
        free(address);
        if (UNRETURNED.addAndGet(bytes) > RETURNED_AT_ONCE) {
            returnFreed();
        }
    }

    /** Returns freed memory to the system, where the C library has a call for it (glibc's malloc_trim). */
    void returnFreed() {
        UNRETURNED.set(0);
        Pointer.trimMemory();
    }

    void free(long address) {
        MemorySegment header = view(address - HEADER, HEADER);
        HANDED_OUT.addAndGet(-header.get(ValueLayout.JAVA_LONG, Long.BYTES));
        Pointer.free(new Address(header.get(ValueLayout.JAVA_LONG, 0)));
    }

    /** What can still be allocated: less than the limits leave, for what was given out before may not have been written to yet. */
    private static MemoryLimits.Room room() {
        Runtime java = Runtime.getRuntime();
        return LIMITS.tightest(promised(AT_FIRST, java.totalMemory(), java.maxMemory(), HANDED_OUT.get() + UNRETURNED.get()));
    }

    /**
     * Bytes that this process will come to have in memory.
     *
     * @param atFirst  what it had when the first device opened, without the heap
     * @param heap     what the Java heap has now, written to or not
     * @param mostHeap what it may have
     * @param blocks   bytes in blocks from here and those taken, freed ones included that the C library may still have
     */
    static long promised(long atFirst, long heap, long mostHeap, long blocks) {
        return atFirst + SPARE + Math.max(heap, Math.min(HEAP, mostHeap)) + blocks;
    }

    /** Bytes in blocks of all devices, and those that were taken. */
    static long handedOut() {
        return HANDED_OUT.get();
    }

    /** Bytes that can still be allocated without taking from anybody, about. */
    long free() {
        return LIMITS.free().orElseGet(Pointer::availablePhysicalBytes);
    }

    /** Bytes that can still be allocated at the very most. */
    long reachable() {
        returnFreed();
        return room().most();
    }

    /**
     * Sees to it that {@code threads} more than the calling one can be started: OpenMP ends the process when it cannot.
     *
     * @throws OutOfDeviceMemoryException when ulimit -v leaves no room for their stacks
     */
    void expectThreads(int threads) {
        long needed = threads * STACK;
        long left = LIMITS.addresses().orElse(Long.MAX_VALUE);
        if (needed > left) {
            throw new OutOfDeviceMemoryException("out of memory: to compute with " + (threads + 1) + " threads takes stacks of "
                    + mebibytes(needed) + ", and ulimit -v leaves " + mebibytes(left)
                    + ": raise it, or compute with fewer threads (--threads, or Java's property " + Threads.PROPERTY + ")");
        }
    }

    private static String mebibytes(long bytes) {
        return (bytes + (1 << 20) - 1 >> 20) + " MiB";
    }

    /** The memory at an address, for Java code. */
    static MemorySegment view(long address, long bytes) {
        return MemorySegment.ofAddress(address).reinterpret(bytes);
    }

    /** An address as JavaCPP wants it. */
    static final class Address extends Pointer {
        Address(long address) {
            at(address);
        }

        Address at(long newAddress) {
            this.address = newAddress;
            return this;
        }
    }
}
