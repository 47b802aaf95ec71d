package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;
import java.util.Arrays;
import java.util.stream.LongStream;

/** Launches of combine.cu, match_deviation.cu and blend.cu. */
public final class Sampling {
    private static final int THREADS = 256;
    /** As match_deviation.cu has it. */
    private static final int THREADS_OF_A_PICTURE = 1024;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Sampling(KernelLibrary library) {
        this.library = library;
    }

    /**
     * For each picture {@code target_i = sum_j factors[i, j] term_j}, in the order of the terms; every term is read before any
     * target is written. A term whose factor is 0 is left out, whatever it holds. The factors are in device memory, so that a
     * recorded launch can be used again.
     *
     * @param targets  addresses of 1 to 8 different arrays {@code float32 [pictures, n]}, which may be among the terms
     * @param terms    addresses of 1 to 16 arrays {@code float32 [pictures, n]}
     * @param factors  address of {@code float32 [1 or pictures, targets, terms]}
     * @param each     whether each picture has factors of its own
     * @param n        values of a picture, at least 1
     * @param pictures 1 to 65535
     * @param stream   where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void combine(long[] targets, long[] terms, long factors, boolean each, long n, int pictures, CudaDriver.Stream stream) {
        Check.range("targets", targets.length, 1, Arguments.MOST_TARGETS);
        Check.range("terms", terms.length, 1, Arguments.MOST_TERMS);
        Check.address("factors", factors, Float.BYTES);
        Check.positive("n", n);
        Check.range("pictures", pictures, 1, 65535);
        for (long target : targets) {
            Check.address("target", target, Float.BYTES);
        }
        for (long term : terms) {
            Check.address("term", term, Float.BYTES);
        }
        Parameters parameters = new Parameters();
        parameters.structure(() -> {
            LongStream.of(Arrays.copyOf(targets, Arguments.MOST_TARGETS)).forEach(parameters::int64);
            LongStream.of(Arrays.copyOf(terms, Arguments.MOST_TERMS)).forEach(parameters::int64);
        });
        long stride = each ? (long) targets.length * terms.length : 0;
        library.driver().launch(library.function("combine", "combine", 0), new Grid(Grid.of(n, THREADS).x(), pictures, 1), THREADS, 0,
                stream, parameters.int32(targets.length).int32(terms.length).int64(factors).int64(stride).int64(n));
    }

    /**
     * Guidance rescale, for each picture {@code target *= amount s(reference) / s(target) + 1 - amount}, s the standard deviation.
     *
     * @param target    address of {@code float32 [pictures, n]}, written over
     * @param reference address of {@code float32 [pictures, n]}, other memory
     * @param amounts   address of {@code float32 [pictures]}; a picture with 0 stays as it is
     * @param n         values of a picture, at least 1
     * @param pictures  1 to 65535
     * @param stream    where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void matchDeviation(long target, long reference, long amounts, long n, int pictures, CudaDriver.Stream stream) {
        Check.address("target", target, Float.BYTES);
        Check.address("reference", reference, Float.BYTES);
        Check.address("amounts", amounts, Float.BYTES);
        Check.positive("n", n);
        Check.range("pictures", pictures, 1, 65535);
        library.driver().launch(library.function("match_deviation", "match_deviation", 0), new Grid(pictures, 1, 1), THREADS_OF_A_PICTURE,
                0, stream, new Parameters().int64(target).int64(reference).int64(amounts).int64(n));
    }

    /**
     * Inpainting, for each picture {@code target = mask target + (1 - mask) other}; 0 and 1 take one's bits.
     *
     * @param target   address of {@code float32 [pictures, pixels, channels]}, written over
     * @param other    address of {@code float32 [pictures, pixels, channels]}, other memory
     * @param mask     address of {@code float32 [1 or pictures, pixels]}
     * @param each     whether each picture has a mask of its own
     * @param pixels   of a picture, at least 1
     * @param channels at least 1; a picture has at most 2147483392 values
     * @param pictures 1 to 65535
     * @param stream   where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void blend(long target, long other, long mask, boolean each, int pixels, int channels, int pictures, CudaDriver.Stream stream) {
        Check.address("target", target, Float.BYTES);
        Check.address("other", other, Float.BYTES);
        Check.address("mask", mask, Float.BYTES);
        Check.positive("channels", channels);
        // So that the last block's numbers are still numbers.
        Check.range("pixels", pixels, 1, (Integer.MAX_VALUE - THREADS + 1) / channels);
        Check.range("pictures", pictures, 1, 65535);
        int n = pixels * channels;
        library.driver().launch(library.function("blend", "blend", 0), new Grid(Grid.of(n, THREADS).x(), pictures, 1), THREADS, 0, stream,
                new Parameters().int64(target).int64(other).int64(mask).int32(each ? pixels : 0).int32(channels).int32(n));
    }
}
