package io.invadapter.kernels.cuda;

/**
 * Work for a stream of {@link EmulatorDriver}, and the time that it pretends to take.
 *
 * @param deviceNanos on a warm chip
 * @param hostNanos   that the host needs to give it to a stream; nothing when it is replayed in a graph
 */
record EmulatedWork(Runnable run, long deviceNanos, long hostNanos) {
}
