package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/**
 * Launches of the kernels that work value by value or only move values: activation.cu, geglu.cu, add.cu, upsample.cu,
 * concat.cu, convert.cu and picture.cu. Arrays are float16 unless said otherwise; a null stream is the default stream; sizes
 * or addresses that do not fit are {@link IllegalArgumentException}s.
 */
public final class Pointwise {
    private static final int THREADS = 256;
    private static final int CHUNK = 8;
    /** Rows that one thread of geglu.cu and add.cu goes through. */
    private static final int ROWS = 8;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Pointwise(KernelLibrary library) {
        this.library = library;
    }

    private void launch(String operator, String name, long threads, CudaDriver.Stream stream, Parameters parameters) {
        library.driver().launch(library.function(operator, name, 0), Grid.of(threads, THREADS), THREADS, 0, stream,
                parameters);
    }

    private void map(String operator, String name, long x, int xBytes, long y, int yBytes, long n, int perThread,
                     CudaDriver.Stream stream) {
        Check.address("x", x, xBytes);
        Check.address("y", y, yBytes);
        Check.positive("n", n);
        launch(operator, name, Math.ceilDiv(n, perThread), stream, new Parameters().int64(x).int64(y).int64(n));
    }

    /** {@code y = x / (1 + exp(-x))} for n values; y may be x. */
    public void silu(long x, long y, long n, CudaDriver.Stream stream) {
        map("activation", "silu_f16", x, 2, y, 2, n, CHUNK, stream);
    }

    /** {@code y = x / (1 + exp(-1.702 x))} for n values; y may be x. */
    public void quickGelu(long x, long y, long n, CudaDriver.Stream stream) {
        map("activation", "quick_gelu_f16", x, 2, y, 2, n, CHUNK, stream);
    }

    /** float32 to float16, n values. */
    public void floatToHalf(long x, long y, long n, CudaDriver.Stream stream) {
        map("convert", "float_to_half", x, 4, y, 2, n, 4, stream);
    }

    /** float16 to float32, n values. */
    public void halfToFloat(long x, long y, long n, CudaDriver.Stream stream) {
        map("convert", "half_to_float", x, 2, y, 4, n, 4, stream);
    }

    /** Bytes to {@code x / 127.5 - 1}: n values of pictures {@code [height, width, 3]}, which stay in that order. */
    public void pictureToHalf(long x, long y, long n, CudaDriver.Stream stream) {
        map("picture", "picture_to_half", x, 1, y, 2, n, CHUNK, stream);
    }

    /** The way back: {@code 127.5 x + 127.5} rounded, kept within 0 to 255; NaN becomes 0. */
    public void halfToPicture(long x, long y, long n, CudaDriver.Stream stream) {
        map("picture", "half_to_picture", x, 2, y, 1, n, CHUNK, stream);
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
        Check.address("x", x, 2);
        Check.optional("bias", bias, 2);
        Check.address("y", y, 2);
        Check.positive("rows", rows);
        Check.positive("channels", channels);
        long threads = (long) Math.ceilDiv(channels, CHUNK) * Math.ceilDiv(rows, ROWS);
        launch("geglu", "geglu", threads, stream,
                new Parameters().int64(x).int64(bias).int64(y).int32(rows).int32(channels));
    }

    /**
     * {@code y[n, p, c] = x[n, p, c] + bias[c] + time[n, c] + residual[n, p, c]}.
     *
     * @param x        address of {@code [images, pixels, channels]}
     * @param bias     address of {@code [channels]}, or 0
     * @param time     address of {@code [images, channels]}, or 0
     * @param residual address like {@code x}, or 0
     * @param y        address like {@code x}; may be {@code x} or the residual
     * @param images   at least 1
     * @param pixels   at least 1; rows that share one row of {@code time}
     * @param channels at least 1
     * @param stream   where
     */
    public void add(long x, long bias, long time, long residual, long y, int images, int pixels, int channels,
                    CudaDriver.Stream stream) {
        Check.address("x", x, 2);
        Check.optional("bias", bias, 2);
        Check.optional("time", time, 2);
        Check.optional("residual", residual, 2);
        Check.address("y", y, 2);
        Check.positive("images", images);
        Check.positive("pixels", pixels);
        Check.positive("channels", channels);
        long threads = (long) Math.ceilDiv(channels, CHUNK) * Math.ceilDiv(pixels, ROWS) * images;
        launch("add", "add_f16", threads, stream, new Parameters().int64(x).int64(bias).int64(time).int64(residual)
                .int64(y).int32(images).int32(pixels).int32(channels));
    }

    /**
     * Each pixel twice in both directions.
     *
     * @param x        address of {@code [images, height, width, channels]}
     * @param y        address of {@code [images, 2 height, 2 width, channels]}
     * @param images   at least 1
     * @param height   of {@code x}
     * @param width    of {@code x}
     * @param channels at least 1
     * @param stream   where
     */
    public void upsample(long x, long y, int images, int height, int width, int channels, CudaDriver.Stream stream) {
        Check.address("x", x, 2);
        Check.address("y", y, 2);
        Check.positive("images", images);
        Check.positive("height", height);
        Check.positive("width", width);
        Check.positive("channels", channels);
        long rows = (long) images * height;
        Check.range("images times height", rows, 1, Integer.MAX_VALUE);
        launch("upsample", "upsample_nearest_2x", rows * width * Math.ceilDiv(channels, CHUNK), stream,
                new Parameters().int64(x).int64(y).int32((int) rows).int32(width).int32(channels));
    }

    /**
     * Rows of {@code a} continued by those of {@code b}.
     *
     * @param a         address of {@code [rows, channelsA]}
     * @param b         address of {@code [rows, channelsB]}
     * @param y         address of {@code [rows, channelsA + channelsB]}
     * @param rows      at least 1
     * @param channelsA at least 1
     * @param channelsB at least 1
     * @param stream    where
     */
    public void concat(long a, long b, long y, int rows, int channelsA, int channelsB, CudaDriver.Stream stream) {
        Check.address("a", a, 2);
        Check.address("b", b, 2);
        Check.address("y", y, 2);
        Check.positive("rows", rows);
        Check.positive("channels of a", channelsA);
        Check.positive("channels of b", channelsB);
        long chunks = Math.ceilDiv(channelsA, CHUNK) + Math.ceilDiv(channelsB, CHUNK);
        launch("concat", "concat_channels", rows * chunks, stream, new Parameters().int64(a).int64(b).int64(y)
                .int32(rows).int32(channelsA).int32(channelsB));
    }
}
