package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** An emulator's memory as numbers: every read must lie in one live allocation and have been written. */
final class EmulatedMemory {
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final Emulator emulator;
    private byte[] bytes = new byte[0];

    EmulatedMemory(Emulator emulator) {
        this.emulator = emulator;
    }

    private MemorySegment room(DataType type, int count) {
        int wanted = Math.multiplyExact(count, type.bytes());
        if (bytes.length < wanted) {
            bytes = new byte[wanted];
        }
        return MemorySegment.ofArray(bytes);
    }

    /** Reads {@code count} values to {@code target[offset...]}. */
    void read(DataType type, long address, float[] target, int offset, int count) {
        MemorySegment room = room(type, count);
        emulator.read(room, address, (long) count * type.bytes());
        for (int i = 0; i < count; i++) {
            target[offset + i] = switch (type) {
                case FLOAT32 -> room.get(FLOAT, 4L * i);
                case FLOAT16 -> Float.float16ToFloat(room.get(SHORT, 2L * i));
                case BFLOAT16 -> Float.intBitsToFloat(room.get(SHORT, 2L * i) << 16);
            };
        }
    }

    float[] read(DataType type, long address, int count) {
        float[] values = new float[count];
        read(type, address, values, 0, count);
        return values;
    }

    /** Writes {@code source[offset...]}, rounded to the nearest value of the type. */
    void write(DataType type, long address, float[] source, int offset, int count) {
        MemorySegment room = room(type, count);
        for (int i = 0; i < count; i++) {
            float value = source[offset + i];
            switch (type) {
                case FLOAT32 -> room.set(FLOAT, 4L * i, value);
                case FLOAT16 -> room.set(SHORT, 2L * i, Float.floatToFloat16(value));
                case BFLOAT16 -> room.set(SHORT, 2L * i, bfloat16(value));
            }
        }
        emulator.write(address, room, (long) count * type.bytes());
    }

    /** The nearest bfloat16, of two the even one. */
    static short bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    /** Scratch memory: must be there, and nobody may count on what was in it. */
    void scribble(long address, long bytes) {
        if (bytes > 0) {
            emulator.poison(address, bytes);
        }
    }
}
