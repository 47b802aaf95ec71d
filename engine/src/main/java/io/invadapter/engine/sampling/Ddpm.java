package io.invadapter.engine.sampling;


/**
 * DDPM (Ho et al. 2020, equation 7): mean and variance of the posterior from one timestep to the next, as diffusers' {@code DDPMScheduler}
 * with {@code variance_type "fixed_small"}.
 */
public record Ddpm() implements Sampler {

    static Sampler of(SamplerOptions options) {
        options.computes("variance_type", "fixed_small", "fixed_small_log");
        return new Ddpm();
    }

    @Override
    public String name() {
        return "DDPM";
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        int[] timesteps = schedule.timesteps(steps);
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 1);
        for (int i = schedule.firstStep(steps, strength); i < steps; i++) {
            double from = schedule.alpha(timesteps[i]);
            double to = i + 1 < steps ? schedule.alpha(timesteps[i + 1]) : 1;
            double beta = 1 - from / to;
            WalkBuilder.Call call = walk.at(timesteps[i], from);
            Linear mean = call.x0().times(Math.sqrt(to) * beta / (1 - from)).plus(Math.sqrt(from / to) * (1 - to) / (1 - from), call.x());
            call.move(to, mean.plus(Math.sqrt((1 - to) / (1 - from) * beta), call.noise()));
        }
        return walk.walk(1);
    }
}
