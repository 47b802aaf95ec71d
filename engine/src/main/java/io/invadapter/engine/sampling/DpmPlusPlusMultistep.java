package io.invadapter.engine.sampling;

/**
 * DPM-Solver++ multistep (Lu et al. 2022, algorithm 2) of the orders 1 to 3, and as a stochastic equation (SDE). The last step, to no noise
 * at all, is of order 1; of order 3 with fewer than 15 steps the one before it of order 2. diffusers: {@code DPMSolverMultistepScheduler}
 * with {@code solver_type "midpoint"}.
 */
public record DpmPlusPlusMultistep(int order, boolean sde, Sigmas sigmas) implements Sampler {
    private static final int FEW_STEPS = 15;

    static Sampler of(SamplerOptions options) {
        options.computes("algorithm_type", "dpmsolver++", "sde-dpmsolver++");
        // diffusers takes these names of other solvers for midpoint too.
        options.computes("solver_type", "midpoint", "logrho", "bh1", "bh2");
        options.computes("solver_order", 2, 1, 3);
        options.computes("lower_order_final", true);
        options.computes("final_sigmas_type", "zero");
        options.computes("lambda_min_clipped", Double.NEGATIVE_INFINITY);
        int order = options.integer("solver_order", 2);
        return new DpmPlusPlusMultistep(order >= 1 && order <= 3 ? order : 2, options.is("algorithm_type", "sde-dpmsolver++"), options.sigmas());
    }

    @Override
    public String name() {
        return "DPM++ " + order + "M" + (sde ? " SDE" : "") + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.multistep(schedule, steps, strength, sigmas).distinct();
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 3);
        for (int i = levels.first(); i < steps; i++) {
            WalkBuilder.Call call = walk.at(levels.timestep(i), NoiseLevels.alpha(levels.sigma(i)));
            // The picture as this call sees it, the last one and the one before.
            Linear m0 = call.x0();
            Linear m1 = call.remembered(1);
            Linear m2 = call.remembered(2);
            double h = levels.lambda(i + 1) - levels.lambda(i);
            double signal = levels.signal(i + 1);
            double noise = levels.noise(i + 1);
            double h2 = sde ? 2 * h : h;
            double e = Math.exp(-h2);
            Linear x = call.x().times(noise / levels.noise(i) * (sde ? Math.exp(-h) : 1)).plus(signal * (1 - e), m0);
            int own = i == steps - 1 ? 1 : i == steps - 2 && steps < FEW_STEPS ? Math.min(order, 2) : order;
            int k = Math.min(own, i - levels.first() + 1);
            if (k >= 2) {
                double r0 = (levels.lambda(i) - levels.lambda(i - 1)) / h;
                Linear d = m0.minus(m1).over(r0);
                if (k == 2) {
                    x = x.plus(0.5 * signal * (1 - e), d);
                } else {
                    double r1 = (levels.lambda(i - 1) - levels.lambda(i - 2)) / h;
                    Linear dd = d.minus(m1.minus(m2).over(r1));
                    x = x.plus(signal * ((e - 1) / h2 + 1), d.plus(r0 / (r0 + r1), dd))
                            .plus(-signal * ((e - 1 + h2) / (h2 * h2) - 0.5) / (r0 + r1), dd);
                }
            }
            if (sde) {
                x = x.plus(noise * Math.sqrt(1 - e), call.noise());
            }
            call.move(NoiseLevels.alpha(levels.sigma(i + 1)), x, m0, m1);
        }
        return walk.walk(levels.startScale());
    }
}
