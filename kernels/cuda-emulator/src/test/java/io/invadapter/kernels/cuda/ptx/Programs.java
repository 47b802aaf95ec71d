package io.invadapter.kernels.cuda.ptx;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The compiled test programs, and an emulator with arrays and argument lists for them. */
final class Programs implements AutoCloseable {
    private static final Map<String, PtxModule> MODULES = new ConcurrentHashMap<>();

    final Emulator emulator = new Emulator();

    static String text(String name) {
        try (InputStream in = Programs.class.getResourceAsStream(name + ".ptx")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Kernel kernel(String module, String name) {
        return MODULES.computeIfAbsent(module, m -> PtxModule.parse(text(m))).kernel(name);
    }

    /** Runs with arguments of the parameters' sizes: Long, Integer, Float, Byte or byte[]. */
    Counters run(Kernel kernel, Dim grid, Dim block, int sharedBytes, Object... arguments) {
        return emulator.launch(kernel, grid, block, sharedBytes, pack(kernel, arguments));
    }

    static byte[] pack(Kernel kernel, Object... arguments) {
        List<Kernel.Parameter> layout = kernel.parameterLayout();
        if (layout.size() != arguments.length) {
            throw new IllegalArgumentException(kernel + " takes " + layout);
        }
        ByteBuffer b = ByteBuffer.allocate(kernel.parameterBytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < arguments.length; i++) {
            int at = layout.get(i).offset();
            switch (arguments[i]) {
                case Long v -> b.putLong(at, v);
                case Integer v -> b.putInt(at, v);
                case Float v -> b.putFloat(at, v);
                case Byte v -> b.put(at, v);
                case byte[] v -> b.put(at, v);
                default -> throw new IllegalArgumentException(arguments[i].toString());
            }
        }
        return b.array();
    }

    // ---- arrays on the device ----------------------------------------------------------------------------------

    long allocate(long bytes) {
        return emulator.allocate(bytes);
    }

    long upload(int... values) {
        return upload(MemorySegment.ofArray(values));
    }

    long upload(float... values) {
        return upload(MemorySegment.ofArray(values));
    }

    long upload(long... values) {
        return upload(MemorySegment.ofArray(values));
    }

    long upload(double... values) {
        return upload(MemorySegment.ofArray(values));
    }

    long upload(short... values) {
        return upload(MemorySegment.ofArray(values));
    }

    private long upload(MemorySegment values) {
        long address = emulator.allocate(values.byteSize());
        emulator.write(address, values, values.byteSize());
        return address;
    }

    int[] ints(long address, int count) {
        int[] values = new int[count];
        emulator.read(MemorySegment.ofArray(values), address, 4L * count);
        return values;
    }

    float[] floats(long address, int count) {
        float[] values = new float[count];
        emulator.read(MemorySegment.ofArray(values), address, 4L * count);
        return values;
    }

    long[] longs(long address, int count) {
        long[] values = new long[count];
        emulator.read(MemorySegment.ofArray(values), address, 8L * count);
        return values;
    }

    double[] doubles(long address, int count) {
        double[] values = new double[count];
        emulator.read(MemorySegment.ofArray(values), address, 8L * count);
        return values;
    }

    short[] shorts(long address, int count) {
        short[] values = new short[count];
        emulator.read(MemorySegment.ofArray(values), address, 2L * count);
        return values;
    }

    @Override
    public void close() {
        emulator.close();
    }
}
