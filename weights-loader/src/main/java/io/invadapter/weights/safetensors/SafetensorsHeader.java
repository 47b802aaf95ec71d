package io.invadapter.weights.safetensors;

import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
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
        long length = file.byteSize() < LENGTH_BYTES ? 0 : file.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
        boolean whole = length > 0 && length <= Math.min(MAX_HEADER_BYTES, file.byteSize() - LENGTH_BYTES);
        if (!whole || file.get(ValueLayout.JAVA_BYTE, LENGTH_BYTES) != '{') {
            throw new WeightException(name + " " + OtherFormat.of(file).map(format -> "is " + format).orElseGet(() -> problem(file.byteSize(), length)));
        }
        byte[] json = file.asSlice(LENGTH_BYTES, length).toArray(ValueLayout.JAVA_BYTE);
        SafetensorsHeader header = parse(name, json);
        header.checkCoverage(name, file.byteSize() - header.dataStart);
        return header;
    }

    /** What is wrong with the first bytes of a file that is of no known format. @param length that it claims for its header */
    private static String problem(long bytes, long length) {
        if (bytes < LENGTH_BYTES) {
            return "has only " + bytes + " bytes, too few for a safetensors file";
        }
        if (length < 0 || length > MAX_HEADER_BYTES) {
            return "is not a safetensors file: it claims a header of " + Long.toUnsignedString(length) + " bytes (limit " + MAX_HEADER_BYTES + ")";
        }
        if (length > bytes - LENGTH_BYTES) {
            return "is cut short or not a safetensors file: it claims a header of " + length + " bytes but has only " + bytes + " in all";
        }
        return "is not a safetensors file: its header does not start with '{'";
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
                    + "', but only " + dataBytes + " are there; fetch it again");
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
