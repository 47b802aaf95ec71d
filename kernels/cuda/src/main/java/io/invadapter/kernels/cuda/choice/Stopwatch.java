package io.invadapter.kernels.cuda.choice;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.Arrays;

/**
 * Measures work as it will be used: recorded in a graph, so that what the host does between the kernels counts for nothing, on a
 * chip that has been busy for some milliseconds, so that its clocks are up.
 */
public final class Stopwatch {
    /** In one graph; fewer of runs that are long, where that many would only take time. */
    private static final int RUNS = 10;
    private static final double GRAPH_MILLISECONDS = 20;
    /** A run that takes as long is alone in its graph, and the first one has warmed the chip up for the next. */
    private static final double LONG_MILLISECONDS = 5;
    private static final double WARM_UP_MILLISECONDS = 5;
    /** A sample is at least that long, or the start of a graph would weigh in it. */
    private static final double SAMPLE_MILLISECONDS = 1;
    private static final int MOST_REPLAYS = 1000;
    /** Stable: as many of the samples as {@link #AGREEING}, the least ones, are that near to each other. */
    private static final double STABLE = 0.02;
    private static final int AGREEING = 3;
    private static final int MOST_SAMPLES = 20;
    /** All samples together; beyond it three are enough, however far from each other. */
    private static final double MOST_MILLISECONDS = 200;

    private final CudaDriver driver;
    private final CudaDriver.Stream stream;

    /** @param stream not the default stream; where work is run and recorded */
    public Stopwatch(CudaDriver driver, CudaDriver.Stream stream) {
        this.driver = driver;
        this.stream = stream;
    }

    /**
     * @param microseconds of one run
     * @param recordable   false when the work cannot be recorded: then its runs were given one by one, host work included; true
     *                     as far as known when it was given up
     */
    public record Reading(double microseconds, boolean recordable) {
    }

    /** The same, however long it takes. */
    public Reading time(Runnable work) {
        return time(work, Double.POSITIVE_INFINITY);
    }

    /**
     * Times it, in about 10 ms or 20 runs, whichever is longer.
     *
     * @param work   gives one run to this watch's stream; always the same
     * @param enough in microseconds: work that is long and longer than that is given up after one run, whose time is then read
     * @throws CudaException              when it fails
     * @throws OutOfDeviceMemoryException when it, or its graph, finds no memory
     */
    public Reading time(Runnable work, double enough) {
        try (CudaDriver.Event start = driver.newEvent(); CudaDriver.Event end = driver.newEvent()) {
            // The first run loads what it needs, which cannot be recorded; and shows whether it works at all.
            work.run();
            stream.synchronize();
            double first = milliseconds(work, 1, start, end);
            if (first >= LONG_MILLISECONDS && first * 1000 > enough) {
                return new Reading(first * 1000, true);
            }
            int runs = first >= LONG_MILLISECONDS ? 1 : (int) Math.clamp(GRAPH_MILLISECONDS / first, 1, RUNS);
            Runnable all = () -> {
                for (int i = 0; i < runs; i++) {
                    work.run();
                }
            };
            try (CudaDriver.Graph graph = record(all, runs)) {
                Runnable replay = graph == null ? all : () -> graph.launch(stream);
                return new Reading(sample(replay, start, end) * 1000 / runs, graph != null);
            }
        }
    }

    /** Null when that cannot be recorded: refused, or not all in the graph, for some of it went elsewhere. */
    private CudaDriver.Graph record(Runnable work, int leastNodes) {
        try {
            CudaDriver.Graph graph = driver.record(stream, work);
            if (graph.nodes() >= leastNodes) {
                return graph;
            }
            graph.close();
            return null;
        } catch (CudaException e) {
            // Throws when the device is lost: then there is nothing to go on with.
            driver.synchronize();
            return null;
        }
    }

    /** Milliseconds of one replay. */
    private double sample(Runnable replay, CudaDriver.Event start, CudaDriver.Event end) {
        double one = milliseconds(replay, 1, start, end);
        int replays = (int) Math.clamp(Math.ceil(SAMPLE_MILLISECONDS / one), 1, MOST_REPLAYS);
        for (double warm = one; warm < WARM_UP_MILLISECONDS; warm += one * replays) {
            one = milliseconds(replay, replays, start, end);
        }
        double[] samples = new double[MOST_SAMPLES];
        double spent = 0;
        for (int count = 1; ; count++) {
            samples[count - 1] = milliseconds(replay, replays, start, end);
            spent += samples[count - 1] * replays;
            Arrays.sort(samples, 0, count);
            if (count == MOST_SAMPLES || count >= AGREEING
                    && (spent > MOST_MILLISECONDS || samples[AGREEING - 1] <= samples[0] * (1 + STABLE))) {
                return samples[0];
            }
        }
    }

    private double milliseconds(Runnable replay, int replays, CudaDriver.Event start, CudaDriver.Event end) {
        start.record(stream);
        for (int i = 0; i < replays; i++) {
            replay.run();
        }
        end.record(stream);
        // An event's resolution is half a microsecond.
        return Math.max(end.millisecondsSince(start), 5e-4) / replays;
    }
}
