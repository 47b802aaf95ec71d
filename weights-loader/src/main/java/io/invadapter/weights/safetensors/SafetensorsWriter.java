package io.invadapter.weights.safetensors;

import io.invadapter.base.WholeFile;
import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Writes a safetensors file:
 *
 * <pre>{@code
 * new SafetensorsWriter()
 *         .metadata("format", "pt")
 *         .add("weight", new long[] {2, 3}, new float[] {1, 2, 3, 4, 5, 6})
 *         .write(Path.of("model.safetensors"));
 * }</pre>
 *
 * The same content always gives the same bytes: tensors are ordered by the size of their elements, largest first, then by
 * name, which also aligns every tensor to its element size. Arrays are copied when they are added; memory segments and
 * tensors are read when the file is written, so they must live until then.
 */
public final class SafetensorsWriter {

    private static final int ALIGNMENT = 8;
    private static final int BUFFER_BYTES = 1 << 20;

    private final Map<String, String> metadata = new TreeMap<>();
    private final Map<String, WeightTensor> tensors = new TreeMap<>();

    /** A writer with no tensors yet. */
    public SafetensorsWriter() {
    }

    /** Attaches a string to the file; a second value for the same key replaces the first. */
    public SafetensorsWriter metadata(String key, String value) {
        metadata.put(Objects.requireNonNull(key, "key"), Objects.requireNonNull(value, "value"));
        return this;
    }

    /**
     * Adds a tensor as it is.
     *
     * @throws IllegalArgumentException if there already is one of that name, or the name is {@code __metadata__}
     */
    public SafetensorsWriter add(WeightTensor tensor) {
        if (tensor.name().equals("__metadata__")) {
            throw new IllegalArgumentException("a tensor cannot be called __metadata__");
        }
        if (tensors.putIfAbsent(tensor.name(), tensor) != null) {
            throw new IllegalArgumentException("there already is a tensor '" + tensor.name() + "'");
        }
        return this;
    }

    /** Adds a tensor whose elements are given as little-endian bytes. */
    public SafetensorsWriter add(String name, DType dtype, long[] shape, MemorySegment littleEndian) {
        return add(WeightTensor.of(name, dtype, littleEndian, shape));
    }

    /** Adds a tensor of F32. */
    public SafetensorsWriter add(String name, long[] shape, float[] values) {
        return add(name, DType.F32, shape, values);
    }

    /** Adds a tensor of F64, F32, F16 or BF16; the values are rounded to the nearest, ties to even. */
    public SafetensorsWriter add(String name, DType dtype, long[] shape, float[] values) {
        ByteBuffer bytes = allocate(name, dtype, values.length);
        for (float value : values) {
            switch (dtype) {
                case F64 -> bytes.putDouble(value);
                case F32 -> bytes.putFloat(value);
                case F16 -> bytes.putShort(Float.floatToFloat16(value));
                case BF16 -> bytes.putShort(bfloat16(value));
                default -> throw new IllegalArgumentException("tensor '" + name + "' of floats cannot be written as " + dtype);
            }
        }
        return add(name, dtype, shape, MemorySegment.ofBuffer(bytes.flip()));
    }

    /** Adds a tensor of I64. */
    public SafetensorsWriter add(String name, long[] shape, long[] values) {
        return add(name, DType.I64, shape, values);
    }

    /**
     * Adds a tensor of an integer type or BOOL.
     *
     * @throws IllegalArgumentException if a value does not fit the type
     */
    public SafetensorsWriter add(String name, DType dtype, long[] shape, long[] values) {
        ByteBuffer bytes = allocate(name, dtype, values.length);
        for (long value : values) {
            boolean fits = switch (dtype) {
                case I64 -> true;
                case I32 -> value == (int) value;
                case I16 -> value == (short) value;
                case I8 -> value == (byte) value;
                case U8 -> value == (value & 0xFF);
                case BOOL -> value == (value & 1);
                default -> throw new IllegalArgumentException("tensor '" + name + "' of integers cannot be written as " + dtype);
            };
            if (!fits) {
                throw new IllegalArgumentException("tensor '" + name + "' of " + dtype + " cannot hold " + value);
            }
            switch (dtype.bytes()) {
                case Long.BYTES -> bytes.putLong(value);
                case Integer.BYTES -> bytes.putInt((int) value);
                case Short.BYTES -> bytes.putShort((short) value);
                default -> bytes.put((byte) value);
            }
        }
        return add(name, dtype, shape, MemorySegment.ofBuffer(bytes.flip()));
    }

