package io.invadapter.kernels.cuda;

/**
 * One use of the kernels and what must come out of it. It runs on the emulator and on a GPU, with the shipped kernels in the
 * tests and with changed ones in the mutation run.
 *
 * @param name what is computed, with its sizes
 * @param body computes it and throws when the result or the counters are wrong
 */
record KernelCase(String name, Body body) {
    /** The work. */
    @FunctionalInterface
    interface Body {
        void run(Bench bench);
    }

    void run(Bench bench) {
        try {
            body.run(bench);
        } finally {
            bench.clear();
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
