package io.invadapter.kernels.cuda.dnn;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;
import java.util.Optional;

/**
 * The convolutions and attention of cuDNN that the engine needs: the seam behind which JCudnn and plain Java (tests) are the same
 * thing. Feature maps are {@code [B, H, W, C]}, weights {@code [out, kernel, kernel, in]}, dense, of one type; sums are float32.
 */
public interface Dnn extends AutoCloseable {

    /**
     * One convolution of one size.
     *
     * @param type     of all operands
     * @param padding  zeros on each side
     * @param residual whether one is added: other plans, for cuDNN compiles the addition in
     */
    record Shape(DataType type, int batch, int height, int width, int inChannels, int outChannels, int kernelHeight,
                 int kernelWidth, int stride, int padding, boolean residual) {
        public int outHeight() {
            return (height + 2 * padding - kernelHeight) / stride + 1;
        }

        public int outWidth() {
            return (width + 2 * padding - kernelWidth) / stride + 1;
        }

        /** The same convolution of that many pictures. */
        public Shape withBatch(int rows) {
            return new Shape(type, rows, height, width, inChannels, outChannels, kernelHeight, kernelWidth, stride, padding,
                    residual);
        }

        /** For people, and the same in every process. */
        @Override
        public String toString() {
            return "convolution of " + type + " [" + batch + ", " + height + ", " + width + ", " + inChannels + "] to "
                    + outChannels + " channels, kernel " + kernelHeight + " x " + kernelWidth + ", stride " + stride + ", padding "
                    + padding + (residual ? ", with residual" : "");
        }
    }

    /** A way to compute a {@link Shape}. */
    interface Plan extends Way {
        /** Whether {@link #run} adds the bias; if not, it is added to y afterwards. */
        boolean addsBias();

        /**
         * {@code y = conv(x, w) + bias + residual}, or without the bias. May be recorded in a graph, unless the library cannot.
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

    /**
     * Places of the values of an array {@code [batch, tokens, heads, head size]}, counted in values; those of one head are
     * neighbours.
     */
    record Strides(long batch, long token, long head) {
        @Override
        public String toString() {
            return batch + " " + token + " " + head;
        }
    }

    /**
     * Attention of one size without a mask, {@code out = softmax(scale q k^T) v} for each batch row and head.
     *
     * @param type     of all operands, of 16 bits; products are summed and softmax computed in float32
     * @param queries  tokens of q and out
     * @param keys     tokens of k and v
     * @param headSize a multiple of 8
     * @param q        where q lies; all strides are multiples of 8
     */
    record AttentionShape(DataType type, int batch, int heads, int queries, int keys, int headSize, float scale, Strides q,
                          Strides k, Strides v, Strides out) {
        /** For people, and the same in every process. */
        @Override
        public String toString() {
            return "attention of " + type + ", " + batch + " x " + heads + " heads of " + headSize + ", " + queries + " queries, "
                    + keys + " keys, strides " + q + ", " + k + ", " + v + ", " + out;
        }
    }

    /** A way to compute an {@link AttentionShape}. */
    interface AttentionPlan extends Way {
        /**
         * May be recorded in a graph, unless the library cannot.
         *
         * @param q         address, a multiple of 16, as are all others
         * @param out       overlaps no other
         * @param workspace address of {@link #workspaceBytes()} bytes, or 0 when that is 0
         * @param stream    where
         * @throws io.invadapter.kernels.cuda.driver.CudaException when cuDNN fails, with its status by name
         */
        void run(long q, long k, long v, long out, long workspace, CudaDriver.Stream stream);
    }

    /**
     * What cuDNN proposes for a shape. Plans that were prepared from it outlive it.
     *
     * @param <W> the plans
     */
    interface Proposals<W extends Way> extends AutoCloseable {
        /** The most promising first; those that cuDNN refuses at once are among them and say so when they are prepared. */
        List<Candidate<W>> candidates();

        /**
         * The candidate of that name, proposed or not: for a shape that differs in its batch alone cuDNN proposes others. Empty
         * when there is no such engine, or none with these settings.
         */
        default Optional<Candidate<W>> named(String name) {
            return candidates().stream().filter(candidate -> candidate.name().equals(name)).findFirst();
        }

        @Override
        void close();
    }

    /** For people: which library, which version. */
    String description();

    /** Asks for the ways of a shape; prepares none, needs no memory of the device. */
    Proposals<Plan> propose(Shape shape);

    /** The same for attention. */
    Proposals<AttentionPlan> propose(AttentionShape shape);

    @Override
    void close();
}
