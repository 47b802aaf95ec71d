package io.invadapter.kernels.cuda.dnn;

/** One of cuDNN's ways to compute a {@link Dnn.Shape}. Calls go to the stream that {@link Cudnn#use} named last. */
interface Way extends AutoCloseable {
    /** For people. */
    String name();

    long workspaceBytes();

    /** See {@link Dnn.Plan#run}. */
    void run(long x, long w, long bias, long residual, long y, long workspace);

    @Override
    void close();
}
