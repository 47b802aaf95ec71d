package io.invadapter.engine.sampling;

import io.invadapter.engine.sampling.NoiseSchedule.Spacing;

/**
 * DEIS (Zhang and Chen 2023) of order 2 on the noise, in log sigma. It ends at the level of the first timestep instead of at no noise; the
 * first step and, with fewer than 15 of them, the last are of order 1. diffusers: {@code DEISMultistepScheduler}.
 */
public record Deis(Sigmas sigmas) implements Sampler {
    private static final int FEW_STEPS = 15;

    static Sampler of(SamplerOptions options) {
        options.computes("solver_order", 2);
        options.computes("lower_order_final", true);
        return new Deis(options.sigmas());
    }

    @Override
    public String name() {
        return "DEIS" + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.multistep(schedule, steps, strength, sigmas, schedule.spacing(Spacing.LINSPACE), schedule.sigma(0)).distinct();
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 2);
        for (int i = levels.first(); i < steps; i++) {
            WalkBuilder.Call call = walk.at(levels.timestep(i), NoiseLevels.alpha(levels.sigma(i)));
            double s = levels.sigma(i);
            double to = levels.sigma(i + 1);
            Linear x = call.x().over(levels.signal(i));
            if (i == levels.first() || i == steps - 1 && steps < FEW_STEPS) {
                x = x.plus(to - s, call.eps());
            } else {
                double before = levels.sigma(i - 1);
                x = x.plus(integral(to, s, before) - integral(s, s, before), call.eps())
                        .plus(integral(to, before, s) - integral(s, before, s), call.remembered(1));
            }
            call.move(NoiseLevels.alpha(to), x.times(levels.signal(i + 1)), call.eps());
        }
        return walk.walk(levels.startScale());
    }

    /** Of the line in log sigma that is 1 at {@code one} and 0 at {@code zero}, at {@code t}. */
    private static double integral(double t, double one, double zero) {
        return t * (Math.log(t / zero) - 1) / Math.log(one / zero);
    }
}
