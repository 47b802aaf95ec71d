package io.invadapter.weights;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;
import java.util.stream.LongStream;

/**
 * A named tensor whose bytes stay where they are, as a rule in a memory-mapped file. Immutable and safe to share between
 * threads. The data may be read until the {@link WeightSource} it came from is closed; from then on reading throws
 * {@link IllegalStateException}.
 */
public final class WeightTensor {

    private static final ValueLayout.OfDouble LE_DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat LE_FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LE_LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt LE_INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort LE_SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    // Conversion goes through arrays of this many elements: they stay in the first-level cache, and plain array loops
    // are what the compiler turns into vector instructions.
    private static final int CHUNK = 2048;

    private final String name;
    private final DType dtype;
    private final long[] shape;
    private final long elements;
    private final MemorySegment data;

    /**
     * A tensor over bytes that are already in memory; they are not copied.
     *
     * @param data the elements as little-endian bytes, the last dimension running fastest
     * @throws IllegalArgumentException if the number of bytes is not what dtype and shape need
     */
    public static WeightTensor of(String name, DType dtype, MemorySegment data, long... shape) {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(dtype, "dtype");
        Objects.requireNonNull(data, "data");
        Objects.requireNonNull(shape, "shape");
        long elements;
        try {
            elements = Shapes.elements(shape);
            if (Math.multiplyExact(elements, dtype.bytes()) != data.byteSize()) {
                throw new IllegalArgumentException("tensor '" + name + "' of " + dtype + " " + Shapes.text(shape) + " needs "
                        + elements * dtype.bytes() + " bytes but " + data.byteSize() + " were given");
            }
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("tensor '" + name + "' cannot have the shape " + Shapes.text(shape), e);
        }
        return new WeightTensor(name, dtype, data, shape.clone(), elements);
    }

    private WeightTensor(String name, DType dtype, MemorySegment data, long[] shape, long elements) {
        this.name = name;
        this.dtype = dtype;
        this.shape = shape;
        this.elements = elements;
        this.data = data.asReadOnly();
    }

    /** The name under which the source holds this tensor. */
    public String name() {
        return name;
    }

    /** The type of the elements as stored. */
    public DType dtype() {
        return dtype;
    }

    /** The sizes of the dimensions, slowest first; empty for a scalar. A copy. */
    public long[] shape() {
        return shape.clone();
    }

    /** The number of elements: the product of the shape. */
    public long elements() {
        return elements;
    }

    /**
     * The elements as stored: little-endian bytes, the last dimension running fastest, not copied, read-only. The address
     * may be unaligned for the element type, so read with the {@code _UNALIGNED} layouts.
     */
    public MemorySegment data() {
        return data;
    }

    /**
     * The elements as 32-bit floats, whatever the stored type is.
     *
     * @throws WeightException if there are more elements than an array can hold
     */
    public float[] toFloats() {
        float[] floats = new float[arrayLength()];
        copyTo(MemorySegment.ofArray(floats));
        return floats;
    }

    /**
     * Writes the elements as 32-bit floats in native byte order, whatever the stored type is. F64 and the wider integers
     * are rounded to the nearest float; BOOL gives 0 and 1.
     *
     * @param floatDestination exactly 4 bytes for each element
     * @throws IllegalArgumentException if the destination has another size
     */
    public void copyTo(MemorySegment floatDestination) {
        if (floatDestination.byteSize() != elements * Float.BYTES) {
            throw new IllegalArgumentException("tensor '" + name + "' " + Shapes.text(shape) + " needs " + elements * Float.BYTES
                    + " bytes as floats but the destination has " + floatDestination.byteSize());
        }
        switch (dtype) {
            case F32 -> MemorySegment.copy(data, LE_FLOAT, 0, floatDestination, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, elements);
            case F16 -> copyHalfs(floatDestination);
            case BF16 -> copyBfloats(floatDestination);
            case F64 -> copyDoubles(floatDestination);
            default -> copyIntegers(floatDestination);
        }
    }

    /**
     * The elements of an integer or BOOL tensor.
     *
     * @throws WeightException if the elements are floats, or more than an array can hold
     */
    public long[] toLongs() {
        if (dtype.isFloat()) {
            throw new WeightException("tensor '" + name + "' holds " + dtype + " elements where integers are expected");
        }
        long[] longs = new long[arrayLength()];
        readLongs(0, longs, longs.length);
        return longs;
    }

    /** Whether no element is NaN, infinite or, of F64, too large for a float. Reads them all. */
    public boolean isFinite() {
        return switch (dtype) {
            case F16 -> LongStream.range(0, elements).parallel().noneMatch(i -> (data.getAtIndex(LE_SHORT, i) & 0x7C00) == 0x7C00);
            case BF16 -> LongStream.range(0, elements).parallel().noneMatch(i -> (data.getAtIndex(LE_SHORT, i) & 0x7F80) == 0x7F80);
            case F32 -> LongStream.range(0, elements).parallel().allMatch(i -> Float.isFinite(data.getAtIndex(LE_FLOAT, i)));
            case F64 -> LongStream.range(0, elements).parallel().allMatch(i -> Float.isFinite((float) data.getAtIndex(LE_DOUBLE, i)));
            case I64, I32, I16, I8, U8, BOOL -> true;
        };
    }

