package io.invadapter.engine.sampling;

import io.invadapter.engine.sampling.NoiseSchedule.Prediction;
import java.util.Locale;

/**
 * DDIM (Song et al. 2021, equation 12), as diffusers' {@code DDIMScheduler}: a step reaches back by the same number of training timesteps,
 * wherever the next one begins.
 *
 * @param eta 0: no noise is added; 1: as much as DDPM adds
 */
public record Ddim(double eta) implements Sampler {

    public Ddim() {
        this(0);
    }

    @Override
    public String name() {
        return eta == 0 ? "DDIM" : String.format(Locale.ROOT, "DDIM eta %s", eta);
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        int[] timesteps = schedule.timesteps(steps);
        int gap = schedule.maxSteps() / steps;
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 1);
        for (int i = schedule.firstStep(steps, strength); i < steps; i++) {
            double from = schedule.alpha(timesteps[i]);
            move(walk.at(timesteps[i], from), from, schedule.alphaBefore(timesteps[i] - gap, true), eta);
        }
        return walk.walk(1);
    }

    /** One step without fresh noise, from any level to any other. */
    static Step step(double timestep, double from, double to, Prediction prediction) {
        WalkBuilder walk = new WalkBuilder(prediction, 1);
        move(walk.at(timestep, from), from, to, 0);
        return walk.walk(1).steps().getFirst();
    }

    private static void move(WalkBuilder.Call call, double from, double to, double eta) {
        double sigma = eta == 0 ? 0 : eta * Math.sqrt((1 - to) / (1 - from) * (1 - from / to));
        call.move(to, call.x0().times(Math.sqrt(to)).plus(Math.sqrt(Math.max(0, 1 - to - sigma * sigma)), call.eps()).plus(sigma, call.noise()));
    }
}
