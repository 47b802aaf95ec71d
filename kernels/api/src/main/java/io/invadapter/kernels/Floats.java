package io.invadapter.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Java arrays to memory and back, between float32 and the types of tensors: for implementations of {@link Device}. */
public final class Floats {
    /** Through a small array: the compiler vectorises both conversions over arrays, not over segments. */
    private static final int CHUNK = 8192;

    private Floats() {
    }

    /** Writes {@code values} as {@code type}, rounded to nearest, ties to even. */
    public static void write(float[] values, DataType type, MemorySegment to) {
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(values, 0, to, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, values.length);
            case FLOAT16, BFLOAT16 -> {
                short[] rounded = new short[Math.min(values.length, CHUNK)];
                for (int start = 0; start < values.length; start += rounded.length) {
                    int n = Math.min(rounded.length, values.length - start);
                    if (type == DataType.FLOAT16) {
                        for (int i = 0; i < n; i++) {
                            rounded[i] = Float.floatToFloat16(values[start + i]);
                        }
                    } else {
                        for (int i = 0; i < n; i++) {
                            rounded[i] = toBfloat16(values[start + i]);
                        }
                    }
                    MemorySegment.copy(rounded, 0, to, ValueLayout.JAVA_SHORT_UNALIGNED, 2L * start, n);
                }
            }
            case INT32 -> throw new IllegalArgumentException("an int32 tensor holds no floating-point values");
        }
    }

    /** The first {@code elements} values of {@code type} as float32. */
    public static float[] read(MemorySegment from, DataType type, int elements) {
        float[] values = new float[elements];
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(from, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, values, 0, elements);
            case FLOAT16, BFLOAT16 -> {
                short[] stored = new short[Math.min(elements, CHUNK)];
                for (int start = 0; start < elements; start += stored.length) {
                    int n = Math.min(stored.length, elements - start);
                    MemorySegment.copy(from, ValueLayout.JAVA_SHORT_UNALIGNED, 2L * start, stored, 0, n);
                    if (type == DataType.FLOAT16) {
                        for (int i = 0; i < n; i++) {
                            values[start + i] = Float.float16ToFloat(stored[i]);
                        }
                    } else {
                        for (int i = 0; i < n; i++) {
                            values[start + i] = Float.intBitsToFloat(stored[i] << 16);
                        }
                    }
                }
            }
            case INT32 -> throw new IllegalArgumentException("an int32 tensor holds no floating-point values");
        }
        return values;
    }

    /** Not-a-number keeps its quiet bit. */
    private static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (value != value) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
    }
}
