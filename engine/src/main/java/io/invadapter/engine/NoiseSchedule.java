package io.invadapter.engine;

import io.invadapter.weights.JsonValue;
import io.invadapter.weights.WeightException;

/** The noise levels of DDIM (Song et al. 2021): "leading" timesteps, as Stable Diffusion 1.x was published with. */
public final class NoiseSchedule {
    private final double[] alphasCumprod;
    private final double finalAlpha;
    private final int offset;

    /** @param timestep for the network; @param alphaFrom alpha-bar being left; @param alphaTo alpha-bar reached */
    public record Level(int timestep, double alphaFrom, double alphaTo) {

        /**
         * The move {@code x = a x + b eps} as {@code {a, b}} (Song et al. 2021, equation 12 with sigma 0):
         * {@code a = sqrt(alphaTo / alphaFrom)}, {@code b = sqrt(1 - alphaTo) - a sqrt(1 - alphaFrom)}.
         */
        public float[] factors() {
            double a = Math.sqrt(alphaTo / alphaFrom);
            return new float[] {(float) a, (float) (Math.sqrt(1 - alphaTo) - a * Math.sqrt(1 - alphaFrom))};
        }
    }

    /** @param config {@code scheduler/scheduler_config.json} */
    public NoiseSchedule(JsonValue config) {
        int n = config.find("num_train_timesteps").map(JsonValue::asInt).orElse(1000);
        double start = config.find("beta_start").map(JsonValue::asDouble).orElse(0.00085);
        double end = config.find("beta_end").map(JsonValue::asDouble).orElse(0.012);
        String kind = config.find("beta_schedule").map(JsonValue::asString).orElse("scaled_linear");
        String prediction = config.find("prediction_type").map(JsonValue::asString).orElse("epsilon");
        if (!prediction.equals("epsilon")) {
            throw new WeightException(config.where() + ": prediction_type is '" + prediction
                    + "'; this engine runs models that predict the noise ('epsilon'), as all of Stable Diffusion 1.x do");
        }
        if (!kind.equals("scaled_linear") && !kind.equals("linear")) {
            throw new WeightException(config.where() + ": beta_schedule is '" + kind + "'; expected scaled_linear or linear");
        }
        if (n < 2 || n > 100_000 || !(start > 0 && start < end && end < 1)) {
            throw new WeightException(config.where() + ": expected 0 < beta_start < beta_end < 1 and 2 or more num_train_timesteps");
        }
        boolean scaled = kind.equals("scaled_linear");
        alphasCumprod = new double[n];
        double product = 1;
        for (int i = 0; i < n; i++) {
            double x = (double) i / (n - 1);
            double beta = scaled ? Math.pow(Math.sqrt(start) + x * (Math.sqrt(end) - Math.sqrt(start)), 2) : start + x * (end - start);
            product *= 1 - beta;
            alphasCumprod[i] = product;
        }
        offset = config.find("steps_offset").map(JsonValue::asInt).orElse(1);
        finalAlpha = config.find("set_alpha_to_one").map(JsonValue::asBoolean).orElse(false) ? 1 : alphasCumprod[0];
    }

    /** alpha-bar of every training timestep. */
    public double[] alphasCumprod() {
        return alphasCumprod.clone();
    }

    /** The most steps there are. */
    public int maxSteps() {
        return alphasCumprod.length;
    }

    /**
     * Descending, e.g. 981, 961, … 1 for 50 steps.
     *
     * @throws InvalidRequestException when {@code steps} is not in [1, {@link #maxSteps()}]
     */
    public int[] timesteps(int steps) {
        if (steps < 1 || steps > maxSteps()) {
            throw new InvalidRequestException("steps must be between 1 and " + maxSteps() + ", not " + steps);
        }
        int gap = maxSteps() / steps;
        int[] timesteps = new int[steps];
        for (int i = 0; i < steps; i++) {
            // With as many steps as training timesteps the offset would point behind the last.
            timesteps[steps - 1 - i] = Math.min(i * gap + offset, maxSteps() - 1);
        }
        return timesteps;
    }

    /** The moves from noise to picture; the last ends at alpha-bar of timestep 0. */
    public Level[] samplingLevels(int steps) {
        int[] timesteps = timesteps(steps);
        int gap = maxSteps() / steps;
        Level[] levels = new Level[steps];
        for (int i = 0; i < steps; i++) {
            int next = timesteps[i] - gap;
            levels[i] = new Level(timesteps[i], alphasCumprod[timesteps[i]], next >= 0 ? alphasCumprod[next] : finalAlpha);
        }
        return levels;
    }

    /** The same moves the other way; the noise is predicted at the timestep that sampling uses between the two levels. */
    public Level[] inversionLevels(int steps) {
        Level[] sampling = samplingLevels(steps);
        Level[] levels = new Level[steps];
        for (int i = 0; i < steps; i++) {
            Level s = sampling[steps - 1 - i];
            levels[i] = new Level(s.timestep, s.alphaTo, s.alphaFrom);
        }
        return levels;
    }
}
