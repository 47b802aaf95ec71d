package io.invadapter.engine.sampling;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.nn.Config;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The noise levels of a model, and the steps between them that DDIM takes (Song et al. 2021), as diffusers' {@code DDIMScheduler}
 * does in a {@code StableDiffusionPipeline}.
 */
public final class NoiseSchedule {

    /**
     * The schedulers of diffusers that go through the same noise, which DDIM goes through in its own way; those of other processes
     * (flow matching, EDM, consistency models) belong to networks that DDIM makes no pictures with. For each the default of
     * {@code beta_start} and {@code beta_end}.
     */
    private static final Map<String, double[]> SCHEDULERS = schedulers();

    /** What may be anything, and why. */
    private static final Map<String, String> HARMLESS = harmless();

    /** bfloat16 keeps 8 bits. */
    private static final double TABLE_TOLERANCE = 0.01;

    private final double[] alphasCumprod;
    private final double finalAlpha;
    private final Spacing spacing;
    private final Prediction prediction;
    private final int last;

    /** What the network computes from {@code x = sqrt(alpha) x0 + sqrt(1 - alpha) eps}. */
    public enum Prediction {
        /** {@code eps}. */
        EPSILON,
        /** {@code sqrt(alpha) eps - sqrt(1 - alpha) x0} (Salimans and Ho 2022). */
        V,
        /** {@code x0}. */
        SAMPLE
    }

    /** Which timesteps are taken (Lin et al. 2023, table 2). */
    private enum Spacing { LEADING, TRAILING, LINSPACE }

    /** @param timestep for the network; @param alphaFrom alpha-bar being left; @param alphaTo alpha-bar reached */
    public record Level(int timestep, double alphaFrom, double alphaTo, Prediction prediction) {
        public Level {
            Objects.requireNonNull(prediction, "prediction");
        }

        /**
         * The move {@code x = a x + b output} as {@code {a, b}}, for what the network's output is: equation 12 of Song et al. 2021
         * with sigma 0, {@code x = sqrt(alphaTo) x0 + sqrt(1 - alphaTo) eps}, with x0 and eps put in terms of x and the output.
         */
        public float[] factors() {
            double signalFrom = Math.sqrt(alphaFrom);
            double noiseFrom = Math.sqrt(1 - alphaFrom);
            double signalTo = Math.sqrt(alphaTo);
            double noiseTo = Math.sqrt(1 - alphaTo);
            return switch (prediction) {
                case EPSILON -> factors(signalTo / signalFrom, noiseTo - signalTo / signalFrom * noiseFrom);
                case V -> factors(signalFrom * signalTo + noiseFrom * noiseTo, noiseTo * signalFrom - signalTo * noiseFrom);
                case SAMPLE -> factors(noiseTo / noiseFrom, signalTo - noiseTo / noiseFrom * signalFrom);
            };
        }

        private static float[] factors(double a, double b) {
            return new float[] {(float) a, (float) b};
        }

        /** The way back, with the output at the same timestep. */
        Level back() {
            return new Level(timestep, alphaTo, alphaFrom, prediction);
        }
    }