    /**
     * The same elements under another shape; nothing is copied.
     *
     * @throws IllegalArgumentException if the new shape has another number of elements
     */
    public WeightTensor reshape(long... newShape) {
        return of(name, dtype, data, newShape);
    }

    /** The same tensor under another name, as the layouts present it. */
    public WeightTensor renamed(String newName) {
        return new WeightTensor(newName, dtype, data, shape, elements);
    }

    @Override
    public String toString() {
        return name + " " + dtype + " " + Shapes.text(shape);
    }

    private int arrayLength() {
        if (elements > Integer.MAX_VALUE - 8) {
            throw new WeightException("tensor '" + name + "' has " + elements + " elements, more than a Java array can hold");
        }
        return (int) elements;
    }

    private void copyHalfs(MemorySegment destination) {
        short[] halfs = new short[CHUNK];
        float[] floats = new float[CHUNK];
        for (long start = 0; start < elements; start += CHUNK) {
            int count = (int) Math.min(CHUNK, elements - start);
            MemorySegment.copy(data, LE_SHORT, start * Short.BYTES, halfs, 0, count);
            for (int i = 0; i < count; i++) {
                floats[i] = Float.float16ToFloat(halfs[i]);
            }
            MemorySegment.copy(floats, 0, destination, ValueLayout.JAVA_FLOAT_UNALIGNED, start * Float.BYTES, count);
        }
    }

    private void copyBfloats(MemorySegment destination) {
        short[] halfs = new short[CHUNK];
        // The bits of the floats: a bfloat16 is a float's upper half, so a shift is the whole conversion.
        int[] bits = new int[CHUNK];
        for (long start = 0; start < elements; start += CHUNK) {
            int count = (int) Math.min(CHUNK, elements - start);
            MemorySegment.copy(data, LE_SHORT, start * Short.BYTES, halfs, 0, count);
            for (int i = 0; i < count; i++) {
                bits[i] = halfs[i] << 16;
            }
            MemorySegment.copy(bits, 0, destination, ValueLayout.JAVA_INT_UNALIGNED, start * Float.BYTES, count);
        }
    }

    private void copyDoubles(MemorySegment destination) {
        double[] doubles = new double[CHUNK];
        float[] floats = new float[CHUNK];
        for (long start = 0; start < elements; start += CHUNK) {
            int count = (int) Math.min(CHUNK, elements - start);
            MemorySegment.copy(data, LE_DOUBLE, start * Double.BYTES, doubles, 0, count);
            for (int i = 0; i < count; i++) {
                floats[i] = (float) doubles[i];
            }
            MemorySegment.copy(floats, 0, destination, ValueLayout.JAVA_FLOAT_UNALIGNED, start * Float.BYTES, count);
        }
    }

    private void copyIntegers(MemorySegment destination) {
        long[] longs = new long[CHUNK];
        float[] floats = new float[CHUNK];
        for (long start = 0; start < elements; start += CHUNK) {
            int count = (int) Math.min(CHUNK, elements - start);
            readLongs(start, longs, count);
            for (int i = 0; i < count; i++) {
                floats[i] = longs[i];
            }
            MemorySegment.copy(floats, 0, destination, ValueLayout.JAVA_FLOAT_UNALIGNED, start * Float.BYTES, count);
        }
    }

    /** Reads integer elements from {@code start} on into the beginning of {@code longs}. */
    private void readLongs(long start, long[] longs, int count) {
        switch (dtype) {
            case I64 -> MemorySegment.copy(data, LE_LONG, start * Long.BYTES, longs, 0, count);
            case I32 -> {
                for (int i = 0; i < count; i++) {
                    longs[i] = data.get(LE_INT, (start + i) * Integer.BYTES);
                }
            }
            case I16 -> {
                for (int i = 0; i < count; i++) {
                    longs[i] = data.get(LE_SHORT, (start + i) * Short.BYTES);
                }
            }
            case I8 -> {
                for (int i = 0; i < count; i++) {
                    longs[i] = data.get(ValueLayout.JAVA_BYTE, start + i);
                }
            }
            case U8 -> {
                for (int i = 0; i < count; i++) {
                    longs[i] = data.get(ValueLayout.JAVA_BYTE, start + i) & 0xFF;
                }
            }
            case BOOL -> {
                for (int i = 0; i < count; i++) {
                    longs[i] = data.get(ValueLayout.JAVA_BYTE, start + i) == 0 ? 0 : 1;
                }
            }
            case F64, F32, F16, BF16 -> throw new AssertionError(dtype);
        }
    }
}
