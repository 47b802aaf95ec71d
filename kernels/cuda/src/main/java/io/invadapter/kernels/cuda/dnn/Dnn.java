package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;

/**
 * The convolutions of cuDNN that the engine needs: the seam behind which JCudnn and plain Java (tests) are the same thing.
 * Feature maps are {@code [B, H, W, C]}, weights {@code [out, kernel, kernel, in]}, dense, of one type; sums are float32.
 */
public interface Dnn extends AutoCloseable {

    /**
     * One convolution of one size.
     *
     * @param type     of all operands
     * @param padding  zeros on each side
     * @param residual whether one is added: another plan, for cuDNN compiles the addition in
     */
    record Shape(DataType type, int batch, int height, int width, int inChannels, int outChannels, int kernelHeight,
                 int kernelWidth, int stride, int padding, boolean residual) {
        public int outHeight() {
            return (height + 2 * padding - kernelHeight) / stride + 1;
        }

        public int outWidth() {
            return (width + 2 * padding - kernelWidth) / stride + 1;
        }
    }

    /** A way to compute a {@link Shape}, chosen once. */
    interface Plan {
        /** Scratch memory that {@link #run} must be given. */
        long workspaceBytes();

        /** For people: which of cuDNN's ways, how long it took when it was chosen. */
        String description();

        /**
         * {@code y = conv(x, w) + bias + residual}. May be recorded in a graph.
         *
         * @param x         address of {@code [batch, height, width, inChannels]}, a multiple of 16, as are all others
         * @param w         address of {@code [outChannels, kernelHeight, kernelWidth, inChannels]}
         * @param bias      address of {@code [outChannels]}
         * @param residual  address of y's shape when the shape has one, else 0; not y itself
         * @param y         address of {@code [batch, outHeight, outWidth, outChannels]}
         * @param workspace address of {@link #workspaceBytes()} bytes, or 0 when that is 0
         * @param stream    where
         * @throws io.invadapter.kernels.cuda.driver.CudaException when cuDNN fails, with its status by name
         */
        void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream);
    }

    /** For people: which library, which version. */
    String description();

    /**
     * The fastest way that needs at most {@code workspaceLimit} bytes of scratch memory: the candidates are timed on the
     * device, on memory of their own, and the winner is remembered for the shape. Not while a graph is recorded.
     *
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException      when there is no memory to try them: free some, ask again
     * @throws io.invadapter.kernels.cuda.driver.CudaException when cuDNN has no way, or fails
     */
    Plan plan(Shape shape, long workspaceLimit);

    @Override
    void close();
}
