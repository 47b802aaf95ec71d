package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of timestep_embedding.cu and token_embedding.cu. Arrays are of the library's type unless said otherwise. */
public final class Embeddings {
    private static final int THREADS = 256;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Embeddings(KernelLibrary library) {
        this.library = library;
    }

    /**
     * {@code y[n, i] = cos(t[n] w_i), y[n, half + i] = sin(t[n] w_i)} with {@code half = dim / 2} and
     * {@code w_i = exp(-ln(10000) i / (half - frequencyShift))}, rounded to float32 where the reference does it.
     *
     * @param t              address of {@code float32 [count]}, each at most 100,000
     * @param y              address of {@code [count, dim]}
     * @param count          at least 1
     * @param dim            at least 2; an odd one ends with a zero
     * @param flipSinToCos   whether cosines come first, otherwise sines
     * @param frequencyShift 0 to 1 and less than half
     * @param stream         where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void timestep(long t, long y, int count, int dim, boolean flipSinToCos, float frequencyShift,
                         CudaDriver.Stream stream) {
        Check.address("t", t, 4);
        Check.address("y", y, library.bytes());
        Check.positive("count", count);
        Check.range("dim", dim, 2, Integer.MAX_VALUE - 1);
        if (!(frequencyShift >= 0 && frequencyShift <= 1 && frequencyShift < dim / 2)) {
            throw Check.wrong("frequency shift", frequencyShift, "0 to 1 and less than half of " + dim);
        }
        library.driver().launch(library.function("timestep_embedding", "timestep_embedding", 0),
                Grid.of((long) count * Math.ceilDiv(dim, 2), THREADS), THREADS, 0, stream,
                new Parameters().int64(t).int64(y).int32(count).int32(dim).int32(flipSinToCos ? 1 : 0)
                        .float32(frequencyShift));
    }

    /**
     * {@code y[b, l] = table[id[b, l]] + position[l]}; an id outside the table gives a row of NaN.
     *
     * @param id         address of {@code int32 [batch, length]}
     * @param table      address of {@code [vocabulary, channels]}
     * @param position   address of {@code [at least length, channels]}
     * @param y          address of {@code [batch, length, channels]}
     * @param batch      at least 1
     * @param length     at least 1
     * @param channels   at least 1
     * @param vocabulary at least 1
     * @param stream     where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void tokens(long id, long table, long position, long y, int batch, int length, int channels, int vocabulary,
                       CudaDriver.Stream stream) {
        Check.address("id", id, 4);
        Check.address("table", table, library.bytes());
        Check.address("position", position, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("batch", batch);
        Check.positive("length", length);
        Check.positive("channels", channels);
        Check.positive("vocabulary", vocabulary);
        long rows = (long) batch * length;
        Grid grid = Grid.of(rows * Math.ceilDiv(channels, library.chunk()), THREADS);
        library.driver().launch(library.function("token_embedding", "token_embedding", 0), grid, THREADS, 0, stream,
                new Parameters().int64(id).int64(table).int64(position).int64(y).int32((int) rows).int32(length)
                        .int32(channels).int32(vocabulary));
    }
}
