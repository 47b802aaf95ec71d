package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Operators.Padding;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/**
 * Launches of the kernels that work value by value or only move values: geglu.cu, add.cu, upsample.cu, pad.cu, concat.cu and
 * convert.cu. Arrays are of the library's type unless said otherwise; a null stream is the default stream; sizes or addresses
 * that do not fit are {@link IllegalArgumentException}s.
 */
public final class Pointwise {
    private static final int THREADS = 256;
    /** Rows that one thread of geglu.cu and add.cu goes through at most. */
    private static final int MOST_ROWS = 8;
    /** Threads that each multiprocessor has before a thread gets more rows than one. */
    private static final int THREADS_FIRST = 1024;
    /** What one launch of {@link #toActivations} takes. */
    static final int MOST_ARRAYS = 3;
    /** Values that one thread of convert.cu converts. */
    private static final int CONVERTED = 4;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Pointwise(KernelLibrary library) {
        this.library = library;
    }

    /** Rows that a thread goes through where that many chunks of 16 bytes are written: one while multiprocessors would be idle. */
    int rowsPerThread(long chunks) {
        return Math.clamp(chunks / ((long) library.driver().multiprocessors() * THREADS_FIRST), 1, MOST_ROWS);
    }

    private void launch(String operator, String name, long threads, CudaDriver.Stream stream, Parameters parameters) {
        launch(operator, name, threads, 1, stream, parameters);
    }

    private void launch(String operator, String name, long threads, int groups, CudaDriver.Stream stream, Parameters parameters) {
        library.driver().launch(library.function(operator, name, 0), new Grid(Grid.of(threads, THREADS).x(), groups, 1), THREADS, 0,
                stream, parameters);
    }

    /**
     * float32 to the library's type, from several arrays into one.
     *
     * @param x      addresses of 1 to {@link #MOST_ARRAYS} arrays; the same one may come again
     * @param n      values of each, at least 1
     * @param y      address of their values one after the other
     * @param stream where
     */
    public void toActivations(long[] x, long[] n, long y, CudaDriver.Stream stream) {
        Check.range("arrays", x.length, 1, MOST_ARRAYS);
        Parameters parameters = new Parameters();
        long most = 0;
        for (int i = 0; i < MOST_ARRAYS; i++) {
            if (i < x.length) {
                Check.address("x", x[i], Float.BYTES);
                Check.positive("n", n[i]);
                most = Math.max(most, n[i]);
            }
            parameters.int64(i < x.length ? x[i] : 0);
        }
        for (int i = 0; i < MOST_ARRAYS; i++) {
            parameters.int64(i < x.length ? n[i] : 0);
        }
        Check.address("y", y, library.bytes());
        Grid perArray = Grid.of(Math.ceilDiv(most, CONVERTED), THREADS);
        library.driver().launch(library.function("convert", "to_activations", 0), new Grid(perArray.x(), x.length, 1), THREADS, 0,
                stream, parameters.int64(y));
    }

    /** The library's type, which is another one, to float32, n values. */
    public void toFloat(long x, long y, long n, CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.address("y", y, Float.BYTES);
        Check.positive("n", n);
        launch("convert", "to_float", Math.ceilDiv(n, CONVERTED), stream, new Parameters().int64(x).int64(y).int64(n));
    }

