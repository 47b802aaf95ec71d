package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.kernels.cuda.ptx.Counters;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * What a kernel case works on: a device with the kernels on it, arrays there and back, and what the launches counted.
 *
 * <p>Outputs are allocated never written (emulator) or full of NaN (GPU), with guard values behind them on a GPU; the emulator
 * finds stray writes by itself.
 */
final class Bench implements AutoCloseable {
    private static final int GUARD_BYTES = 256;
    private static final byte POISON = (byte) 0xff;

    private final CudaDriver driver;
    private final KernelLibrary library;
    private final List<Long> allocations = new ArrayList<>();
    private final List<long[]> guards = new ArrayList<>();
    private int launchesSeen;

    private Bench(CudaDriver driver, KernelLibrary library) {
        this.driver = driver;
        this.library = library;
    }

    /**
     * With the kernels for that type on the driver that the system property {@code cuda.driver} names: "emulator", or "jcuda"
     * for GPU 0.
     */
    static Bench open(DataType type) {
        String name = System.getProperty("cuda.driver", "emulator");
        return switch (name) {
            case "emulator" -> on(new EmulatorDriver(new Emulator(), true), type);
            case "jcuda" -> on(JCudaDriverApi.open(0), type);
            default -> throw new IllegalArgumentException("cuda.driver is " + name + ", expected emulator or jcuda");
        };
    }

    /** With the kernels for that type on any driver, which is closed with this. */
    static Bench on(CudaDriver driver, DataType type) {
        return new Bench(driver, new KernelLibrary(driver, type));
    }

    /** On an emulator with one thread and that PTX by operator, of float16. */
    static Bench emulating(UnaryOperator<String> source, long loopLimit) {
        Emulator emulator = new Emulator(1);
        emulator.loopLimit(loopLimit);
        CudaDriver driver = new EmulatorDriver(emulator, false);
        return new Bench(driver, new KernelLibrary(driver, DataType.FLOAT16, source));
    }

    /** The type of the kernels' arrays. */
    DataType type() {
        return library.type();
    }

    /** Its bytes. */
    int size() {
        return library.bytes();
    }

    /** How far results may be off, relative to themselves or the root mean square of all. */
    double tolerance() {
        return switch (type()) {
            case FLOAT16 -> 2e-3;
            case BFLOAT16 -> 2e-2;
            default -> 1e-5;
        };
    }

    KernelLibrary library() {
        return library;
    }

    CudaDriver driver() {
        return driver;
    }

    /** Hands the counters of each launch since the last call to {@code check}; does nothing where nothing is counted. */
    void counted(Consumer<List<Counters>> check) {
        if (driver instanceof EmulatorDriver emulated) {
            List<EmulatorDriver.Launch> all = emulated.launches();
            List<Counters> fresh =
                    all.subList(launchesSeen, all.size()).stream().map(EmulatorDriver.Launch::counters).toList();
            launchesSeen = all.size();
            check.accept(fresh);
        }
    }

    /** All launches so far; empty where nothing is counted. */
    List<EmulatorDriver.Launch> launches() {
        return driver instanceof EmulatorDriver emulated ? List.copyOf(emulated.launches()) : List.of();
    }

    /** Bytes that kernels may read or write, never written so far. */
    long output(long bytes) {
        if (driver instanceof EmulatorDriver) {
            return keep(driver.allocate(bytes));
        }
        long address = keep(driver.allocate(bytes + GUARD_BYTES));
        driver.fill(address, POISON, bytes + GUARD_BYTES);
        guards.add(new long[] {address + bytes, GUARD_BYTES});
        return address;
    }

    /** The same at an address that is {@code shift} bytes more than a multiple of 256. */
    long output(long bytes, long shift) {
        return output(bytes + shift) + shift;
    }

    /** Room for values of the kernels' type. */
    long result(long count) {
        return output(count * size());
    }

    /** The same at an address that is {@code shift} values behind a multiple of 256. */
    long result(long count, int shift) {
        return output(count * size(), (long) shift * size());
    }

    private long keep(long address) {
        allocations.add(address);
        return address;
    }

    private long input(MemorySegment content, long shift) {
        long address = keep(driver.allocate(content.byteSize() + shift)) + shift;
        driver.copyIn(address, content, content.byteSize());
        return address;
    }

    /** Values of the kernels' type at an address that is a multiple of 256. */
    long values(float[] values) {
        return values(values, 0);
    }

