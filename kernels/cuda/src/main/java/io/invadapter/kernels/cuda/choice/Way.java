package io.invadapter.kernels.cuda.choice;

/** A prepared {@link Candidate}: can be run, any number of times. */
public interface Way extends AutoCloseable {
    /** Scratch memory that it must be given when it runs. */
    long workspaceBytes();

    @Override
    void close();
}
