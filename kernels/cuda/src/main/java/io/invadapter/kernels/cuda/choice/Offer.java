package io.invadapter.kernels.cuda.choice;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.Optional;
import java.util.stream.StreamSupport;

/**
 * One piece of work, and the candidates for it.
 *
 * @param <W> the ways that compute it
 */
public interface Offer<W extends Way> {

    /** Memory of its own to run ways on. */
    interface Trial<W extends Way> extends AutoCloseable {
        /** Gives one run to a stream. */
        void run(W way, long workspace, CudaDriver.Stream stream);

        @Override
        void close();
    }

    /** What is computed, in which type and sizes: the same in every process. No tabs, one line. */
    String key();

    /** The key of work that is much the same, whose choice is taken over while this one has none of its own; perhaps the same. */
    default String model() {
        return key();
    }

    /** The candidate of that name; it may be none of {@link #candidates}. */
    default Optional<? extends Candidate<W>> named(String name) {
        return StreamSupport.stream(candidates().spliterator(), false).filter(candidate -> candidate.name().equals(name)).findFirst();
    }

    /** In library's order, the most promising first; asked one after the other, for each may take the library some time. */
    Iterable<? extends Candidate<W>> candidates();

    /**
     * Memory to try ways on.
     *
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException when there is not that much left
     */
    Trial<W> trial();
}
