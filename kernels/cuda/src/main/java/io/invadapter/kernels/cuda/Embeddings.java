package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of timestep_embedding.cu and token_embedding.cu. */
public final class Embeddings {
    private static final int THREADS = 256;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Embeddings(KernelLibrary library) {
        this.library = library;
    }

    /**
     * {@code y[n, i] = cos(t[n] w_i), y[n, dim / 2 + i] = sin(t[n] w_i), w_i = 10000^(-i / (dim / 2))}.
     *
     * @param t      address of {@code float32 [count]}, each at most 100,000
     * @param y      address of {@code float32 [count, dim]}
     * @param count  at least 1
     * @param dim    at least 2; an odd one ends with a zero
     * @param stream where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void timestep(long t, long y, int count, int dim, CudaDriver.Stream stream) {
        Check.address("t", t, 4);
        Check.address("y", y, 4);
        Check.positive("count", count);
        Check.range("dim", dim, 2, Integer.MAX_VALUE - 1);
        library.driver().launch(library.function("timestep_embedding", "timestep_embedding", 0),
                Grid.of((long) count * Math.ceilDiv(dim, 2), THREADS), THREADS, 0, stream,
                new Parameters().int64(t).int64(y).int32(count).int32(dim));
    }

    /**
     * {@code y[b, l] = table[id[b, l]] + position[l]}; an id outside the table gives a row of NaN.
     *
     * @param id         address of {@code int32 [batch, length]}
     * @param table      address of {@code float16 [vocabulary, channels]}
     * @param position   address of {@code float16 [at least length, channels]}
     * @param y          address of {@code float16 [batch, length, channels]}
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
        Check.address("table", table, 2);
        Check.address("position", position, 2);
        Check.address("y", y, 2);
        Check.positive("batch", batch);
        Check.positive("length", length);
        Check.positive("channels", channels);
        Check.positive("vocabulary", vocabulary);
        long rows = (long) batch * length;
        Grid grid = Grid.of(rows * Math.ceilDiv(channels, 8), THREADS);
        library.driver().launch(library.function("token_embedding", "token_embedding", 0), grid, THREADS, 0, stream,
                new Parameters().int64(id).int64(table).int64(position).int64(y).int32((int) rows).int32(length)
                        .int32(channels).int32(vocabulary));
    }
}
