package io.invadapter.engine.sampling;

/**
 * The linear multistep method as k-diffusion has it: the polynomial through the last four slopes, integrated exactly.
 * diffusers: {@code LMSDiscreteScheduler}.
 */
public record Lms(Sigmas sigmas) implements Sampler {
    private static final int ORDER = 4;

    @Override
    public String name() {
        return "LMS" + sigmas.suffix();
    }

    @Override
    public Walk walk(NoiseSchedule schedule, int steps, double strength) {
        NoiseLevels levels = NoiseLevels.kDiffusion(schedule, steps, strength, sigmas, false).distinct();
        WalkBuilder walk = new WalkBuilder(schedule.prediction(), ORDER);
        for (int i = levels.first(); i < steps; i++) {
            WalkBuilder.Call call = walk.atSigma(levels.timestep(i), levels.sigma(i));
            // The newest first.
            Linear[] slopes = {call.eps(), call.remembered(1), call.remembered(2), call.remembered(3)};
            int order = Math.min(ORDER, i - levels.first() + 1);
            Linear x = call.x();
            for (int j = 0; j < order; j++) {
                x = x.plus(weight(levels, i, j, order), slopes[j]);
            }
            call.moveToSigma(levels.sigma(i + 1), x, slopes[0], slopes[1], slopes[2]);
        }
        return walk.walk(levels.startScale());
    }

    /** The integral over a step of the polynomial that is 1 at the level {@code which} steps back and 0 at the others. */
    private static double weight(NoiseLevels levels, int step, int which, int order) {
        double[] polynomial = {1};
        for (int k = 0; k < order; k++) {
            if (k != which) {
                double root = levels.sigma(step - k);
                double scale = levels.sigma(step - which) - root;
                double[] product = new double[polynomial.length + 1];
                for (int power = 0; power < polynomial.length; power++) {
                    product[power] -= polynomial[power] * root / scale;
                    product[power + 1] += polynomial[power] / scale;
                }
                polynomial = product;
            }
        }
        double integral = 0;
        for (int power = 0; power < polynomial.length; power++) {
            integral += polynomial[power] / (power + 1)
                    * (Math.pow(levels.sigma(step + 1), power + 1) - Math.pow(levels.sigma(step), power + 1));
        }
        return integral;
    }
}
