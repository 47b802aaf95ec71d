package io.invadapter.kernels.cpu;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.TensorPool;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.bytedeco.javacpp.Pointer;

/**
 * Memory from the C library. Arenas and direct buffers count against {@code -XX:MaxDirectMemorySize}, a quarter of the
 * machine by default; a model may well need more than that.
 */
final class NativeMemory implements TensorPool.Memory {
    private static final int ALIGNMENT = 64;

    @Override
    public long allocate(long bytes) {
        Pointer pointer = Pointer.malloc(bytes + ALIGNMENT + Long.BYTES);
        if (pointer == null || pointer.isNull()) {
            throw new OutOfDeviceMemoryException("out of memory: the system has no " + (bytes >> 20) + " MiB left");
        }
        long start = pointer.address();
        long aligned = (start + Long.BYTES + ALIGNMENT - 1) & -ALIGNMENT;
        view(aligned - Long.BYTES, Long.BYTES).set(ValueLayout.JAVA_LONG, 0, start);
        return aligned;
    }

    @Override
    public void free(long address, long bytes) {
        free(address);
    }

    void free(long address) {
        long start = view(address - Long.BYTES, Long.BYTES).get(ValueLayout.JAVA_LONG, 0);
        Pointer.free(new Address(start));
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
