package io.invadapter.engine.sampling;

import java.util.List;

/**
 * UniPC (Zhao et al. 2023) of order 2 on the picture, with {@code B(h) = e^h - 1}: each call first corrects the latents that it was made
 * with, then predicts the next. diffusers: {@code UniPCMultistepScheduler} with {@code solver_type "bh2"}.
 */
public record UniPc(Sigmas sigmas) implements Sampler {

    static Sampler of(SamplerOptions options) {
        options.computes("solver_type", "bh2", "midpoint", "heun", "logrho");
        options.computes("solver_order", 2);
        options.computes("predict_x0", true);
        options.computes("lower_order_final", true);
        options.computes("disable_corrector", List.of());
        options.computes("final_sigmas_type", "zero");
        options.computes("solver_p", (Object) null);
        return new UniPc(options.sigmas());
    }

    @Override
    public String name() {
        return "UniPC" + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.multistep(schedule, steps, strength, sigmas).distinct();
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 4);
        for (int i = levels.first(); i < steps; i++) {
            int done = i - levels.first();
            WalkBuilder.Call call = walk.at(levels.timestep(i), NoiseLevels.alpha(levels.sigma(i)));
            Linear m0 = call.x0();
            // The latents that the last step began with, the picture as the last call saw it, and the one before.
            Linear last = call.remembered(1);
            Linear m1 = call.remembered(2);
            Linear m2 = call.remembered(3);
            Linear x = done == 0 ? call.x() : corrected(levels, i, done, last, m0, m1, m2);

            double h = levels.lambda(i + 1) - levels.lambda(i);
            double b = Math.expm1(-h);
            Linear next = x.times(levels.noise(i + 1) / levels.noise(i)).plus(-levels.signal(i + 1) * b, m0);
            if (order(done, steps - i) == 2) {
                double r = (levels.lambda(i - 1) - levels.lambda(i)) / h;
                next = next.plus(-levels.signal(i + 1) * b * 0.5 / r, m1.minus(m0));
            }
            call.move(NoiseLevels.alpha(levels.sigma(i + 1)), next, x, m0, m1);
        }
        return walk.walk(levels.startScale());
    }

    /** Of the prediction after {@code done} steps when {@code left} are left. */
    private static int order(int done, int left) {
        return Math.min(2, Math.min(left, done + 1));
    }

    /** The step from the last level to this one again, with what the network says here. */
    private static Linear corrected(NoiseLevels levels, int i, int done, Linear last, Linear m0, Linear m1, Linear m2) {
        double h = levels.lambda(i) - levels.lambda(i - 1);
        double b = Math.expm1(-h);
        // b_k = k! phi_{k+1}(-h) / B
        double phi = b / -h - 1;
        double b1 = phi / b;
        double b2 = 2 * (phi / -h - 0.5) / b;
        Linear extra;
        if (done == 1) {
            extra = m0.minus(m1).times(0.5);
        } else {
            double r = (levels.lambda(i - 2) - levels.lambda(i - 1)) / h;
            // c1 + c2 = b1, r c1 + c2 = b2
            double c1 = (b1 - b2) / (1 - r);
            double c2 = b1 - c1;
            extra = m2.minus(m1).times(c1 / r).plus(c2, m0.minus(m1));
        }
        return last.times(levels.noise(i) / levels.noise(i - 1)).plus(-levels.signal(i) * b, m1.plus(extra));
    }
}
