package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Where weights lie on the device: a few large blocks, filled one weight after the other and freed together. Weights of the
 * right type go straight from the mapped file to the device.
 */
final class WeightMemory implements AutoCloseable {
    /** Each block is as large as all before it together, within these bounds: a small network takes little more than it needs. */
    private static final long LEAST_BLOCK = 64L << 10;
    private static final long MOST_BLOCK = 64L << 20;
    private static final long ALIGNMENT = 256;
    /** Elements converted at a time. */
    private static final int PIECE = 1 << 22;

    private final CudaDriver driver;
    private final List<Long> blocks = new ArrayList<>();
    private long held;
    private long next;
    private long end;

    WeightMemory(CudaDriver driver) {
        this.driver = driver;
    }

    /** The address of a copy of {@code source} in {@code type}. */
    long store(DataType type, HostTensor source) {
        long address = reserve(source.elements() * type.bytes());
        if (source.type() == type && source.data().isNative()) {
            driver.copyIn(address, source.data(), source.data().byteSize());
            return address;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment converted = arena.allocate(Math.min(source.elements(), PIECE) * type.bytes(), ALIGNMENT);
            for (long start = 0; start < source.elements(); start += PIECE) {
                int n = (int) Math.min(PIECE, source.elements() - start);
                convert(source, start, n, type, converted);
                driver.copyIn(address + start * type.bytes(), converted, (long) n * type.bytes());
            }
        }
        return address;
    }

    /** The address of a copy of the convolution weights {@code [out, in, kh, kw]} as {@code [out, kh, kw, in]}. */
    long storeChannelsLast(DataType type, HostTensor source) {
        int[] shape = source.shape();
        int positions = shape[2] * shape[3];
        if (positions == 1) {
            return store(type, source);
        }
        long bytes = source.elements() * type.bytes();
        long address = reserve(bytes);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment converted = arena.allocate(bytes, ALIGNMENT);
            int filter = shape[1] * positions;
            for (int out = 0; out < shape[0]; out++) {
                long start = (long) out * filter;
                MemorySegment target = converted.asSlice(start * type.bytes(), (long) filter * type.bytes());
                convert(source, start, filter, type, target);
                transpose(target, shape[1], positions, type.bytes());
            }
            driver.copyIn(address, converted, bytes);
        }
        return address;
    }

    private static void convert(HostTensor source, long start, int n, DataType type, MemorySegment target) {
        int size = source.type().bytes();
        MemorySegment piece = source.data().asSlice(start * size, (long) n * size);
        if (source.type() == type) {
            target.copyFrom(piece);
        } else {
            Floats.write(Floats.read(piece, source.type(), n), type, target);
        }
    }

    /** {@code [rows, columns]} to {@code [columns, rows]}, in place. */
    private static void transpose(MemorySegment matrix, int rows, int columns, int bytes) {
        if (bytes == Short.BYTES) {
            short[] from = matrix.toArray(ValueLayout.JAVA_SHORT);
            short[] to = new short[from.length];
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < columns; c++) {
                    to[c * rows + r] = from[r * columns + c];
                }
            }
            matrix.copyFrom(MemorySegment.ofArray(to));
        } else {
            int[] from = matrix.toArray(ValueLayout.JAVA_INT);
            int[] to = new int[from.length];
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < columns; c++) {
                    to[c * rows + r] = from[r * columns + c];
                }
            }
            matrix.copyFrom(MemorySegment.ofArray(to));
        }
    }

    private long reserve(long bytes) {
        long rounded = Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
        if (next + rounded > end) {
            long block = Math.max(rounded, Math.clamp(held, LEAST_BLOCK, MOST_BLOCK));
            next = driver.allocate(block);
            end = next + block;
            held += block;
            blocks.add(next);
        }
        long address = next;
        next += rounded;
        return address;
    }

    @Override
    public void close() {
        blocks.forEach(driver::free);
        blocks.clear();
        held = 0;
        next = 0;
        end = 0;
    }
}