    /** Values of the kernels' type at an address that is {@code shift} values behind a multiple of 256. */
    long values(float[] values, int shift) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate((long) size() * values.length, size());
            for (int i = 0; i < values.length; i++) {
                switch (type()) {
                    case FLOAT16 -> content.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(values[i]));
                    case BFLOAT16 -> content.setAtIndex(ValueLayout.JAVA_SHORT, i,
                            (short) (Float.floatToRawIntBits(bfloat(values[i])) >>> 16));
                    default -> content.setAtIndex(ValueLayout.JAVA_FLOAT, i, values[i]);
                }
            }
            return input(content, (long) shift * size());
        }
    }

    long floats(float[] values) {
        return floats(values, 0);
    }

    /** float32 values at an address that is {@code shift} of them behind a multiple of 256. */
    long floats(float[] values, int shift) {
        try (Arena arena = Arena.ofConfined()) {
            return input(arena.allocateFrom(ValueLayout.JAVA_FLOAT, values), 4L * shift);
        }
    }

    long ints(int... values) {
        try (Arena arena = Arena.ofConfined()) {
            return input(arena.allocateFrom(ValueLayout.JAVA_INT, values), 0);
        }
    }

    /** Memory full of zeros. */
    long zeros(long bytes) {
        long address = keep(driver.allocate(bytes));
        driver.fill(address, (byte) 0, bytes);
        return address;
    }

    float[] readValues(long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate((long) size() * count, size());
            driver.copyOut(content, address, content.byteSize());
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = switch (type()) {
                    case FLOAT16 -> Float.float16ToFloat(content.getAtIndex(ValueLayout.JAVA_SHORT, i));
                    case BFLOAT16 -> Float.intBitsToFloat(content.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16);
                    default -> content.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                };
            }
            return values;
        }
    }

    float[] readFloats(long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(ValueLayout.JAVA_FLOAT, count);
            driver.copyOut(content, address, content.byteSize());
            return content.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    byte[] readBytes(long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(count);
            driver.copyOut(content, address, count);
            return content.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    /** Normally distributed values as the kernels' type holds them. */
    float[] random(Random random, int count, double mean, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = rounded(mean + deviation * random.nextGaussian());
        }
        return values;
    }

    /** Rounded to the kernels' type. */
    float rounded(double value) {
        return switch (type()) {
            case FLOAT16 -> Float.float16ToFloat(Float.floatToFloat16((float) value));
            case BFLOAT16 -> bfloat((float) value);
            default -> (float) value;
        };
    }

    /** Rounded to bfloat16, to nearest even; the format is the upper half of float32. */
    private static float bfloat(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return value;
        }
        return Float.intBitsToFloat(bits + 0x7fff + (bits >>> 16 & 1) & 0xffff0000);
    }

    /**
     * Every value within {@code tolerance}, relative to itself or to the root mean square of all, whichever is greater: the
     * latter because a sum that happens to cancel has the error of its parts.
     */
    static void close(String what, double[] expected, float[] actual, double tolerance) {
        if (expected.length != actual.length) {
            throw new AssertionError(what + ": " + actual.length + " values instead of " + expected.length);
        }
        double squares = 0;
        for (double value : expected) {
            squares += value * value;
        }
        double size = Math.sqrt(squares / expected.length);
        double worst = 0;
        int place = -1;
        for (int i = 0; i < expected.length; i++) {
            double error = Math.abs(actual[i] - expected[i]) / Math.max(Math.abs(expected[i]), size);
            if (!(error <= worst)) {
                worst = error;
                place = i;
                if (Double.isNaN(error)) {
                    break;
                }
            }
        }
        if (!(worst <= tolerance)) {
            throw new AssertionError(what + ": value " + place + " is " + actual[place] + ", expected " + expected[place]
                    + ", relative error " + worst);
        }
    }

    /** Values that are copied, not computed. */
    static void same(float[] expected, float[] actual) {
        int place = Arrays.mismatch(expected, actual);
        require(place < 0, () -> "value " + place + " is " + actual[place] + ", expected " + expected[place]);
    }

    private static void require(boolean holds, Supplier<String> message) {
        if (!holds) {
            throw new AssertionError(message.get());
        }
    }

    static void require(boolean holds, String message) {
        if (!holds) {
            throw new AssertionError(message);
        }
    }

    /** Frees the arrays and forgets the counters; on a GPU looks for writes behind the outputs first. */
    void clear() {
        counted(launches -> { });
        for (long[] guard : guards) {
            for (byte b : readBytes(guard[0], (int) guard[1])) {
                require(b == POISON, "a kernel wrote behind its output");
            }
        }
        guards.clear();
        allocations.forEach(driver::free);
        allocations.clear();
    }

    @Override
    public void close() {
        driver.close();
    }
}
