package io.invadapter.kernels.cuda.driver;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * A kernel's parameters, added in the order of its declaration and laid out as CUDA does: little-endian, each at the next
 * multiple of its own alignment.
 */
public final class Parameters {
    private static final int MOST_BYTES = 4096;

    private final ByteBuffer buffer = ByteBuffer.allocate(MOST_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private final List<int[]> ranges = new ArrayList<>();
    private boolean inStructure;

    /** A 64-bit address or integer. */
    public Parameters int64(long value) {
        int start = align(Long.BYTES);
        buffer.putLong(value);
        return end(start);
    }

    /** A 32-bit integer. */
    public Parameters int32(int value) {
        int start = align(Integer.BYTES);
        buffer.putInt(value);
        return end(start);
    }

    /** A float32. */
    public Parameters float32(float value) {
        int start = align(Float.BYTES);
        buffer.putFloat(value);
        return end(start);
    }

    /** A structure passed by value that holds 64-bit members: what {@code members} adds is one parameter. */
    public Parameters structure(Runnable members) {
        int start = align(Long.BYTES);
        inStructure = true;
        members.run();
        align(Long.BYTES);
        inStructure = false;
        return end(start);
    }

    /** All of them in one block. */
    public byte[] packed() {
        byte[] bytes = new byte[buffer.position()];
        buffer.get(0, bytes);
        return bytes;
    }

    /** Each by itself. */
    public List<byte[]> separate() {
        List<byte[]> all = new ArrayList<>();
        for (int[] range : ranges) {
            byte[] bytes = new byte[range[1] - range[0]];
            buffer.get(range[0], bytes);
            all.add(bytes);
        }
        return all;
    }

    private int align(int bytes) {
        buffer.position(Math.ceilDiv(buffer.position(), bytes) * bytes);
        return buffer.position();
    }

    private Parameters end(int start) {
        if (!inStructure) {
            ranges.add(new int[] {start, buffer.position()});
        }
        return this;
    }
}
