package io.invadapter.kernels.cuda;

/**
 * Time on {@link EmulatorDriver}: made up and the same on every run, so that choosing by time can be tested. The host gives work
 * to streams, which takes it some time for each piece; a stream starts a piece when it has been given and the one before is done;
 * a graph costs the host once, whatever is in it. A chip that had nothing to do runs at half its speed until it has been busy for
 * a while.
 */
final class EmulatedClock {
    private static final long GRAPH_HOST_NANOS = 5_000;
    /** Between two pieces of a graph. */
    private static final long GAP_NANOS = 1_000;
    private static final long IDLE_NANOS = 20_000;
    private static final long WARM_UP_NANOS = 4_000_000;

    private long host;
    private long lastEnd = -IDLE_NANOS - 1;
    private long busy;

    /** When a piece given now, one by one, is done by a stream that is busy until {@code end}. */
    long eager(long end, EmulatedWork work) {
        host += work.hostNanos();
        return place(Math.max(end, host), work.deviceNanos());
    }

    void startGraph() {
        host += GRAPH_HOST_NANOS;
    }

    /** The same of a piece of the graph that was started. */
    long replayed(long end, EmulatedWork work) {
        return place(Math.max(end, host) + GAP_NANOS, work.deviceNanos());
    }

    private long place(long start, long nanos) {
        if (start - lastEnd > IDLE_NANOS) {
            busy = 0;
        }
        long taken = busy < WARM_UP_NANOS ? 2 * nanos : nanos;
        busy += taken;
        lastEnd = Math.max(lastEnd, start + taken);
        return start + taken;
    }

    /** The host does something that no stream waits for. */
    void hostWorks(long nanos) {
        host += nanos;
    }

    /** The host waits for a moment on the device. */
    void waitUntil(long moment) {
        host = Math.max(host, moment);
    }

    /** When a mark is passed that is set now in a stream that is busy until {@code end}. */
    long mark(long end) {
        return Math.max(end, host);
    }
}
