package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** Arrays on the device whose elements the host knows without having them, given back together. */
final class OnDevice implements AutoCloseable {
    /** Elements that repeat; prime, so that no row of a matrix is like the next. */
    private static final int PERIOD = 65_521;
    /** Multiples of 1/64 between -1 and 1: exact in every type. */
    private static final float[] KNOWN = known();

    private final CudaDriver driver;
    private final List<Long> blocks = new ArrayList<>();

    OnDevice(CudaDriver driver) {
        this.driver = driver;
    }

    private static float[] known() {
        float[] values = new float[PERIOD];
        long z = 1;
        for (int i = 0; i < PERIOD; i++) {
            z = z * 6364136223846793005L + 1442695040888963407L;
            values[i] = ((z >>> 57) - 64) / 64f;
        }
        return values;
    }

    /** Element {@code i} of the array with that number. */
    static float known(int array, long i) {
        return KNOWN[(int) ((i + 7919L * array) % PERIOD)];
    }

    /** Address of bytes that are no numbers: what lay there before, perhaps the very result that is expected, is gone. */
    long room(long bytes) {
        long address = allocated(bytes);
        spoil(address, bytes);
        return address;
    }

    private long allocated(long bytes) {
        long address = driver.allocate(bytes);
        blocks.add(address);
        return address;
    }

    /** Address of {@code count} known values. */
    long known(int array, DataType type, long count) {
        int size = type.bytes();
        long address = allocated(count * size);
        try (Arena arena = Arena.ofConfined()) {
            float[] period = new float[PERIOD];
            for (int i = 0; i < PERIOD; i++) {
                period[i] = known(array, i);
            }
            MemorySegment all = arena.allocate(count * size, 64);
            MemorySegment block = arena.allocate((long) PERIOD * size, 64);
            Floats.write(period, type, block);
            for (long done = 0; done < all.byteSize(); done += block.byteSize()) {
                long piece = Math.min(block.byteSize(), all.byteSize() - done);
                MemorySegment.copy(block, 0, all, done, piece);
            }
            driver.copyIn(address, all, all.byteSize());
        }
        return address;
    }

    /** Makes bytes such that they are no numbers, in any type. */
    void spoil(long address, long bytes) {
        driver.fill(address, (byte) 0xff, bytes);
    }

    /** {@code count} values from there on. */
    float[] read(DataType type, long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate((long) count * type.bytes(), 64);
            driver.copyOut(bytes, address, bytes.byteSize());
            return Floats.read(bytes, type, count);
        }
    }

    byte[] bytes(long address, long count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(count, 64);
            driver.copyOut(bytes, address, count);
            return bytes.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    /** The greatest difference, relative to the root mean square of what is expected; NaN when anything is no number. */
    static double error(double[] expected, double[] found) {
        double squares = 0;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            squares += expected[i] * expected[i];
            double difference = Math.abs(found[i] - expected[i]);
            worst = Double.isNaN(difference) || Double.isNaN(worst) ? Double.NaN : Math.max(worst, difference);
        }
        return worst / Math.sqrt(squares / expected.length);
    }

    /** What may be expected of sums of products in that type. */
    static double limit(DataType type) {
        return switch (type) {
            case FLOAT16 -> 4e-3;
            case BFLOAT16 -> 3e-2;
            default -> 2e-5;
        };
    }

    @Override
    public void close() {
        blocks.forEach(driver::free);
    }
}