    /**
     * @param file    {@code scheduler/scheduler_config.json}; what it does not say about the noise is the default of the scheduler it
     *                names, about the steps that of {@code DDIMScheduler}
     * @param notices told of keys that are not known
     * @throws WeightException when the file describes a process that this engine does not compute
     */
    public NoiseSchedule(JsonValue file, Consumer<String> notices) {
        Config config = new Config(file);
        config.only("thresholding", false);
        config.only("use_flow_sigmas", false);
        config.only("use_dynamic_shifting", false);
        config.only("timestep_type", "discrete");
        config.only("variance_type", null, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log");
        config.absent("shift_terminal");
        config.harmless(HARMLESS.keySet());
        prediction = switch (config.oneOf("prediction_type", "epsilon", List.of("epsilon", "v_prediction", "sample"))) {
            case "v_prediction" -> Prediction.V;
            case "sample" -> Prediction.SAMPLE;
            default -> Prediction.EPSILON;
        };
        spacing = Spacing.valueOf(
                config.oneOf("timestep_spacing", "leading", List.of("leading", "trailing", "linspace")).toUpperCase(Locale.ROOT));
        double[] betas = betas(config, file);
        alphasCumprod = new double[betas.length];
        double product = 1;
        for (int i = 0; i < betas.length; i++) {
            product *= 1 - betas[i];
            alphasCumprod[i] = product;
        }
        boolean zeroTerminalSnr = config.flag("rescale_betas_zero_snr", false);
        if (zeroTerminalSnr) {
            rescaleToZeroTerminalSnr(alphasCumprod);
        }
        config.optional("alphas_cumprod").ifPresent(this::requireTable);
        finalAlpha = config.flag("set_alpha_to_one", true) ? 1 : alphasCumprod[0];
        // From pure noise no eps can be taken away: there is nothing left to divide by.
        boolean lastIsOutOfReach = zeroTerminalSnr && prediction == Prediction.EPSILON;
        last = betas.length - (lastIsOutOfReach ? 2 : 1);
        if (lastIsOutOfReach && spacing != Spacing.LEADING) {
            throw new WeightException(file.where() + ": rescale_betas_zero_snr and timestep_spacing \"" + file.get("timestep_spacing").asString()
                    + "\" start at pure noise, where a network of prediction_type \"epsilon\" predicts nothing; expected \"v_prediction\" or"
                    + " timestep_spacing \"leading\"");
        }
        if (prediction == Prediction.SAMPLE && finalAlpha == 1) {
            throw new WeightException(file.where() + ": set_alpha_to_one is true (the default), where a network of prediction_type \"sample\""
                    + " cannot turn a picture back into noise; expected false");
        }
        config.report(notices);
    }

    /** A single file may hold the table of the noise that it was trained with, rounded to its own precision. */
    private void requireTable(JsonValue table) {
        List<JsonValue> found = table.asList();
        for (int i = 0; i < Math.max(found.size(), alphasCumprod.length); i++) {
            double here = i < found.size() ? found.get(i).asDouble() : Double.NaN;
            double expected = i < alphasCumprod.length ? alphasCumprod[i] : Double.NaN;
            if (!(Math.abs(here - expected) <= TABLE_TOLERANCE * expected)) {
                throw new WeightException(table.where() + " is the table of another noise than its configuration's: " + here + " at timestep " + i
                        + " where " + expected + " is expected; a .yaml beside the file, or a diffusers folder, says with which noise it was trained");
            }
        }
    }

    private static double[] betas(Config config, JsonValue file) {
        Optional<JsonValue> scheduler = config.optional("_class_name");
        scheduler.filter(name -> !SCHEDULERS.containsKey(name.asString())).ifPresent(name -> {
            throw Config.refused(name, "a scheduler that goes through Stable Diffusion's own noise, such as \"DDIMScheduler\" or \"PNDMScheduler\"");
        });
        double[] defaults = SCHEDULERS.get(scheduler.map(JsonValue::asString).orElse("DDIMScheduler"));
        int n = config.integer("num_train_timesteps", 1000);
        double start = config.number("beta_start", defaults[0]);
        double end = config.number("beta_end", defaults[1]);
        String kind = config.oneOf("beta_schedule", "linear", List.of("linear", "scaled_linear", "squaredcos_cap_v2"));
        Optional<JsonValue> trained = config.optional("trained_betas");
        if (n < 2 || n > 100_000 || trained.isEmpty() && !(start > 0 && start < end && end < 1)) {
            throw new WeightException(file.where() + ": expected 0 < beta_start < beta_end < 1 and 2 or more num_train_timesteps");
        }
        if (trained.isPresent()) {
            return trained(trained.get(), n);
        }
        double[] betas = new double[n];
        for (int i = 0; i < n; i++) {
            double x = (double) i / (n - 1);
            betas[i] = switch (kind) {
                case "linear" -> start + x * (end - start);
                case "scaled_linear" -> Math.pow(Math.sqrt(start) + x * (Math.sqrt(end) - Math.sqrt(start)), 2);
                default -> Math.min(1 - cosine((i + 1.0) / n) / cosine((double) i / n), 0.999);
            };
        }
        return betas;
    }

    private static double[] trained(JsonValue list, int n) {
        double[] betas = list.asList().stream().mapToDouble(JsonValue::asDouble).toArray();
        if (betas.length != n || !Arrays.stream(betas).allMatch(beta -> beta > 0 && beta < 1)) {
            throw new WeightException(list.where() + " has " + betas.length + " numbers; expected " + n + " between 0 and 1, num_train_timesteps");
        }
        return betas;
    }

    /** Alpha-bar at a part of the process (Nichol and Dhariwal 2021). */
    private static double cosine(double time) {
        return Math.pow(Math.cos((time + 0.008) / 1.008 * Math.PI / 2), 2);
    }

    /** Shifts and scales the signal so that nothing of it is left at the last timestep (Lin et al. 2023, algorithm 1). */
    private static void rescaleToZeroTerminalSnr(double[] alphasCumprod) {
        double first = Math.sqrt(alphasCumprod[0]);
        double end = Math.sqrt(alphasCumprod[alphasCumprod.length - 1]);
        for (int i = 0; i < alphasCumprod.length; i++) {
            alphasCumprod[i] = Math.pow((Math.sqrt(alphasCumprod[i]) - end) * first / (first - end), 2);
        }
    }

    private static Map<String, double[]> schedulers() {
        Map<String, double[]> betas = new HashMap<>();
        for (String name : List.of("DDIM", "DDIMInverse", "DDIMParallel", "DDPM", "DDPMParallel", "PNDM", "LMSDiscrete", "EulerDiscrete",
                "EulerAncestralDiscrete", "DPMSolverMultistep", "DPMSolverMultistepInverse", "DPMSolverSinglestep", "DEISMultistep",
                "UniPCMultistep", "SASolver")) {
            betas.put(name + "Scheduler", new double[] {0.0001, 0.02});
        }
        for (String name : List.of("HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverSDE")) {
            betas.put(name + "Scheduler", new double[] {0.00085, 0.012});
        }
        return Map.copyOf(betas);
    }

    private static Map<String, String> harmless() {
        Map<String, String> reasons = new HashMap<>();
        reasons.put("steps_offset", "StableDiffusionPipeline takes 1 whatever the file says");
        reasons.put("clip_sample", "StableDiffusionPipeline switches it off whatever the file says: latents are no pictures");
        reasons.put("clip_sample_range", "of clip_sample");
        reasons.put("dynamic_thresholding_ratio", "of thresholding");
        reasons.put("sample_max_value", "of thresholding");
        reasons.put("flow_shift", "of use_flow_sigmas");
        reasons.put("time_shift_type", "of use_dynamic_shifting");
        Set.of("skip_prk_steps", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "interpolation_type",
                "sigma_min", "sigma_max", "final_sigmas_type", "solver_order", "solver_type", "algorithm_type", "lower_order_final",
                "euler_at_final", "lambda_min_clipped", "predict_x0", "predictor_order", "corrector_order", "disable_corrector", "solver_p",
                "tau_func", "noise_sampler_seed").forEach(key -> reasons.put(key, "how another scheduler goes through the same noise"));
        return Map.copyOf(reasons);
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
        int n = maxSteps();
        // numpy's arange adds this, rounded as it is here, and not -n / steps: it decides about halves.
        double gap = n - (double) n / steps - n;
        int[] timesteps = new int[steps];
        for (int i = 0; i < steps; i++) {
            // Halves to the even neighbour, as numpy rounds.
            timesteps[i] = switch (spacing) {
                // With as many steps as training timesteps the offset would point behind the last.
                case LEADING -> Math.min((steps - 1 - i) * (n / steps) + 1, last);
                case TRAILING -> (int) Math.rint(n + i * gap) - 1;
                case LINSPACE -> steps == 1 ? 0 : (int) Math.rint((steps - 1 - i) * ((n - 1.0) / (steps - 1)));
            };
        }
        return timesteps;
    }

    /** The moves from noise to picture; the last ends at alpha-bar of timestep 0, or at 1 where the model's file says so. */
    public Level[] samplingLevels(int steps) {
        int[] timesteps = timesteps(steps);
        int gap = maxSteps() / steps;
        Level[] levels = new Level[steps];
        for (int i = 0; i < steps; i++) {
            int next = timesteps[i] - gap;
            levels[i] = new Level(timesteps[i], alphasCumprod[timesteps[i]], next >= 0 ? alphasCumprod[next] : finalAlpha, prediction);
        }
        return levels;
    }

    /** The same moves the other way; the network's output is at the timestep that sampling uses between the two levels. */
    public Level[] inversionLevels(int steps) {
        Level[] sampling = samplingLevels(steps);
        Level[] levels = new Level[steps];
        for (int i = 0; i < steps; i++) {
            levels[i] = sampling[steps - 1 - i].back();
        }
        return levels;
    }
}
