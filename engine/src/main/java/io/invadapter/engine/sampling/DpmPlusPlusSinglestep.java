package io.invadapter.engine.sampling;

import io.invadapter.engine.sampling.NoiseSchedule.Spacing;

/**
 * DPM-Solver++ 2S (Lu et al. 2022, algorithm 1), one call a step: steps alternate between order 1 and order 2 over both; an even number of
 * them ends with two of order 1. diffusers: {@code DPMSolverSinglestepScheduler}, which knows timesteps in the spacing linspace alone.
 */
public record DpmPlusPlusSinglestep(Sigmas sigmas) implements Sampler {

    static Sampler of(SamplerOptions options) {
        options.computes("algorithm_type", "dpmsolver++");
        options.computes("solver_type", "midpoint", "logrho", "bh1", "bh2");
        options.computes("solver_order", 2);
        options.computes("final_sigmas_type", "zero");
        options.computes("lambda_min_clipped", Double.NEGATIVE_INFINITY);
        return new DpmPlusPlusSinglestep(options.sigmas());
    }

    @Override
    public String name() {
        return "DPM++ 2S" + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.multistep(schedule, steps, strength, sigmas, Spacing.LINSPACE, 0);
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 3);
        for (int i = levels.first(); i < steps; i++) {
            WalkBuilder.Call call = walk.at(levels.timestep(i), NoiseLevels.alpha(levels.sigma(i)));
            double to = NoiseLevels.alpha(levels.sigma(i + 1));
            double signal = levels.signal(i + 1);
            double noise = levels.noise(i + 1);
            Linear m0 = call.x0();
            boolean second = i % 2 == 1 && i != steps - 1 && i > levels.first();
            if (second) {
                Linear begin = call.remembered(1);
                Linear m1 = call.remembered(2);
                double h = levels.lambda(i + 1) - levels.lambda(i - 1);
                Linear m = m1.plus(0.5 * h / (levels.lambda(i) - levels.lambda(i - 1)), m0.minus(m1));
                call.move(to, begin.times(noise / levels.noise(i - 1)).plus(signal * (1 - Math.exp(-h)), m), begin, m0);
            } else {
                double h = levels.lambda(i + 1) - levels.lambda(i);
                call.move(to, call.x().times(noise / levels.noise(i)).plus(signal * (1 - Math.exp(-h)), m0), call.x(), m0);
            }
        }
        return walk.walk(levels.startScale());
    }
}
