package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.kernels.cuda.ptx.Counters;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
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

    private Bench(CudaDriver driver, UnaryOperator<String> source) {
        this.driver = driver;
        this.library = new KernelLibrary(driver, source);
    }

    /** On the driver that the system property {@code cuda.driver} names: "emulator", or "jcuda" for GPU 0. */
    static Bench open() {
        String name = System.getProperty("cuda.driver", "emulator");
        return switch (name) {
            case "emulator" -> new Bench(new EmulatorDriver(new Emulator(), true), KernelLibrary::ptx);
            case "jcuda" -> new Bench(JCudaDriverApi.open(0), KernelLibrary::ptx);
            default -> throw new IllegalArgumentException("cuda.driver is " + name + ", expected emulator or jcuda");
        };
    }

    /** On an emulator with one thread and that PTX by operator. */
    static Bench emulating(UnaryOperator<String> source, long loopLimit) {
        Emulator emulator = new Emulator(1);
        emulator.loopLimit(loopLimit);
        return new Bench(new EmulatorDriver(emulator, false), source);
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

    private long keep(long address) {
        allocations.add(address);
        return address;
    }

    private long input(MemorySegment content, long shift) {
        long address = keep(driver.allocate(content.byteSize() + shift)) + shift;
        driver.copyIn(address, content, content.byteSize());
        return address;
    }

    /** float16 values at an address that is a multiple of 256. */
    long halves(float[] values) {
        return halves(values, 0);
    }

    /** float16 values at an address that is {@code shift} bytes more than a multiple of 256. */
    long halves(float[] values, long shift) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(ValueLayout.JAVA_SHORT, values.length);
            for (int i = 0; i < values.length; i++) {
                content.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(values[i]));
            }
            return input(content, shift);
        }
    }

    long floats(float[] values) {
        try (Arena arena = Arena.ofConfined()) {
            return input(arena.allocateFrom(ValueLayout.JAVA_FLOAT, values), 0);
        }
    }

    long ints(int... values) {
        try (Arena arena = Arena.ofConfined()) {
            return input(arena.allocateFrom(ValueLayout.JAVA_INT, values), 0);
        }
    }

    long bytes(byte[] values, long shift) {
        try (Arena arena = Arena.ofConfined()) {
            return input(arena.allocateFrom(ValueLayout.JAVA_BYTE, values), shift);
        }
    }

    /** Memory full of zeros. */
    long zeros(long bytes) {
        long address = keep(driver.allocate(bytes));
        driver.fill(address, (byte) 0, bytes);
        return address;
    }

    float[] readHalves(long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(ValueLayout.JAVA_SHORT, count);
            driver.copyOut(content, address, content.byteSize());
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = Float.float16ToFloat(content.getAtIndex(ValueLayout.JAVA_SHORT, i));
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

    /** Normally distributed values as float16 holds them. */
    static float[] random(Random random, int count, double mean, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = half(mean + deviation * random.nextGaussian());
        }
        return values;
    }

    /** Rounded to float16. */
    static float half(double value) {
        return Float.float16ToFloat(Float.floatToFloat16((float) value));
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
