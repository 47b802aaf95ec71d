package io.invadapter.weights.safetensors;

import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The checked header of a safetensors file: 8 bytes of little-endian length, then that many bytes of JSON, then the data.
 *
 * @param dataStart where the data starts, in bytes from the start of the file
 * @param entries the tensors, in the order of the header
 */
record SafetensorsHeader(long dataStart, Map<String, Entry> entries, Map<String, String> metadata) {

    /**
     * One tensor of the header.
     *
     * @param dtype the name of the element type, not necessarily that of a {@link DType}: a type that cannot be read is no
     *     reason to refuse the other tensors
     * @param begin the first byte of the tensor, counted from {@link #dataStart}
     * @param end the byte after its last
     */
    record Entry(String dtype, long[] shape, long begin, long end) {
    }

    /** The limit of the reference implementation. */
    static final long MAX_HEADER_BYTES = 100_000_000;
    private static final int LENGTH_BYTES = 8;
    private static final int MAX_DIMENSIONS = 32;

    /**
     * Reads and checks the header, and that the tensors cover the data exactly: no gap, no overlap, nothing left over.
     *
     * @param name the file's name for messages
     * @param file the whole file
     */
    static SafetensorsHeader read(String name, MemorySegment file) {
        if (file.byteSize() == 0) {
            throw new WeightException(name + " is empty");
        }
        if (file.byteSize() < LENGTH_BYTES) {
            throw new WeightException(otherFormat(name, file).orElse(name + " has only " + file.byteSize()
                    + " bytes, too few for a safetensors file"));
        }
        long length = file.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
        if (length < 0 || length > MAX_HEADER_BYTES) {
            throw new WeightException(otherFormat(name, file).orElse(name + " is not a safetensors file: it claims a header of "
                    + Long.toUnsignedString(length) + " bytes (limit " + MAX_HEADER_BYTES + ")"));
        }
        if (length > file.byteSize() - LENGTH_BYTES) {
            throw new WeightException(otherFormat(name, file).orElse(name + " is cut short or not a safetensors file: it claims a header of "
                    + length + " bytes but has only " + file.byteSize() + " in all"));
        }
        if (length == 0 || file.get(ValueLayout.JAVA_BYTE, LENGTH_BYTES) != '{') {
            throw new WeightException(otherFormat(name, file).orElse(name + " is not a safetensors file: its header does not start with '{'"));
        }
        byte[] json = file.asSlice(LENGTH_BYTES, length).toArray(ValueLayout.JAVA_BYTE);
        SafetensorsHeader header = parse(name, json);
        header.checkCoverage(name, file.byteSize() - header.dataStart);
        return header;
    }

    /** What a file really is that is not safetensors, for the formats people confuse with it. */
    private static Optional<String> otherFormat(String name, MemorySegment file) {
        String start = new String(file.asSlice(0, Math.min(64, file.byteSize())).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.ISO_8859_1);
        if (start.startsWith("PK\u0003\u0004") || start.length() > 2 && start.charAt(0) == 0x80 && start.charAt(1) >= 2 && start.charAt(1) <= 5) {
            return Optional.of(name + " is a pickle file (.ckpt, .pt, .bin), which can run any code when it is loaded and is therefore"
                    + " refused: convert it to safetensors, or take the .safetensors file of the same model");
        }
        if (start.startsWith("version https://git-lfs")) {
            return Optional.of(name + " is a Git LFS pointer, not the weights themselves: fetch them with 'git lfs pull'");
        }
        if (start.startsWith("\u0089PNG") || start.startsWith("\u00FF\u00D8\u00FF")) {
            return Optional.of(name + " is a picture where a safetensors file is expected");
        }
        if (start.startsWith("GGUF")) {
            return Optional.of(name + " is a GGUF file where a safetensors file is expected");
        }
        if (start.stripLeading().regionMatches(true, 0, "<!doctype html", 0, 14) || start.stripLeading().regionMatches(true, 0, "<html", 0, 5)) {
            return Optional.of(name + " is a web page, not the weights themselves: the download went wrong");
        }
        if (start.length() >= LENGTH_BYTES && start.chars().allMatch(c -> c >= ' ' && c < 127 || c == '\n' || c == '\r' || c == '\t')) {
            return Optional.of(name + " is a text file where a safetensors file is expected");
        }
        return Optional.empty();
    }

