package io.invadapter.weights.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsFileTest {

    @TempDir
    Path folder;

    /** The bytes of a file with this header and as many zero bytes of data. */
    static byte[] file(byte[] header, int dataBytes) {
        return ByteBuffer.allocate(8 + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).put(header).array();
    }

    static byte[] file(String header, int dataBytes) {
        return file(header.getBytes(StandardCharsets.UTF_8), dataBytes);
    }

    private static String tensor(String name, String dtype, String shape, String offsets) {
        return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
    }

    private static byte[] withLength(long length, int rest) {
        return ByteBuffer.allocate(8 + rest).order(ByteOrder.LITTLE_ENDIAN).putLong(length).array();
    }

    static Stream<Arguments> malformed() {
        String good = tensor("a", "F32", "[2]", "[0,8]");
        byte[] invalidUtf8 = ("{" + tensor("a?", "F32", "[2]", "[0,8]") + "}").getBytes(StandardCharsets.UTF_8);
        invalidUtf8[3] = (byte) 0xFF;
        return Stream.of(
                Arguments.of(new byte[0], "is empty"),
                Arguments.of(new byte[5], "has only 5 bytes, too few"),
                Arguments.of(withLength(-1, 100), "claims a header of 18446744073709551615 bytes"),
                Arguments.of(withLength(100_000_001, 100), "claims a header of 100000001 bytes (limit 100000000)"),
                Arguments.of(withLength(101, 100), "claims a header of 101 bytes but has only 108 in all"),
                Arguments.of(withLength(0, 100), "is full of zeros"),
                Arguments.of(file(" {}", 0), "does not start with '{'"),
                Arguments.of(file("[]", 0), "does not start with '{'"),
                Arguments.of(file("{\"a\"", 0), "the header is not valid JSON at line 1, column 5: expected ':'"),
                Arguments.of(file("{} x", 0), "expected the end but found 'x'"),
                Arguments.of(file("{}\0\0", 0), "expected the end but found byte 0x00"),
                Arguments.of(file("{" + good + "," + good + "}", 8), "the key \"a\" occurs twice"),
                Arguments.of(file("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8),
                        "the key \"dtype\" occurs twice"),
                Arguments.of(file("{\"a\":1}", 0), "entry \"a\" is not an object"),
                Arguments.of(file("{\"a\":{\"x\":" + "[".repeat(100_000) + "}", 0), "tensor 'a' has the unknown entry \"x\""),
                Arguments.of(file("{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8), "tensor 'a' has a dtype that is not a string"),
                Arguments.of(file("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8), "tensor 'a' has no dtype"),
                Arguments.of(file("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8), "tensor 'a' has no shape"),
                Arguments.of(file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8), "tensor 'a' has no data_offsets"),
                Arguments.of(file("{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8), "has a shape that is not an array"),
                Arguments.of(file("{" + tensor("a", "F32", "[-2]", "[0,8]") + "}", 8), "has a shape with something that is not a whole number"),
                Arguments.of(file("{" + tensor("a", "F32", "[2.0]", "[0,8]") + "}", 8), "has a shape with something that is not a whole number"),
                Arguments.of(file("{" + tensor("a", "F32", "[\"2\"]", "[0,8]") + "}", 8), "has a shape with something that is not a whole number"),
                Arguments.of(file("{" + tensor("a", "F32", "[99999999999999999999]", "[0,8]") + "}", 8), "not a whole number"),
                Arguments.of(file("{" + tensor("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}", 8),
                        "has the impossible shape [4294967296, 4294967296]"),
                Arguments.of(file("{" + tensor("a", "F32", "[9223372036854775807]", "[0,8]") + "}", 8), "impossible shape"),
                Arguments.of(file("{" + tensor("a", "F32", "[" + "1,".repeat(40) + "2]", "[0,8]") + "}", 8), "has a shape of more than 32 numbers"),
                Arguments.of(file("{" + tensor("a", "F32", "[3]", "[0,8]") + "}", 8), "of F32 [3] needs 12 bytes but its data_offsets give it 8"),
                Arguments.of(file("{" + tensor("a", "F32", "[2]", "[8,0]") + "}", 8), "has the data_offsets [8, 0] where [begin, end] is expected"),
                Arguments.of(file("{" + tensor("a", "F32", "[2]", "[8]") + "}", 8), "has the data_offsets [8] where [begin, end] is expected"),
                Arguments.of(file("{" + tensor("a", "F32", "[2]", "[0,4,8]") + "}", 8), "has a data_offsets of more than 2 numbers"),
                Arguments.of(file("{" + tensor("a", "F32", "[2]", "[-8,0]") + "}", 8), "has a data_offsets with something"),
                Arguments.of(file("{" + good + "}", 7), "is cut short: its tensors need 8 bytes of data, up to tensor 'a', but only 7 are there"),
                Arguments.of(file("{" + good + "}", 9), "has 1 bytes after its last tensor"),
                Arguments.of(file("{}", 1), "has 1 bytes after its last tensor"),
                Arguments.of(file("{" + good + "," + tensor("b", "F32", "[2]", "[4,12]") + "}", 12), "the tensors 'a' and 'b' overlap at byte 4"),
                Arguments.of(file("{" + good + "," + tensor("b", "F32", "[2]", "[12,20]") + "}", 20), "the bytes 8 to 12 of the data, before tensor 'b'"),
                Arguments.of(file("{\"__metadata__\":{\"k\":1}," + good + "}", 8), "the metadata \"k\" is not a string"),
                Arguments.of(file("{\"__metadata__\":\"x\"," + good + "}", 8), "entry \"__metadata__\" is not an object"),
                Arguments.of(file(invalidUtf8, 8), "a string that is not valid UTF-8"),
                Arguments.of("PK\u0003\u0004 and archive/data.pkl".getBytes(StandardCharsets.ISO_8859_1), "is a pickle file"),
                Arguments.of("\u0080\u0002}q\u0000(X\u0003\u0000".getBytes(StandardCharsets.ISO_8859_1), "is a pickle file"),
                Arguments.of("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".getBytes(StandardCharsets.UTF_8), "git lfs pull"),
                Arguments.of("\n<!DOCTYPE html><html>".getBytes(StandardCharsets.UTF_8), "is a web page"),
                Arguments.of("GGUF\u0003\0\0\0 and more".getBytes(StandardCharsets.UTF_8), "is a GGUF file"));
    }

    @ParameterizedTest
    @MethodSource("malformed")
    void refusesMalformedFilesWithOneSentence(byte[] bytes, String problem) throws IOException {
        Path path = Files.write(folder.resolve("bad.safetensors"), bytes);
        String message = assertThrows(WeightException.class, () -> SafetensorsFile.open(path)).getMessage();
        assertTrue(message.startsWith(path.toString()), message);
        assertTrue(message.contains(problem), message);
        assertFalse(message.contains("\n"), message);
    }

    @Test
    void namesPathsThatAreNoFile() {
        assertTrue(assertThrows(WeightException.class, () -> SafetensorsFile.open(folder)).getMessage().contains("is a folder"));
        assertTrue(assertThrows(WeightException.class, () -> SafetensorsFile.open(folder.resolve("none"))).getMessage().endsWith("does not exist"));
    }

    @Test
    void namesAFileItMayNotRead() throws IOException {
        Path path = Files.write(folder.resolve("secret.safetensors"), file("{}", 0));
        assumeTrue(path.toFile().setReadable(false) && !Files.isReadable(path), "the superuser may read everything");
        assertEquals(path + " cannot be read: permission denied",
                assertThrows(WeightException.class, () -> SafetensorsFile.open(path)).getMessage());
    }

    @Test
    void aHeaderLengthThatLooksLikePickleIsFine() throws IOException {
        // The length 0x280 starts with the bytes 80 02, as pickle files do.
        String header = "{" + tensor("a", "F32", "[2]", "[0,8]") + "}";
        Path path = Files.write(folder.resolve("x.safetensors"), file(header + " ".repeat(0x280 - header.length()), 8));
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertEquals(List.of("a"), List.copyOf(file.names()));
        }
    }

    @Test
    void anElementTypeThatCannotBeReadIsRefusedOnlyWhenItIsRead() throws IOException {
        Path path = Files.write(folder.resolve("f8.safetensors"),
                file("{" + tensor("a", "F8_E4M3", "[4]", "[0,4]") + "," + tensor("b", "F32", "[1]", "[4,8]") + "}", 8));
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertEquals(1, file.tensor("b").elements());
            assertEquals(path + ": tensor 'a' has the element type \"F8_E4M3\", which is not supported; supported are "
                    + "[F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL]",
                    assertThrows(WeightException.class, () -> file.tensor("a")).getMessage());
        }
    }

    @Test
    void saysWhichTensorIsMissingOrHasAnotherShape() {
        Path path = folder.resolve("x.safetensors");
        new SafetensorsWriter().add("a", new long[] {2, 3}, new float[6]).write(path);
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertTrue(file.contains("a"));
            assertFalse(file.contains("b"));
            assertEquals(path + " has no tensor 'b'", assertThrows(WeightException.class, () -> file.tensor("b")).getMessage());
            assertEquals(path + ": tensor 'a' has the shape [2, 3] where [3, 2] is expected",
                    assertThrows(WeightException.class, () -> file.tensor("a", 3, 2)).getMessage());
            assertThrows(UnsupportedOperationException.class, () -> file.names().clear());
        }
    }

    @Test
    void dataIsTheMappingItselfUntilClosed() {
        Path path = folder.resolve("x.safetensors");
        new SafetensorsWriter().add("a", new long[] {2}, new float[] {1, 2}).add("b", new long[] {2}, new float[] {3, 4}).write(path);
        SafetensorsFile file = SafetensorsFile.open(path);
        WeightTensor a = file.tensor("a");
        MemorySegment data = a.data();
        assertTrue(data.isMapped());
        assertTrue(data.isReadOnly());
        assertEquals(data.address() + 8, file.tensor("b").data().address());
        assertEquals(data.address(), file.tensor("a").data().address());
        file.close();
        file.close();
        assertThrows(IllegalStateException.class, a::toFloats);
    }

    @Test
    void readsTheEndOfAFileFarBeyondTwoGigabytes() throws IOException {
        long big = 5L << 30;
        String header = "{" + tensor("big", "U8", "[" + big + "]", "[0," + big + "]") + ","
                + tensor("end", "F32", "[2]", "[" + big + "," + (big + 8) + "]") + "}";
        Path path = folder.resolve("huge.safetensors");
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, StandardOpenOption.SPARSE)) {
            channel.write(ByteBuffer.wrap(file(header, 0)));
            channel.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(1.5f).putFloat(-2).flip(), 8 + header.length() + big);
        } catch (IOException e) {
            assumeTrue(false, "the disk refuses a sparse file of 5 GB: " + e.getMessage());
        }
        try (WeightSource file = SafetensorsFile.open(path)) {
            assertArrayEquals(new float[] {1.5f, -2}, file.tensor("end", 2).toFloats());
            WeightTensor tensor = file.tensor("big");
            assertEquals(big, tensor.elements());
            assertThrows(WeightException.class, tensor::toFloats);
        } finally {
            Files.delete(path);
        }
    }

    /** Opens a file and prints why it cannot be. */
    static final class Opening {
        private Opening() {
        }

        public static void main(String[] arguments) {
            System.out.println(assertThrows(WeightException.class, () -> SafetensorsFile.open(Path.of(arguments[0]))).getMessage());
        }
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aFileThatTheAddressSpaceHasNoRoomForIsOneSentence() throws IOException, InterruptedException {
        Path file = folder.resolve("large.safetensors");
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, StandardOpenOption.SPARSE)) {
            channel.write(ByteBuffer.allocate(1), 8L << 30);
        }
        Process process = new ProcessBuilder("bash", "-c", "ulimit -v 6000000; exec \"$0\" \"$@\"",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx64m", "-XX:+UseSerialGC", "-cp",
                System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", ""),
                Opening.class.getName(), file.toString()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        assertEquals(file + " cannot be mapped into memory: there is no room for it among the addresses that this process may use; "
                + "if ulimit -v limits them, raise it, or give Java less (-Xmx)\n", output);
    }
}
