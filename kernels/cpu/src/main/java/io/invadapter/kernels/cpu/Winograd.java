package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * A 3x3 convolution of stride 1 in float32 by Winograd's F(4x4, 3x3): tiles of 6x6 pixels and the weights are transformed,
 * multiplied as 36 matrices {@code [tiles, in] x [in, out]}, and transformed back to 4x4 pixels. That is a quarter of the
 * direct way's multiplications, for four times its weights.
 *
 * <p>The transforms interpolate at 0, ±3/4, ±3/2 and infinity: less than half the rounding error of the usual 0, ±1, ±2.
 * Each picture of a batch is computed by itself: its result does not depend on the others.
 */
final class Winograd {
    /** Pixels of a tile's side that come out. */
    private static final int OUT = 4;
    /** Pixels of a tile's side that go in. */
    private static final int IN = 6;
    private static final int PRODUCTS = IN * IN;
    /** Transformed tiles, in bytes, up to which a picture is computed in one piece. */
    private static final long PIECE = 48L << 20;
    /** Channels transformed at a time, so that a tile stays in the cache. */
    private static final int CHANNELS = 320;
    /** For which the layout of the weights is chosen. */
    private static final int TYPICAL_TILES = 256;
    /** With fewer tiles reading the weights takes longer than multiplying; with fewer channels the transforms do. */
    private static final int LEAST_TILES = 64;
    private static final int LEAST_CHANNELS = 128;

    private static final float A = 0.75f;
    private static final float B = 1.5f;
    private static final float A2 = A * A;
    private static final float B2 = B * B;
    private static final float A2B2 = A2 * B2;

    private final CpuDevice device;
    private final int inChannels;
    private final int outChannels;
    private final PackedWeights weights;

    /** @param weight address of the weights, float32 {@code [3, 3, in, out]}; not needed afterwards */
    Winograd(CpuDevice device, long weight, int inChannels, int outChannels) {
        this.device = device;
        this.inChannels = inChannels;
        this.outChannels = outChannels;
        NativeMemory memory = device.oneDnn().memory();
        long bytes = (long) PRODUCTS * inChannels * outChannels * Float.BYTES;
        long transformed = memory.allocate(bytes);
        try (Descriptors d = device.oneDnn().descriptors()) {
            device.parallel(inChannels, channel -> transformWeights(weight, channel, transformed));
            dnnl_memory_desc plain = d.rowMajor(DataType.FLOAT32, PRODUCTS, inChannels, outChannels);
            dnnl_memory_desc any = d.any(DataType.FLOAT32, PRODUCTS, inChannels, outChannels);
            weights = new PackedWeights(plain, false, transformed).repack(device, Descriptors.weightsOf(product(d, TYPICAL_TILES, any)));
        } finally {
            memory.free(transformed, bytes);
        }
    }

    /** Whether this way is faster for maps of a size, in each row of a batch by itself. */
    static boolean suits(int height, int width, int inChannels, int outChannels) {
        long tiles = (long) tiles(height) * tiles(width);
        return tiles >= LEAST_TILES && Math.min(inChannels, outChannels) >= LEAST_CHANNELS;
    }

    void free() {
        weights.free(device.oneDnn().memory());
    }

    private static int tiles(int pixels) {
        return (pixels + OUT - 1) / OUT;
    }

    // --- weights ----------------------------------------------------------------------------------------------------

    /** {@code G g G^T} of all filters that read one channel. */
    private void transformWeights(long weight, int channel, long to) {
        float[][] g = new float[9][];
        for (int i = 0; i < 9; i++) {
            g[i] = view(weight + ((long) i * inChannels + channel) * outChannels * Float.BYTES, outChannels)
                    .toArray(ValueLayout.JAVA_FLOAT);
        }
        double[] rows = new double[IN * 3];
        float[][] u = new float[PRODUCTS][outChannels];
        double[] column = new double[IN];
        for (int k = 0; k < outChannels; k++) {
            for (int j = 0; j < 3; j++) {
                filter(g[j][k], g[3 + j][k], g[6 + j][k], column);
                for (int i = 0; i < IN; i++) {
                    rows[i * 3 + j] = column[i];
                }
            }
            for (int i = 0; i < IN; i++) {
                filter(rows[i * 3], rows[i * 3 + 1], rows[i * 3 + 2], column);
                for (int j = 0; j < IN; j++) {
                    u[i * IN + j][k] = (float) column[j];
                }
            }
        }
        for (int i = 0; i < PRODUCTS; i++) {
            store(u[i], to + ((long) i * inChannels + channel) * outChannels * Float.BYTES, outChannels);
        }
    }

    /** {@code G} times one column of a filter. */
    private static void filter(double g0, double g1, double g2, double[] to) {
        double a = 2 * A2 * (A2 - B2);
        double b = 2 * B2 * (B2 - A2);
        double evenA = (g0 + A2 * g2) / a;
        double oddA = A * g1 / a;
        double evenB = (g0 + B2 * g2) / b;
        double oddB = B * g1 / b;
        to[0] = g0 / A2B2;
        to[1] = evenA + oddA;
        to[2] = evenA - oddA;
        to[3] = evenB + oddB;
        to[4] = evenB - oddB;
        to[5] = g2;
    }

