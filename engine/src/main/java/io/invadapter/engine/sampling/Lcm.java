package io.invadapter.engine.sampling;

/**
 * Latent consistency models (Luo et al. 2023): every call leads to a picture, which is made noisy again for the next. The timesteps are
 * chosen from those that the model was distilled with, counted back from the noisiest. diffusers: {@code LCMScheduler}.
 *
 * @param originalSteps   timesteps that the model was distilled with
 * @param timestepScaling of the boundary condition
 */
public record Lcm(int originalSteps, double timestepScaling) implements Sampler {
    /** The deviation of pictures that the boundary condition supposes. */
    private static final double SIGMA_DATA = 0.5;

    public Lcm() {
        this(50, 10);
    }

    static Sampler of(SamplerOptions options) {
        return new Lcm(options.integer("original_inference_steps", 50), options.number("timestep_scaling", 10));
    }

    @Override
    public String name() {
        return "LCM";
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        int origin = Math.min(originalSteps, schedule.maxSteps());
        int available = origin - schedule.firstStep(origin, strength);
        schedule.requireSteps(steps, available);
        int[] timesteps = new int[steps];
        for (int j = 0; j < steps; j++) {
            timesteps[j] = (available - j * available / steps) * (schedule.maxSteps() / origin) - 1;
        }
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 1);
        for (int i = 0; i < steps; i++) {
            WalkBuilder.Call call = walk.at(timesteps[i], schedule.alpha(timesteps[i]));
            double t = timestepScaling * timesteps[i];
            double skip = SIGMA_DATA * SIGMA_DATA / (t * t + SIGMA_DATA * SIGMA_DATA);
            double out = t / Math.sqrt(t * t + SIGMA_DATA * SIGMA_DATA);
            Linear picture = call.x0().times(out).plus(skip, call.x());
            if (i == steps - 1) {
                call.move(1, picture);
            } else {
                double to = schedule.alpha(timesteps[i + 1]);
                call.move(to, picture.times(Math.sqrt(to)).plus(Math.sqrt(1 - to), call.noise()));
            }
        }
        return walk.walk(1);
    }
}
