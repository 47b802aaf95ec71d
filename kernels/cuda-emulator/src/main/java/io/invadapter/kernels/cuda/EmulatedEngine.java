package io.invadapter.kernels.cuda;

/**
 * A way that {@link EmulatedDnn} proposes for every shape: how long it pretends to take, and what is wrong with it.
 *
 * @param deviceMicroseconds of a run on a warm chip
 * @param hostMicroseconds   that it takes to start one
 * @param scratchBytes       {@link #BY_WEIGHTS}: as much as the weights, for kernels of more than one pixel
 * @param refusal            why it cannot be prepared, or null
 * @param failure            why it cannot be run, or null
 */
public record EmulatedEngine(String name, long deviceMicroseconds, long hostMicroseconds, long scratchBytes, boolean compiled,
                             boolean lastResort, boolean recordable, boolean addsBias, String refusal, String failure) {
    static final long BY_WEIGHTS = -1;

    /** One with nothing wrong. */
    public static EmulatedEngine of(String name, long deviceMicroseconds, long hostMicroseconds) {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, 0, false, false, true, true, null, null);
    }

    public EmulatedEngine withScratch(long bytes) {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, bytes, compiled, lastResort, recordable, addsBias,
                refusal, failure);
    }

    public EmulatedEngine compiledAtRunTime() {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, scratchBytes, true, lastResort, recordable, addsBias,
                refusal, failure);
    }

    public EmulatedEngine asLastResort() {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, scratchBytes, compiled, true, recordable, addsBias,
                refusal, failure);
    }

    public EmulatedEngine notRecordable() {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, scratchBytes, compiled, lastResort, false, addsBias,
                refusal, failure);
    }

    public EmulatedEngine withoutBias() {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, scratchBytes, compiled, lastResort, recordable, false,
                refusal, failure);
    }

    public EmulatedEngine refusing(String why) {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, scratchBytes, compiled, lastResort, recordable,
                addsBias, why, failure);
    }

    public EmulatedEngine failing(String why) {
        return new EmulatedEngine(name, deviceMicroseconds, hostMicroseconds, scratchBytes, compiled, lastResort, recordable,
                addsBias, refusal, why);
    }
}
