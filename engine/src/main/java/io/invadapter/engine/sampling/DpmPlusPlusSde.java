package io.invadapter.engine.sampling;

/**
 * DPM-Solver++ (SDE) as k-diffusion has it, with r = 1/2: two calls a step, each followed by fresh noise, one in the last.
 * diffusers: {@code DPMSolverSDEScheduler}, without its Brownian noise: each draw is independent.
 */
public record DpmPlusPlusSde(Sigmas sigmas) implements Sampler {

    @Override
    public String name() {
        return "DPM++ SDE" + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.kDiffusion(schedule, steps, strength, sigmas, false);
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 2);
        for (int i = levels.first(); i < steps; i++) {
            double s = levels.sigma(i);
            double to = levels.sigma(i + 1);
            WalkBuilder.Call call = walk.atSigma(levels.timestep(i), s);
            if (to == 0) {
                call.moveToSigma(to, call.x0());
                continue;
            }
            double middle = Math.sqrt(s * to);
            call.moveToSigma(middle, move(call, call.x(), s, middle), call.x());
            WalkBuilder.Call second = walk.atSigma(schedule.timestepOf(middle), middle);
            second.moveToSigma(to, move(second, second.remembered(1), s, to));
        }
        return walk.walk(levels.startScale());
    }

    /** An ancestral move with the picture that the call saw. */
    private static Linear move(WalkBuilder.Call call, Linear x, double s, double to) {
        NoiseLevels.Ancestral ancestor = NoiseLevels.Ancestral.of(s, to);
        double part = ancestor.down() / s;
        return x.times(part).plus(1 - part, call.x0()).plus(ancestor.up(), call.noise());
    }
}