    // --- one convolution --------------------------------------------------------------------------------------------

    /** Writes the convolution of {@code x} to {@code y}; {@code bias} is an address. */
    void run(Tensor x, Tensor y, long bias, Tensor residual) {
        int height = x.size(1);
        int width = x.size(2);
        int rows = tiles(height);
        int columns = tiles(width);
        long rowBytes = (long) PRODUCTS * columns * (inChannels + outChannels) * Float.BYTES;
        int pieces = (int) Math.min(rows, (rows * rowBytes + PIECE - 1) / PIECE);
        int pieceRows = (rows + pieces - 1) / pieces;
        float[] shift = view(bias, outChannels).toArray(ValueLayout.JAVA_FLOAT);
        long in = device.workspace(0, (long) PRODUCTS * pieceRows * columns * inChannels * Float.BYTES);
        long out = device.workspace(1, (long) PRODUCTS * pieceRows * columns * outChannels * Float.BYTES);
        for (int picture = 0; picture < x.batch(); picture++) {
            Map from = new Map(x.rows(picture, 1).address(), height, width, inChannels);
            Map to = new Map(y.rows(picture, 1).address(), height, width, outChannels);
            long add = residual == null ? 0 : residual.rows(picture, 1).address();
            for (int first = 0; first < rows; first += pieceRows) {
                int start = first;
                int count = Math.min(pieceRows, rows - first);
                int tiles = count * columns;
                int inParts = parts(inChannels);
                device.parallel(count * inParts, task -> transformRow(from, start + task / inParts, columns,
                        new Part(inChannels, task % inParts, inParts), new Products(in, tiles, task / inParts * columns, inChannels)));
                product(tiles).run(in, weights.stored(), out);
                int outParts = parts(outChannels);
                device.parallel(count * outParts, task -> restoreRow(
                        new Products(out, tiles, task / outParts * columns, outChannels), to, start + task / outParts, columns,
                        new Part(outChannels, task % outParts, outParts), shift, add));
            }
        }
    }

    private Primitive product(int tiles) {
        return device.oneDnn().primitive(List.of("winograd", tiles, inChannels, outChannels), d ->
                new Primitive.Builder(device.oneDnn(), product(d, tiles, weights.layout()))
                        .argument(DNNL_ARG_SRC, d.rowMajor(DataType.FLOAT32, PRODUCTS, tiles, inChannels))
                        .argument(DNNL_ARG_WEIGHTS, weights.layout())
                        .argument(DNNL_ARG_DST, d.rowMajor(DataType.FLOAT32, PRODUCTS, tiles, outChannels))
                        .build());
    }

    private dnnl_primitive_desc product(Descriptors d, int tiles, dnnl_memory_desc layout) {
        dnnl_memory_desc in = d.rowMajor(DataType.FLOAT32, PRODUCTS, tiles, inChannels);
        dnnl_memory_desc out = d.rowMajor(DataType.FLOAT32, PRODUCTS, tiles, outChannels);
        return d.primitive("matrix product of a convolution", DataType.FLOAT32, d.postOps(), (made, engine, attributes) ->
                dnnl_matmul_primitive_desc_create(made, engine, in, layout, null, out, attributes));
    }

    private static int parts(int channels) {
        return (channels + CHANNELS - 1) / CHANNELS;
    }

    /** One of equal parts of the channels. */
    private record Part(int first, int size) {
        Part(int channels, int index, int parts) {
            this(channels * index / parts, channels * (index + 1) / parts - channels * index / parts);
        }
    }

    /** A picture {@code [height, width, channels]}. */
    private record Map(long address, int height, int width, int channels) {
        long at(int row, int column, Part part) {
            return address + (((long) row * width + column) * channels + part.first) * Float.BYTES;
        }
    }

    /** Matrices {@code [36, tiles, channels]}, from one tile on. */
    private record Products(long address, int tiles, int first, int channels) {
        long at(int product, int tile, Part part) {
            return address + (((long) product * tiles + first + tile) * channels + part.first) * Float.BYTES;
        }
    }

