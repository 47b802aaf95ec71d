package io.invadapter.engine.sampling;

/**
 * Heun's method in sigma (Karras et al. 2022, algorithm 1): two calls a step, one in the last. diffusers: {@code HeunDiscreteScheduler}.
 */
public record Heun(Sigmas sigmas) implements Sampler {

    @Override
    public String name() {
        return "Heun" + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.kDiffusion(schedule, steps, strength, sigmas, false);
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 3);
        for (int i = levels.first(); i < steps; i++) {
            double s = levels.sigma(i);
            double to = levels.sigma(i + 1);
            WalkBuilder.Call call = walk.atSigma(levels.timestep(i), s);
            Linear euler = call.x().plus(to - s, call.eps());
            if (to == 0) {
                call.moveToSigma(to, euler);
                continue;
            }
            call.moveToSigma(to, euler, call.x(), call.eps());
            WalkBuilder.Call second = walk.atSigma(levels.timestep(i + 1), to);
            Linear x = second.remembered(1);
            Linear slope = second.remembered(2).plus(second.eps()).over(2);
            second.moveToSigma(to, x.plus(to - s, slope));
        }
        return walk.walk(levels.startScale());
    }
}
