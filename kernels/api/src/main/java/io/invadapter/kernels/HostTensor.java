package io.invadapter.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/**
 * Weights on the host, on their way to a device: row-major, little-endian, in the shape the reference implementation
 * (PyTorch) stores them.
 *
 * @param type  element type of {@code data}
 * @param shape e.g. {@code [out, in]} for a linear layer, {@code [out, in, kh, kw]} for a convolution
 * @param data  exactly the elements, heap or native memory; read while a device packs it, never afterwards
 */
public record HostTensor(DataType type, int[] shape, MemorySegment data) {

    public HostTensor {
        Objects.requireNonNull(type, "type");
        Objects.requireNonNull(shape, "shape");
        Objects.requireNonNull(data, "data");
        long expected = elements(shape) * type.bytes();
        if (data.byteSize() != expected) {
            throw new IllegalArgumentException("a " + type + " tensor of shape " + Arrays.toString(shape) + " has "
                    + expected + " bytes, not " + data.byteSize());
        }
    }

    /** A float32 tensor over {@code values}, not copied. */
    public static HostTensor of(float[] values, int... shape) {
        return new HostTensor(DataType.FLOAT32, shape, MemorySegment.ofArray(Objects.requireNonNull(values, "values")));
    }

    public long elements() {
        return elements(shape);
    }

    /** The same elements under another shape. */
    public HostTensor reshape(int... newShape) {
        return new HostTensor(type, newShape, data);
    }

    /** Rows {@code from} to {@code from + count} along the first axis, not copied. */
    public HostTensor rows(int from, int count) {
        if (from < 0 || count < 1 || from > shape[0] - count) {
            throw new IllegalArgumentException("rows " + from + " to " + (from + count) + " of " + this);
        }
        long rowBytes = elements() / shape[0] * type.bytes();
        int[] newShape = shape.clone();
        newShape[0] = count;
        return new HostTensor(type, newShape, data.asSlice(from * rowBytes, count * rowBytes));
    }

    /**
     * All {@code tensors} below one another along the first axis; the other axes must agree. Copies; float32 when the types
     * differ.
     */
    public static HostTensor stack(HostTensor... tensors) {
        HostTensor first = tensors[0];
        int[] shape = first.shape.clone();
        shape[0] = 0;
        boolean alike = true;
        for (HostTensor t : tensors) {
            if (!Arrays.equals(t.shape, 1, t.shape.length, shape, 1, shape.length)) {
                throw new IllegalArgumentException("cannot stack " + t + " below " + first);
            }
            shape[0] += t.shape[0];
            alike &= t.type == first.type;
        }
        DataType type = alike ? first.type : DataType.FLOAT32;
        MemorySegment joined = MemorySegment.ofArray(new byte[Math.toIntExact(elements(shape) * type.bytes())]);
        long offset = 0;
        for (HostTensor t : tensors) {
            MemorySegment part = alike ? t.data : MemorySegment.ofArray(t.toFloats());
            MemorySegment.copy(part, 0, joined, offset, part.byteSize());
            offset += part.byteSize();
        }
        return new HostTensor(type, shape, joined);
    }

    /** The elements as float32, copied. */
    public float[] toFloats() {
        return Floats.read(data, type, Math.toIntExact(elements()));
    }

    @Override
    public String toString() {
        return type + Arrays.toString(shape);
    }

    private static long elements(int[] shape) {
        long n = 1;
        for (int d : shape) {
            n = Math.multiplyExact(n, d);
        }
        return n;
    }
}