    private static SafetensorsHeader parse(String name, byte[] json) {
        Map<String, Entry> entries = new LinkedHashMap<>();
        Map<String, String> metadata = new LinkedHashMap<>();
        JsonReader reader = new JsonReader(json, name + ": the header");
        reader.object(key -> {
            if (reader.peek() != '{') {
                throw new WeightException(name + ": the header's entry " + Json.quote(key) + " is not an object");
            }
            if (key.equals("__metadata__")) {
                reader.object(metadataKey -> {
                    if (reader.peek() != '"') {
                        throw new WeightException(name + ": the metadata " + Json.quote(metadataKey) + " is not a string");
                    }
                    metadata.put(metadataKey, reader.string());
                });
            } else {
                entries.put(key, new EntryReader(name + ": tensor '" + key + "'", reader).read());
            }
        });
        reader.end();
        return new SafetensorsHeader(LENGTH_BYTES + json.length, entries, metadata);
    }

    private void checkCoverage(String name, long dataBytes) {
        Map.Entry<String, Entry> last = null;
        for (Map.Entry<String, Entry> next : entries.entrySet().stream()
                .sorted(Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin).thenComparingLong(e -> e.getValue().end))
                .toList()) {
            long covered = last == null ? 0 : last.getValue().end;
            if (next.getValue().begin < covered) {
                throw new WeightException(name + ": the tensors '" + last.getKey() + "' and '" + next.getKey() + "' overlap at byte "
                        + next.getValue().begin + " of the data");
            }
            if (next.getValue().begin > covered) {
                throw new WeightException(name + ": the bytes " + covered + " to " + next.getValue().begin + " of the data, before tensor '"
                        + next.getKey() + "', belong to no tensor");
            }
            last = next;
        }
        long covered = last == null ? 0 : last.getValue().end;
        if (covered > dataBytes) {
            throw new WeightException(name + " is cut short: its tensors need " + covered + " bytes of data, up to tensor '" + last.getKey()
                    + "', but only " + dataBytes + " are there");
        }
        if (covered < dataBytes) {
            throw new WeightException(name + " has " + (dataBytes - covered) + " bytes after its last tensor that belong to no tensor");
        }
    }

    /** Reads the description of one tensor. */
    private static final class EntryReader {

        private final String tensor;
        private final JsonReader reader;
        private String dtype;
        private long[] shape;
        private long[] offsets;

        EntryReader(String tensor, JsonReader reader) {
            this.tensor = tensor;
            this.reader = reader;
        }

        Entry read() {
            reader.object(key -> {
                switch (key) {
                    case "dtype" -> {
                        if (reader.peek() != '"') {
                            throw new WeightException(tensor + " has a dtype that is not a string");
                        }
                        dtype = reader.string();
                    }
                    case "shape" -> shape = sizes("shape", MAX_DIMENSIONS);
                    case "data_offsets" -> offsets = sizes("data_offsets", 2);
                    default -> throw new WeightException(tensor + " has the unknown entry " + Json.quote(key)
                            + " beside dtype, shape and data_offsets");
                }
            });
            if (dtype == null || shape == null || offsets == null) {
                throw new WeightException(tensor + " has no " + (dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets"));
            }
            if (offsets.length != 2 || offsets[0] > offsets[1]) {
                throw new WeightException(tensor + " has the data_offsets " + Arrays.toString(offsets) + " where [begin, end] is expected");
            }
            checkSize();
            return new Entry(dtype, shape, offsets[0], offsets[1]);
        }

        private void checkSize() {
            try {
                long elements = Shapes.elements(shape);
                Optional<DType> known = DType.named(dtype);
                if (known.isPresent() && Math.multiplyExact(elements, known.get().bytes()) != offsets[1] - offsets[0]) {
                    throw new WeightException(tensor + " of " + dtype + " " + Shapes.text(shape) + " needs " + elements * known.get().bytes()
                            + " bytes but its data_offsets give it " + (offsets[1] - offsets[0]));
                }
            } catch (ArithmeticException e) {
                throw new WeightException(tensor + " has the impossible shape " + Shapes.text(shape), e);
            }
        }

        /** Reads an array of at most {@code limit} integers that are not negative. */
        private long[] sizes(String what, int limit) {
            if (reader.peek() != '[') {
                throw new WeightException(tensor + " has a " + what + " that is not an array");
            }
            long[] sizes = new long[limit];
            int[] count = {0};
            reader.array(() -> {
                if (count[0] == limit) {
                    throw new WeightException(tensor + " has a " + what + " of more than " + limit + " numbers");
                }
                int next = reader.peek();
                if (next != '-' && (next < '0' || next > '9') || !(reader.number() instanceof Long size) || size < 0) {
                    throw new WeightException(tensor + " has a " + what + " with something that is not a whole number from 0 to "
                            + Long.MAX_VALUE);
                }
                sizes[count[0]++] = size;
            });
            return Arrays.copyOf(sizes, count[0]);
        }
    }
}
