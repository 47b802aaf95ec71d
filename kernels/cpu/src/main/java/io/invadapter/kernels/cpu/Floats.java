package io.invadapter.kernels.cpu;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.HostTensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Java arrays to native memory and back, between float32 and the device's types. */
final class Floats {

    private Floats() {
    }

    static void write(float[] values, DataType type, MemorySegment to) {
        switch (type) {
            case FLOAT32 -> MemorySegment.copy(values, 0, to, ValueLayout.JAVA_FLOAT, 0, values.length);
            case BFLOAT16 -> {
                short[] rounded = new short[values.length];
                for (int i = 0; i < values.length; i++) {
                    rounded[i] = toBfloat16(values[i]);
                }
                MemorySegment.copy(rounded, 0, to, ValueLayout.JAVA_SHORT, 0, rounded.length);
            }
            case FLOAT16 -> throw new IllegalArgumentException("the CPU device has no float16 tensors");
        }
    }

    static float[] read(MemorySegment from, DataType type, int elements) {
        return new HostTensor(type, new int[] {elements}, from).toFloats();
    }

    /** Round to nearest, ties to even. Not-a-number keeps its quiet bit. */
    private static short toBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (value != value) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
    }
}
