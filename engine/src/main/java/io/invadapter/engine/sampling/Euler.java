package io.invadapter.engine.sampling;

/**
 * Euler's method in sigma (Karras et al. 2022), and with fresh noise after every step its ancestral form (k-diffusion).
 * diffusers: {@code EulerDiscreteScheduler}, {@code EulerAncestralDiscreteScheduler}.
 */
public record Euler(boolean ancestral, Sigmas sigmas) implements Sampler {

    static Sampler of(SamplerOptions options) {
        options.computes("interpolation_type", "linear");
        options.computes("final_sigmas_type", "zero");
        return new Euler(false, options.sigmas());
    }

    @Override
    public String name() {
        return (ancestral ? "Euler a" : "Euler") + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.kDiffusion(schedule, steps, strength, sigmas, false);
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), 1);
        for (int i = levels.first(); i < steps; i++) {
            double s = levels.sigma(i);
            double to = levels.sigma(i + 1);
            NoiseLevels.Ancestral ancestor = NoiseLevels.Ancestral.of(s, to);
            double down = ancestral ? ancestor.down() : to;
            double up = ancestral ? ancestor.up() : 0;
            WalkBuilder.Call call = walk.atSigma(levels.timestep(i), s);
            call.moveToSigma(to, call.x().plus(down - s, call.eps()).plus(up, call.noise()));
        }
        return walk.walk(levels.startScale());
    }
}
