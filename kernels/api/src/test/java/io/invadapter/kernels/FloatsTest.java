package io.invadapter.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class FloatsTest {

    private static float rounded(float value, DataType type) {
        MemorySegment memory = MemorySegment.ofArray(new byte[type.bytes()]);
        Floats.write(new float[] {value}, type, memory);
        return Floats.read(memory, type, 1)[0];
    }

    private static int bits(float value, DataType type) {
        MemorySegment memory = MemorySegment.ofArray(new byte[2]);
        Floats.write(new float[] {value}, type, memory);
        return Short.toUnsignedInt(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, 0));
    }

    /** A float16 has 11 significant bits, a bfloat16 8: halfway between two of them the even one is taken. */
    @ParameterizedTest
    @CsvSource({
        "FLOAT16, 0x1.002p0, 0x1p0", "FLOAT16, 0x1.006p0, 0x1.008p0", "FLOAT16, 0x1.002002p0, 0x1.004p0",
        "FLOAT16, 0x1.005ffep0, 0x1.004p0", "FLOAT16, 0x1.ffep0, 0x1p1",
        "BFLOAT16, 0x1.01p0, 0x1p0", "BFLOAT16, 0x1.03p0, 0x1.04p0", "BFLOAT16, 0x1.010002p0, 0x1.02p0",
        "BFLOAT16, 0x1.02fffep0, 0x1.02p0", "BFLOAT16, 0x1.ffp0, 0x1p1"})
    void tiesGoToTheEvenNeighbour(DataType type, String value, String expected) {
        float v = Float.parseFloat(value);
        assertEquals(Float.parseFloat(expected), rounded(v, type));
        assertEquals(-Float.parseFloat(expected), rounded(-v, type));
    }

    @ParameterizedTest
    @CsvSource({
        "FLOAT16, 65504, 65504", "FLOAT16, 65519.996, 65504", "FLOAT16, 65520, Infinity", "FLOAT16, 1e30, Infinity",
        "BFLOAT16, 0x1.fep127, 0x1.fep127", "BFLOAT16, 0x1.fefffep127, 0x1.fep127", "BFLOAT16, 0x1.ffp127, Infinity",
        "BFLOAT16, 0x1.fffffep127, Infinity"})
    void whatIsTooLargeIsInfinite(DataType type, String value, String expected) {
        float v = Float.parseFloat(value);
        assertEquals(Float.parseFloat(expected), rounded(v, type));
        assertEquals(-Float.parseFloat(expected), rounded(-v, type));
    }

    /** Below the normal numbers the steps stay the same: 2^-24 in float16, 2^-133 in bfloat16. */
    @ParameterizedTest
    @CsvSource({
        "FLOAT16, 0x1p-24, 0x1p-24", "FLOAT16, 0x1p-25, 0", "FLOAT16, 0x1.000002p-25, 0x1p-24", "FLOAT16, 0x3p-25, 0x1p-23",
        "FLOAT16, 0x5p-25, 0x1p-23", "FLOAT16, 0x1.ff8p-15, 0x1.ff8p-15", "FLOAT16, 0x1.ffcp-15, 0x1p-14",
        "BFLOAT16, 0x1p-133, 0x1p-133", "BFLOAT16, 0x1p-134, 0", "BFLOAT16, 0x3p-135, 0x1p-133", "BFLOAT16, 0x3p-134, 0x1p-132",
        "BFLOAT16, 0x5p-134, 0x1p-132", "BFLOAT16, 0x1.fcp-127, 0x1.fcp-127", "BFLOAT16, 0x1.fep-127, 0x1p-126"})
    void subnormalNumbers(DataType type, String value, String expected) {
        float v = Float.parseFloat(value);
        assertEquals(Float.parseFloat(expected), rounded(v, type));
        assertEquals(-Float.parseFloat(expected), rounded(-v, type));
    }

    @ParameterizedTest
    @CsvSource({
        "FLOAT16, 1, 3C00", "FLOAT16, -2, C000", "FLOAT16, -0.0, 8000", "FLOAT16, Infinity, 7C00", "FLOAT16, -Infinity, FC00",
        "BFLOAT16, 1, 3F80", "BFLOAT16, -2, C000", "BFLOAT16, -0.0, 8000", "BFLOAT16, Infinity, 7F80", "BFLOAT16, -Infinity, FF80"})
    void bitPatterns(DataType type, float value, String expected) {
        assertEquals(Integer.parseInt(expected, 16), bits(value, type));
    }

    /** Also when all that makes it one is in the bits that are cut off, or when rounding would carry into the sign. */
    @Test
    void notANumberStaysSo() {
        for (int nan : new int[] {0x7FC00000, 0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF}) {
            for (DataType type : new DataType[] {DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32}) {
                assertTrue(Float.isNaN(rounded(Float.intBitsToFloat(nan), type)), type + " of " + Integer.toHexString(nan));
            }
        }
    }

    /** Every bit pattern of 16 bits is a value that survives. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT16", "BFLOAT16"})
    void everyValueComesBack(DataType type) {
        short[] patterns = new short[1 << 16];
        for (int i = 0; i < patterns.length; i++) {
            patterns[i] = (short) i;
        }
        float[] values = Floats.read(MemorySegment.ofArray(patterns), type, patterns.length);
        short[] back = new short[patterns.length];
        Floats.write(values, type, MemorySegment.ofArray(back));
        for (int i = 0; i < patterns.length; i++) {
            if (!Float.isNaN(values[i])) {
                assertEquals(patterns[i], back[i]);
            }
        }
    }

    /** Sizes around those in which arrays are converted piece by piece, at addresses of any kind. */
    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT16", "BFLOAT16"})
    void arraysOfAnyLengthAnywhere(DataType type) {
        Random random = new Random(1);
        for (int length : new int[] {0, 1, 8191, 8192, 8193, 20_001}) {
            float[] values = new float[length];
            float[] expected = new float[length];
            for (int i = 0; i < length; i++) {
                values[i] = (float) random.nextGaussian();
                expected[i] = rounded(values[i], type);
            }
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment memory = arena.allocate((long) length * type.bytes() + 1).asSlice(1);
                Floats.write(values, type, memory);
                assertArrayEquals(expected, Floats.read(memory, type, length));
            }
        }
    }

    @Test
    void indicesAreNoFloats() {
        MemorySegment memory = MemorySegment.ofArray(new int[1]);
        assertThrows(IllegalArgumentException.class, () -> Floats.read(memory, DataType.INT32, 1));
        assertThrows(IllegalArgumentException.class, () -> Floats.write(new float[1], DataType.INT32, memory));
    }
}
