package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.lang.foreign.MemorySegment;

/** An emulator's memory as numbers: every read must lie in one live allocation and have been written. */
final class EmulatedMemory {
    private final Emulator emulator;
    // Arrays, over which the compiler vectorises the conversions.
    private float[] floats = new float[0];
    private short[] shorts = new short[0];

    EmulatedMemory(Emulator emulator) {
        this.emulator = emulator;
    }

    private MemorySegment room(DataType type, int count) {
        switch (type) {
            case FLOAT32 -> floats = floats.length < count ? new float[count] : floats;
            case FLOAT16, BFLOAT16 -> shorts = shorts.length < count ? new short[count] : shorts;
            case INT32 -> throw new IllegalArgumentException("nothing computes with int32");
        }
        return type == DataType.FLOAT32 ? MemorySegment.ofArray(floats) : MemorySegment.ofArray(shorts);
    }

    /** Reads {@code count} values to {@code target[offset...]}. */
    void read(DataType type, long address, float[] target, int offset, int count) {
        emulator.read(room(type, count), address, (long) count * type.bytes());
        if (type == DataType.FLOAT32) {
            System.arraycopy(floats, 0, target, offset, count);
        } else if (type == DataType.FLOAT16) {
            for (int i = 0; i < count; i++) {
                target[offset + i] = Float.float16ToFloat(shorts[i]);
            }
        } else {
            for (int i = 0; i < count; i++) {
                target[offset + i] = Float.intBitsToFloat(shorts[i] << 16);
            }
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
        if (type == DataType.FLOAT32) {
            System.arraycopy(source, offset, floats, 0, count);
        } else if (type == DataType.FLOAT16) {
            for (int i = 0; i < count; i++) {
                shorts[i] = Float.floatToFloat16(source[offset + i]);
            }
        } else {
            for (int i = 0; i < count; i++) {
                shorts[i] = bfloat16(source[offset + i]);
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
