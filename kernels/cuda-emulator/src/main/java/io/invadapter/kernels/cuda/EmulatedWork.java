package io.invadapter.kernels.cuda;

/**
 * Work for a stream of {@link EmulatorDriver}, and the time that it pretends to take.
 *
 * @param name        a kernel's, or what a library was asked for
 * @param deviceNanos on a warm chip
 * @param hostNanos   that the host needs to give it to a stream; nothing when it is replayed in a graph
 */
record EmulatedWork(String name, Runnable run, long deviceNanos, long hostNanos) {
}