    /**
     * Writes the file as {@link WholeFile#write} does: neither a failure nor a reader at the wrong moment ever sees half a file.
     *
     * @throws WeightException if the file cannot be written
     */
    public void write(Path path) {
        try {
            WholeFile.write(path, channel -> {
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment buffer = arena.allocate(BUFFER_BYTES);
                    List<WeightTensor> ordered = ordered();
                    byte[] header = header(ordered);
                    MemorySegment length = arena.allocate(Long.BYTES);
                    length.set(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0, header.length);
                    write(channel, length, buffer);
                    write(channel, MemorySegment.ofArray(header), buffer);
                    for (WeightTensor tensor : ordered) {
                        write(channel, tensor.data(), buffer);
                    }
                }
            });
        } catch (NoSuchFileException e) {
            throw new WeightException(path + " cannot be written: its folder does not exist", e);
        } catch (IOException e) {
            throw new WeightException(path + " cannot be written: " + e.getMessage(), e);
        }
    }

    private List<WeightTensor> ordered() {
        return tensors.values().stream()
                .sorted(Comparator.comparingInt((WeightTensor tensor) -> -tensor.dtype().bytes()).thenComparing(WeightTensor::name))
                .toList();
    }

    private byte[] header(List<WeightTensor> ordered) {
        StringBuilder json = new StringBuilder("{");
        if (!metadata.isEmpty()) {
            json.append("\"__metadata__\":").append(metadata.entrySet().stream()
                    .map(entry -> Json.quote(entry.getKey()) + ":" + Json.quote(entry.getValue())).collect(Collectors.joining(",", "{", "}")));
        }
        long offset = 0;
        for (WeightTensor tensor : ordered) {
            if (json.length() > 1) {
                json.append(',');
            }
            long end = offset + tensor.data().byteSize();
            json.append(Json.quote(tensor.name())).append(":{\"dtype\":\"").append(tensor.dtype()).append("\",\"shape\":")
                    .append(Arrays.toString(tensor.shape()).replace(" ", ""))
                    .append(",\"data_offsets\":[").append(offset).append(',').append(end).append("]}");
            offset = end;
        }
        byte[] text = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
        byte[] padded = Arrays.copyOf(text, Math.ceilDiv(text.length, ALIGNMENT) * ALIGNMENT);
        Arrays.fill(padded, text.length, padded.length, (byte) ' ');
        if (padded.length > SafetensorsHeader.MAX_HEADER_BYTES) {
            throw new WeightException("the header would have " + padded.length + " bytes, more than safetensors readers accept ("
                    + SafetensorsHeader.MAX_HEADER_BYTES + ")");
        }
        return padded;
    }

    /** Writes a segment through a native buffer, as a channel takes neither a segment over 2 GB nor one of a float[]. */
    private static void write(FileChannel channel, MemorySegment source, MemorySegment buffer) throws IOException {
        for (long start = 0; start < source.byteSize(); start += BUFFER_BYTES) {
            long count = Math.min(BUFFER_BYTES, source.byteSize() - start);
            MemorySegment.copy(source, start, buffer, 0, count);
            ByteBuffer bytes = buffer.asSlice(0, count).asByteBuffer();
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        }
    }

    private static ByteBuffer allocate(String name, DType dtype, int elements) {
        long bytes = (long) elements * dtype.bytes();
        if (bytes > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("tensor '" + name + "' of " + bytes + " bytes is too large for an array: add it as a memory segment");
        }
        return ByteBuffer.allocate((int) bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static short bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            // Rounding could carry a NaN over into an infinity; a quiet NaN stays one.
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
    }
}
