package io.invadapter.engine.sampling;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.sampling.NoiseSchedule.Spacing;
import java.util.Arrays;

/**
 * The timesteps and noise levels {@code sigma = noise / signal} of a sampler that thinks in these, descending to 0, as diffusers makes them.
 * There are two kinds: k-diffusion's, whose timesteps may be fractions, and the multistep samplers', which divide the way into one
 * part more and go the last of them in one step to 0.
 */
final class NoiseLevels {
    private final double[] timesteps;
    private final double[] sigmas;
    private final int first;
    private final double startScale;

    private NoiseLevels(double[] timesteps, double[] sigmas, int first, double startScale) {
        this.timesteps = timesteps;
        this.sigmas = sigmas;
        this.first = first;
        this.startScale = startScale;
    }

    /**
     * k-diffusion's; karras and exponential levels lie between the first and the last of the evenly spaced timesteps.
     *
     * @param whole whether the timesteps of karras levels are rounded, as the DPM2 samplers do
     */
    static NoiseLevels kDiffusion(NoiseSchedule schedule, int steps, double strength, Sigmas kind, boolean whole) {
        schedule.requireSteps(steps, schedule.maxSteps());
        Spacing spacing = schedule.spacing(Spacing.LINSPACE);
        double[] timesteps = spacing.timesteps(schedule.maxSteps(), steps, steps);
        double[] sigmas = new double[steps];
        for (int i = 0; i < steps; i++) {
            sigmas[i] = schedule.sigma(timesteps[i]);
        }
        if (kind != Sigmas.NORMAL) {
            sigmas = kind.between(sigmas[0], sigmas[steps - 1], steps);
            timesteps = timesteps(schedule, sigmas, whole && kind == Sigmas.KARRAS);
        }
        double top = sigmas[0];
        double startScale = spacing == Spacing.LEADING ? 1 : top / Math.sqrt(top * top + 1);
        return new NoiseLevels(timesteps, withEnd(sigmas, 0), schedule.firstStep(steps, strength), startScale);
    }

    /** The multistep samplers'; karras and exponential levels lie between the first and the last of the whole schedule. */
    static NoiseLevels multistep(NoiseSchedule schedule, int steps, double strength, Sigmas kind) {
        return multistep(schedule, steps, strength, kind, schedule.spacing(Spacing.LINSPACE), 0);
    }

    /** @param end the level behind the last step */
    static NoiseLevels multistep(NoiseSchedule schedule, int steps, double strength, Sigmas kind, Spacing spacing, double end) {
        schedule.requireSteps(steps, schedule.maxSteps());
        double[] timesteps;
        double[] sigmas = new double[steps];
        if (kind == Sigmas.NORMAL) {
            timesteps = spacing.timesteps(schedule.maxSteps(), steps, steps + 1);
            for (int i = 0; i < steps; i++) {
                timesteps[i] = Math.rint(timesteps[i]);
                sigmas[i] = schedule.sigma(timesteps[i]);
            }
        } else {
            sigmas = kind.between(schedule.sigma(schedule.maxSteps() - 1), schedule.sigma(0), steps);
            timesteps = timesteps(schedule, sigmas, kind == Sigmas.KARRAS);
            // diffusers cuts what it does not round, and in its float32 the last timestep falls just short of itself.
            for (int i = 0; i < steps && kind == Sigmas.EXPONENTIAL; i++) {
                timesteps[i] = Math.floor(Math.max(0, timesteps[i] - 1e-6));
            }
        }
        return new NoiseLevels(timesteps, withEnd(sigmas, end), schedule.firstStep(steps, strength), 1);
    }

    private static double[] timesteps(NoiseSchedule schedule, double[] sigmas, boolean whole) {
        double[] timesteps = new double[sigmas.length];
        for (int i = 0; i < sigmas.length; i++) {
            double timestep = schedule.timestepOf(sigmas[i]);
            timesteps[i] = whole ? Math.rint(timestep) : timestep;
        }
        return timesteps;
    }

    private static double[] withEnd(double[] sigmas, double end) {
        double[] all = Arrays.copyOf(sigmas, sigmas.length + 1);
        all[sigmas.length] = end;
        return all;
    }

    /**
     * For samplers that divide by the difference of two levels: with about as many steps as there are timesteps some are rounded to the
     * same one.
     *
     * @throws InvalidRequestException when two of the steps to run are at the same level
     */
    NoiseLevels distinct() {
        for (int i = first + 1; i < timesteps.length; i++) {
            if (sigmas[i] == sigmas[i - 1]) {
                throw new InvalidRequestException("with " + timesteps.length + " steps this sampler comes to the same noise twice; expected fewer");
            }
        }
        return this;
    }

    /** The first step to run. */
    int first() {
        return first;
    }

    double timestep(int step) {
        return timesteps[step];
    }

    /** What step number {@code step} leaves; of number {@code steps} what the last one reaches. */
    double sigma(int step) {
        return sigmas[step];
    }

    /** See {@link Walk}. */
    double startScale() {
        return startScale;
    }

    /** Alpha-bar of a noise level. */
    static double alpha(double sigma) {
        return 1 / (sigma * sigma + 1);
    }

    /** Of latents in the network's own scale. */
    double signal(int step) {
        return Math.sqrt(alpha(sigmas[step]));
    }

    /** Of latents in the network's own scale. */
    double noise(int step) {
        return sigmas[step] * signal(step);
    }

    /** {@code log(signal / noise)}; infinite at the end. */
    double lambda(int step) {
        return -Math.log(sigmas[step]);
    }

    /**
     * How an ancestral step goes from one level to another: deterministically to {@code down}, then noise of {@code up} is added.
     */
    record Ancestral(double up, double down) {
        static Ancestral of(double from, double to) {
            double up = Math.min(to, Math.sqrt(to * to * (from * from - to * to) / (from * from)));
            return new Ancestral(up, Math.sqrt(to * to - up * up));
        }
    }
}
