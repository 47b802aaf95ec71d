package io.invadapter.engine.sampling;

/**
 * DPM-Solver-2 as k-diffusion has it (Karras et al. 2022, algorithm 2): two calls a step, the second in the middle in log sigma, one in the
 * last. diffusers: {@code KDPM2DiscreteScheduler}, {@code KDPM2AncestralDiscreteScheduler}.
 */
public record Dpm2(boolean ancestral, Sigmas sigmas) implements Sampler {

    @Override
    public String name() {
        return (ancestral ? "DPM2 a" : "DPM2") + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.kDiffusion(schedule, steps, strength, sigmas, true);
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 2);
        for (int i = levels.first(); i < steps; i++) {
            double s = levels.sigma(i);
            double to = levels.sigma(i + 1);
            WalkBuilder.Call call = walk.atSigma(levels.timestep(i), s);
            if (to == 0) {
                call.moveToSigma(to, call.x().plus(-s, call.eps()));
                continue;
            }
            NoiseLevels.Ancestral ancestor = NoiseLevels.Ancestral.of(s, to);
            double down = ancestral ? ancestor.down() : to;
            double up = ancestral ? ancestor.up() : 0;
            double middle = Math.sqrt(s * down);
            call.moveToSigma(middle, call.x().plus(middle - s, call.eps()), call.x());
            WalkBuilder.Call second = walk.atSigma(schedule.timestepOf(middle), middle);
            Linear x = second.remembered(1);
            second.moveToSigma(to, x.plus(down - s, second.eps()).plus(up, second.noise()));
        }
        return walk.walk(levels.startScale());
    }
}
