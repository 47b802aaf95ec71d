package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of ddim_step.cu. */
public final class Sampling {
    private static final int THREADS = 256;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Sampling(KernelLibrary library) {
        this.library = library;
    }

    /** The number format of the model's prediction. */
    public enum Precision {
        /** float16. */
        HALF("ddim_step_f16", 2),
        /** float32. */
        FLOAT("ddim_step_f32", 4);

        private final String kernel;
        private final int bytes;

        Precision(String kernel, int bytes) {
            this.kernel = kernel;
            this.bytes = bytes;
        }
    }

    /**
     * The two factors of a deterministic step, {@code y = latent x + noise eps}, computed in float64.
     *
     * @param latent what the latent is multiplied with
     * @param noise  what the prediction is multiplied with
     */
    public record Coefficients(float latent, float noise) {
        /**
         * Of the step between two values of alpha-bar: downwards in time when sampling, upwards when inverting.
         *
         * @param from alpha-bar where the latent is, above 0 and at most 1
         * @param to   alpha-bar where it shall be, above 0 and at most 1
         * @throws IllegalArgumentException when one is outside
         */
        public static Coefficients of(double from, double to) {
            if (!(from > 0 && from <= 1)) {
                throw Check.wrong("from", from, "above 0 and at most 1");
            }
            if (!(to > 0 && to <= 1)) {
                throw Check.wrong("to", to, "above 0 and at most 1");
            }
            return new Coefficients((float) Math.sqrt(to / from),
                    (float) (Math.sqrt(1 - to) - Math.sqrt(to * (1 - from) / from)));
        }
    }

    /**
     * {@code eps = negative + guidance (prompt - negative)}, then {@code y = latent x + noise eps}.
     *
     * @param x            address of {@code float32 [n]}
     * @param negative     address of the prediction without the prompt, or 0 for {@code eps = prompt}
     * @param prompt       address of the prediction
     * @param precision    of both predictions
     * @param y            address of {@code float32 [n]}; may be {@code x}
     * @param half         address of {@code float16 [n]} for a second copy of y, or 0
     * @param n            at least 1
     * @param guidance     finite
     * @param coefficients of the step
     * @param stream       where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void ddimStep(long x, long negative, long prompt, Precision precision, long y, long half, long n,
                         float guidance, Coefficients coefficients, CudaDriver.Stream stream) {
        Check.address("x", x, 4);
        Check.optional("negative", negative, precision.bytes);
        Check.address("prompt", prompt, precision.bytes);
        Check.address("y", y, 4);
        Check.optional("half", half, 2);
        Check.positive("n", n);
        Check.finite("guidance", guidance);
        Check.finite("latent coefficient", coefficients.latent);
        Check.finite("noise coefficient", coefficients.noise);
        library.driver().launch(library.function("ddim_step", precision.kernel, 0), Grid.of(Math.ceilDiv(n, 4), THREADS),
                THREADS, 0, stream, new Parameters().int64(x).int64(negative).int64(prompt).int64(y).int64(half).int64(n)
                        .float32(guidance).float32(coefficients.latent).float32(coefficients.noise));
    }
}
