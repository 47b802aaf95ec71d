package io.invadapter.weights.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RoundTripTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource(names = {"F64", "F32", "F16", "BF16"})
    void floatsComeBack(DType dtype) {
        // More than one conversion chunk, and exact in every type.
        float[] values = new float[5003];
        for (int i = 0; i < values.length; i++) {
            values[i] = (i % 255 - 127) / 64f;
        }
        Path path = folder.resolve("floats.safetensors");
        new SafetensorsWriter().add("x", dtype, new long[] {5003}, values).write(path);
        try (WeightSource file = SafetensorsFile.open(path)) {
            WeightTensor tensor = file.tensor("x", 5003);
            assertEquals(dtype, tensor.dtype());
            assertEquals(5003L * dtype.bytes(), tensor.data().byteSize());
            assertArrayEquals(values, tensor.toFloats());
            assertThrows(WeightException.class, tensor::toLongs);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"I64", "I32", "I16", "I8", "U8", "BOOL"})
    void integersComeBack(DType dtype) {
        long largest = switch (dtype) {
            case I64 -> Long.MAX_VALUE;
            case I32 -> Integer.MAX_VALUE;
            case I16 -> Short.MAX_VALUE;
            case I8 -> Byte.MAX_VALUE;
            case U8 -> 255;
            default -> 1;
        };
        long smallest = dtype == DType.U8 || dtype == DType.BOOL ? 0 : -largest - 1;
        long[] values = new long[5003];
        for (int i = 0; i < values.length; i++) {
            values[i] = i % 3 == 0 ? largest : i % 3 == 1 ? smallest : 1;
        }
        Path path = folder.resolve("integers.safetensors");
        new SafetensorsWriter().add("x", dtype, new long[] {5003}, values).write(path);
        try (WeightSource file = SafetensorsFile.open(path)) {
            WeightTensor tensor = file.tensor("x");
            assertEquals(dtype, tensor.dtype());
            assertArrayEquals(values, tensor.toLongs());
            float[] floats = tensor.toFloats();
            for (int i = 0; i < values.length; i++) {
                assertEquals((float) values[i], floats[i]);
            }
        }
        if (dtype != DType.I64) {
            assertThrows(IllegalArgumentException.class, () -> new SafetensorsWriter().add("x", dtype, new long[] {1}, new long[] {largest + 1}));
        }
    }

    @Test
    void everyHalfAndBfloatConvertsAsTheDefinitionSays() {
        short[] all = new short[65536];
        for (int i = 0; i < all.length; i++) {
            all[i] = (short) i;
        }
        MemorySegment bits = MemorySegment.ofArray(all);
        float[] halfs = WeightTensor.of("h", DType.F16, bits, 65536).toFloats();
        float[] bfloats = WeightTensor.of("b", DType.BF16, bits, 65536).toFloats();
        for (int i = 0; i < all.length; i++) {
            assertSameFloat(half(i), halfs[i], i);
            assertSameFloat(Float.intBitsToFloat(i << 16), bfloats[i], i);
        }
    }

    /** A half from its definition: sign, 5 bits of exponent, 10 of fraction. */
    private static float half(int bits) {
        int exponent = bits >> 10 & 31;
        int fraction = bits & 1023;
        double magnitude = exponent == 31 ? (fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN)
                : exponent == 0 ? fraction * 0x1p-24 : (1024 + fraction) * Math.pow(2, exponent - 25);
        return (float) (bits >= 0x8000 ? -magnitude : magnitude);
    }

    private static void assertSameFloat(float expected, float actual, int bits) {
        if (Float.isNaN(expected)) {
            assertTrue(Float.isNaN(actual), () -> "bits " + bits);
        } else {
            assertEquals(Float.floatToRawIntBits(expected), Float.floatToRawIntBits(actual), () -> "bits " + bits);
        }
    }

    @Test
    void writingRoundsToTheNearestHalfAndBfloat() {
        float[] values = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, 1 + 0x1p-8f + 0x1p-20f, Float.MAX_VALUE, Float.NaN, Float.intBitsToFloat(0x7F800001), -0f,
            Float.NEGATIVE_INFINITY};
        float[] asBfloat = {1, 1 + 4 * 0x1p-8f, 1 + 2 * 0x1p-8f, Float.POSITIVE_INFINITY, Float.NaN, Float.NaN, -0f, Float.NEGATIVE_INFINITY};
        float[] asHalf = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, 1 + 0x1p-8f, Float.POSITIVE_INFINITY, Float.NaN, Float.NaN, -0f, Float.NEGATIVE_INFINITY};
        Path path = folder.resolve("rounded.safetensors");
        new SafetensorsWriter().add("b", DType.BF16, new long[] {8}, values).add("h", DType.F16, new long[] {8}, values).write(path);
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertArrayEquals(asBfloat, file.tensor("b").toFloats());
            assertArrayEquals(asHalf, file.tensor("h").toFloats());
        }
    }

    @Test
    void copiesIntoNativeMemoryOfTheRightSizeOnly() {
        try (Arena arena = Arena.ofConfined()) {
            WeightTensor tensor = WeightTensor.of("x", DType.F16, MemorySegment.ofArray(new short[] {0x3C00, 0x4000, 0x4200}), 3);
            MemorySegment floats = arena.allocate(12);
            tensor.copyTo(floats);
            assertArrayEquals(new float[] {1, 2, 3}, floats.toArray(ValueLayout.JAVA_FLOAT));
            assertThrows(IllegalArgumentException.class, () -> tensor.copyTo(arena.allocate(16)));
        }
    }

    @Test
    void reshapingKeepsTheElements() {
        WeightTensor tensor = WeightTensor.of("x", DType.F32, MemorySegment.ofArray(new float[] {1, 2, 3, 4, 5, 6}), 2, 3, 1, 1);
        WeightTensor matrix = tensor.reshape(2, 3);
        assertArrayEquals(new long[] {2, 3}, matrix.shape());
        assertArrayEquals(tensor.toFloats(), matrix.toFloats());
        assertEquals(tensor.data().address(), matrix.data().address());
        assertThrows(IllegalArgumentException.class, () -> tensor.reshape(7));
        assertThrows(IllegalArgumentException.class, () -> tensor.reshape(-2, -3));
        matrix.shape()[0] = 9;
        assertArrayEquals(new long[] {2, 3}, matrix.shape());
        assertTrue(tensor.data().isReadOnly());
    }

    @Test
    void scalarsEmptyTensorsAndOddNamesComeBack() {
        Path path = folder.resolve("odd.safetensors");
        new SafetensorsWriter()
                .metadata("note", "line\nbreak \"quoted\" é\u0001")
                .add("scalar", new long[] {}, new float[] {7})
                .add("empty", new long[] {0, 3}, new float[] {})
                .add("名前 \"x\"\\", new long[] {1}, new long[] {5})
                .write(path);
        try (WeightSource file = Safetensors.open(path)) {
            assertEquals(Map.of("note", "line\nbreak \"quoted\" é\u0001"), file.metadata());
            assertArrayEquals(new float[] {7}, file.tensor("scalar").toFloats());
            assertEquals(0, file.tensor("empty", 0, 3).elements());
            assertArrayEquals(new long[] {5}, file.tensor("名前 \"x\"\\").toLongs());
        }
    }

    @Test
    void theBytesAreThoseOfTheFormatAndAlwaysTheSame() throws IOException {
        Path path = folder.resolve("bytes.safetensors");
        SafetensorsWriter writer = new SafetensorsWriter()
                .add("b", DType.F16, new long[] {1}, new float[] {1})
                .add("z", new long[] {1, 2}, new float[] {1, 2})
                .add("a", new long[] {1}, new float[] {3})
                .metadata("format", "pt");
        writer.write(path);
        byte[] bytes = Files.readAllBytes(path);
        String header = "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                + "\"z\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[4,12]},\"b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[12,14]}}";
        int length = bytes[0] & 0xFF;
        assertEquals(0, length % 8);
        assertEquals(header, new String(bytes, 8, length, StandardCharsets.UTF_8).stripTrailing());
        assertEquals(8 + length + 14, bytes.length);
        writer.write(path);
        assertArrayEquals(bytes, Files.readAllBytes(path));
    }

    @Test
    void aFailedWriteLeavesNothingAndKeepsTheOldFile() throws IOException {
        Path path = folder.resolve("kept.safetensors");
        Files.writeString(path, "old");
        MemorySegment closed;
        try (Arena arena = Arena.ofConfined()) {
            closed = arena.allocate(8);
        }
        SafetensorsWriter writer = new SafetensorsWriter().add("x", DType.F32, new long[] {2}, closed);
        assertThrows(IllegalStateException.class, () -> writer.write(path));
        assertEquals("old", Files.readString(path));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(path), files.toList());
        }
        Path nowhere = folder.resolve("missing/x.safetensors");
        String message = assertThrows(WeightException.class, () -> new SafetensorsWriter().write(nowhere)).getMessage();
        assertEquals(nowhere + " cannot be written: its folder does not exist", message);
    }

    @Test
    void theWriterRefusesWhatCannotBeAFile() {
        SafetensorsWriter writer = new SafetensorsWriter().add("x", new long[] {1}, new float[] {1});
        assertThrows(IllegalArgumentException.class, () -> writer.add("x", new long[] {1}, new float[] {1}));
        assertThrows(IllegalArgumentException.class, () -> writer.add("__metadata__", new long[] {1}, new float[] {1}));
        assertThrows(IllegalArgumentException.class, () -> writer.add("y", new long[] {2}, new float[] {1}));
        assertThrows(IllegalArgumentException.class, () -> writer.add("y", DType.I8, new long[] {1}, new float[] {1}));
        assertThrows(IllegalArgumentException.class, () -> writer.add("y", DType.F16, new long[] {1}, new long[] {1}));
    }

    @Test
    void aWrittenFileCanBeReplacedWhileItIsOpen() throws IOException {
        Path path = folder.resolve("open.safetensors");
        new SafetensorsWriter().add("x", new long[] {1}, new float[] {1}).write(path);
        try (WeightSource file = SafetensorsFile.open(path)) {
            new SafetensorsWriter().add("x", new long[] {1}, new float[] {2}).write(path);
            assertArrayEquals(new float[] {1}, file.tensor("x").toFloats());
        }
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertArrayEquals(new float[] {2}, file.tensor("x").toFloats());
        }
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(path), files.toList(), "nothing unfinished");
        }
    }

    /** In a container every process has the same number. */
    @Test
    void whatAProcessThatWasKilledLeftBehindIsNotInTheWay() throws IOException {
        Path path = folder.resolve("x.safetensors");
        Files.createFile(folder.resolve("x.safetensors.unfinished-" + ProcessHandle.current().pid()));
        new SafetensorsWriter().add("x", new long[] {1}, new float[] {1}).write(path);
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertArrayEquals(new float[] {1}, file.tensor("x").toFloats());
        }
    }
}