    /** {@code B^T d B} of a row of tiles. */
    private static void transformRow(Map from, int row, int columns, Part part, Products to) {
        float[][] pixels = new float[IN][part.size];
        float[][][] strips = new float[IN][IN][part.size];
        float[][] line = new float[IN][part.size];
        float[][] transformed = new float[IN][part.size];
        for (int tile = 0; tile < columns; tile++) {
            int known = 0;
            if (tile > 0) {
                // Neighbouring tiles share two columns of pixels.
                known = IN - OUT;
                for (int j = 0; j < known; j++) {
                    float[][] strip = strips[j];
                    strips[j] = strips[OUT + j];
                    strips[OUT + j] = strip;
                }
            }
            for (int j = known; j < IN; j++) {
                int column = tile * OUT - 1 + j;
                for (int i = 0; i < IN; i++) {
                    int y = row * OUT - 1 + i;
                    if (y < 0 || y >= from.height || column < 0 || column >= from.width) {
                        Arrays.fill(pixels[i], 0);
                    } else {
                        load(from.at(y, column, part), pixels[i], part.size);
                    }
                }
                transform(pixels, strips[j], part.size);
            }
            for (int i = 0; i < IN; i++) {
                for (int j = 0; j < IN; j++) {
                    line[j] = strips[j][i];
                }
                transform(line, transformed, part.size);
                for (int j = 0; j < IN; j++) {
                    store(transformed[j], to.at(i * IN + j, tile, part), part.size);
                }
            }
        }
    }

    /** {@code A^T m A} of a row of tiles, plus bias and residual. */
    private static void restoreRow(Products from, Map to, int row, int columns, Part part, float[] bias, long residual) {
        float[][] products = new float[IN][part.size];
        float[][][] strips = new float[IN][OUT][part.size];
        float[][] line = new float[IN][part.size];
        float[][] restored = new float[OUT][part.size];
        float[] added = new float[part.size];
        float[] shift = Arrays.copyOfRange(bias, part.first, part.first + part.size);
        float[] nothing = new float[part.size];
        for (int tile = 0; tile < columns; tile++) {
            for (int j = 0; j < IN; j++) {
                for (int i = 0; i < IN; i++) {
                    load(from.at(i * IN + j, tile, part), products[i], part.size);
                }
                restore(products, strips[j], nothing, part.size);
            }
            for (int i = 0; i < OUT && row * OUT + i < to.height; i++) {
                for (int j = 0; j < IN; j++) {
                    line[j] = strips[j][i];
                }
                restore(line, restored, shift, part.size);
                for (int j = 0; j < OUT && tile * OUT + j < to.width; j++) {
                    long address = to.at(row * OUT + i, tile * OUT + j, part);
                    if (residual != 0) {
                        load(residual + address - to.address, added, part.size);
                        add(restored[j], added, part.size);
                    }
                    store(restored[j], address, part.size);
                }
            }
        }
    }

    /** {@code B^T} times a column. Separate arrays and one index: that is what the compiler makes vector code of. */
    private static void transform(float[][] from, float[][] to, int n) {
        float[] d0 = from[0];
        float[] d1 = from[1];
        float[] d2 = from[2];
        float[] d3 = from[3];
        float[] d4 = from[4];
        float[] d5 = from[5];
        float[] t0 = to[0];
        float[] t1 = to[1];
        float[] t2 = to[2];
        float[] t3 = to[3];
        float[] t4 = to[4];
        float[] t5 = to[5];
        for (int c = 0; c < n; c++) {
            float evenA = d4[c] - B2 * d2[c];
            float oddA = A * (d3[c] - B2 * d1[c]);
            float evenB = d4[c] - A2 * d2[c];
            float oddB = B * (d3[c] - A2 * d1[c]);
            t0[c] = A2B2 * d0[c] - (A2 + B2) * d2[c] + d4[c];
            t1[c] = evenA + oddA;
            t2[c] = evenA - oddA;
            t3[c] = evenB + oddB;
            t4[c] = evenB - oddB;
            t5[c] = A2B2 * d1[c] - (A2 + B2) * d3[c] + d5[c];
        }
    }

    /** {@code A^T} times a column, plus {@code shift}. */
    private static void restore(float[][] from, float[][] to, float[] shift, int n) {
        float[] m0 = from[0];
        float[] m1 = from[1];
        float[] m2 = from[2];
        float[] m3 = from[3];
        float[] m4 = from[4];
        float[] m5 = from[5];
        float[] t0 = to[0];
        float[] t1 = to[1];
        float[] t2 = to[2];
        float[] t3 = to[3];
        for (int c = 0; c < n; c++) {
            float sumA = m1[c] + m2[c];
            float differenceA = A * (m1[c] - m2[c]);
            float sumB = m3[c] + m4[c];
            float differenceB = B * (m3[c] - m4[c]);
            t0[c] = m0[c] + sumA + sumB + shift[c];
            t1[c] = differenceA + differenceB + shift[c];
            t2[c] = A2 * sumA + B2 * sumB + shift[c];
            t3[c] = A2 * differenceA + B2 * differenceB + m5[c] + shift[c];
        }
    }

    private static void add(float[] to, float[] more, int n) {
        for (int c = 0; c < n; c++) {
            to[c] += more[c];
        }
    }

    private static MemorySegment view(long address, int floats) {
        return NativeMemory.view(address, (long) floats * Float.BYTES);
    }

    private static void load(long address, float[] to, int n) {
        MemorySegment.copy(view(address, n), ValueLayout.JAVA_FLOAT, 0, to, 0, n);
    }

    private static void store(float[] from, long address, int n) {
        MemorySegment.copy(from, 0, view(address, n), ValueLayout.JAVA_FLOAT, 0, n);
    }
}