    /**
     * {@code y = a gelu(b)}, {@code a} and {@code b} the halves of {@code x + bias}, gelu with the error function.
     *
     * @param x        address of {@code [rows, 2 channels]}: first the values, then the gates
     * @param bias     address of {@code [2 channels]}, or 0
     * @param y        address of {@code [rows, channels]}; must not overlap {@code x}
     * @param rows     at least 1
     * @param channels of the result
     * @param stream   where
     */
    public void geglu(long x, long bias, long y, int rows, int channels, CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.optional("bias", bias, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("rows", rows);
        Check.positive("channels", channels);
        long chunks = Math.ceilDiv(channels, library.chunk());
        geglu(x, bias, y, rows, channels, rowsPerThread(chunks * rows), stream);
    }

    void geglu(long x, long bias, long y, int rows, int channels, int perThread, CudaDriver.Stream stream) {
        long chunks = Math.ceilDiv(channels, library.chunk());
        launch("geglu", "geglu", chunks * Math.ceilDiv(rows, perThread), stream,
                new Parameters().int64(x).int64(bias).int64(y).int32(rows).int32(channels).int32(perThread));
    }

    /**
     * What follows a product: {@code y[r, c] = activation(x[r, c] + bias[c]) + residual[r, c]}.
     *
     * @param x          address of {@code [rows, channels]}
     * @param bias       address of {@code [channels]}, or 0
     * @param activation of the sum of {@code x} and {@code bias}
     * @param residual   address like {@code x}, or 0
     * @param y          address like {@code x}; may be {@code x} or the residual
     * @param rows       at least 1
     * @param channels   at least 1
     * @param stream     where
     */
    public void add(long x, long bias, Activation activation, long residual, long y, int rows, int channels,
                    CudaDriver.Stream stream) {
        add(x, bias, activation, residual, y, 1, rows, channels, stream);
    }

    /**
     * The same for groups of rows, each with a bias of its own.
     *
     * @param x        address of {@code [groups, rows, channels]}, as are {@code residual}, which may be 0, and {@code y}
     * @param biases   address of {@code [groups, channels]}
     * @param residual or 0
     * @param y        may be {@code x} or the residual
     * @param groups   1 to 65535
     * @param rows     at least 1
     * @param channels at least 1
     * @param stream   where
     */
    public void addToEach(long x, long biases, long residual, long y, int groups, int rows, int channels, CudaDriver.Stream stream) {
        Check.range("groups", groups, 1, 65535);
        add(x, biases, Activation.NONE, residual, y, groups, rows, channels, stream);
    }

    private void add(long x, long bias, Activation activation, long residual, long y, int groups, int rows, int channels,
                     CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.optional("bias", bias, library.bytes());
        Check.optional("residual", residual, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("rows", rows);
        Check.positive("channels", channels);
        long chunks = Math.ceilDiv(channels, library.chunk());
        add(x, bias, activation, residual, y, groups, rows, channels, rowsPerThread(chunks * rows * groups), stream);
    }

    void add(long x, long bias, Activation activation, long residual, long y, int groups, int rows, int channels, int perThread,
             CudaDriver.Stream stream) {
        String name = switch (activation) {
            case NONE -> "add";
            case SILU -> "add_silu";
            case QUICK_GELU -> "add_quick_gelu";
            case GELU -> "add_gelu";
        };
        long chunks = Math.ceilDiv(channels, library.chunk());
        launch("add", name, chunks * Math.ceilDiv(rows, perThread), groups, stream,
                new Parameters().int64(x).int64(bias).int64(residual).int64(y).int32(rows).int32(channels).int32(perThread));
    }

    /**
     * Each pixel twice in both directions, without the last row or column where the result shall have an odd size.
     *
     * @param x         address of {@code [images, height, width, channels]}
     * @param y         address of {@code [images, outHeight, outWidth, channels]}
     * @param images    at least 1
     * @param height    of {@code x}
     * @param width     of {@code x}
     * @param outHeight 2 height or 2 height - 1
     * @param outWidth  2 width or 2 width - 1
     * @param channels  at least 1
     * @param stream    where
     */
    public void upsample(long x, long y, int images, int height, int width, int outHeight, int outWidth, int channels,
                         CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("images", images);
        Check.positive("height", height);
        Check.positive("width", width);
        Check.range("height of y", outHeight, 2L * height - 1, 2L * height);
        Check.range("width of y", outWidth, 2L * width - 1, 2L * width);
        Check.positive("channels", channels);
        launch("upsample", "upsample_nearest_2x", pixels(images, height, width) * Math.ceilDiv(channels, library.chunk()),
                stream, new Parameters().int64(x).int64(y).int32(images).int32(height).int32(width).int32(channels)
                        .int32(outHeight).int32(outWidth));
    }

    /**
     * Zeros around pictures.
     *
     * @param x        address of {@code [images, height, width, channels]}
     * @param y        address of {@code [images, height + top + bottom, width + left + right, channels]}
     * @param images   at least 1
     * @param height   of {@code x}
     * @param width    of {@code x}
     * @param channels at least 1
     * @param padding  rows and columns of zeros on each side, each at least 0
     * @param stream   where
     */
    public void pad(long x, long y, int images, int height, int width, int channels, Padding padding,
                    CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("images", images);
        Check.positive("height", height);
        Check.positive("width", width);
        Check.positive("channels", channels);
        Check.range("top", padding.top(), 0, Integer.MAX_VALUE);
        Check.range("left", padding.left(), 0, Integer.MAX_VALUE);
        long outHeight = (long) height + padding.top() + padding.bottom();
        long outWidth = (long) width + padding.left() + padding.right();
        Check.range("height of y", outHeight, (long) height + padding.top(), Integer.MAX_VALUE);
        Check.range("width of y", outWidth, (long) width + padding.left(), Integer.MAX_VALUE);
        launch("pad", "pad", pixels(images, outHeight, outWidth) * Math.ceilDiv(channels, library.chunk()), stream,
                new Parameters().int64(x).int64(y).int32(images).int32(height).int32(width).int32(channels)
                        .int32(padding.top()).int32(padding.left()).int32((int) outHeight).int32((int) outWidth));
    }

    /** Pixels of all images, at most what one launch can have threads. */
    private static long pixels(int images, long height, long width) {
        Check.range("images times height", images * height, 1, Integer.MAX_VALUE);
        Check.range("pixels of all images", images * height * width, 1, Integer.MAX_VALUE);
        return images * height * width;
    }

    /**
     * One part of a concatenation: columns {@code at} to {@code at + channels} of {@code y}.
     *
     * @param x        address of {@code [rows, channels]}
     * @param y        address of {@code [rows, width]}
     * @param rows     at least 1
     * @param channels at least 1
     * @param width    at least {@code at + channels}
     * @param at       at least 0
     * @param stream   where
     */
    public void concat(long x, long y, int rows, int channels, int width, int at, CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("rows", rows);
        Check.range("channels", channels, 1, width);
        Check.range("at", at, 0, width - channels);
        launch("concat", "concat", (long) rows * Math.ceilDiv(channels, library.chunk()), stream,
                new Parameters().int64(x).int64(y).int32(rows).int32(channels).int32(width).int32(at));
    }
}
