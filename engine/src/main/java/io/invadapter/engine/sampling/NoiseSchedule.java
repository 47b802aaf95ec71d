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
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The noise of a model: how much there is at every training timestep, what its network predicts of it, and which timesteps samplers are
 * to take, as a {@code StableDiffusionPipeline} of diffusers has it.
 */
public final class NoiseSchedule {

    /**
     * The schedulers of diffusers that go through the same noise; those of other processes (flow matching, EDM, consistency models)
     * belong to networks that the samplers here make no pictures with.
     */
    private static final Map<String, Defaults> SCHEDULERS = schedulers();

    /** What may be anything, and why. */
    private static final Map<String, String> HARMLESS = harmless();

    /** bfloat16 keeps 8 bits. */
    private static final double TABLE_TOLERANCE = 0.01;

    /** In the place of alpha-bar 0 where something is divided by it: noise of 4096 times the signal, as diffusers has it. */
    static final double LEAST_ALPHA = 0x1p-24;

    private final double[] alphasCumprod;
    /** {@code null}: what the sampler has for a default. */
    private final Boolean endsAtOne;
    /** {@code null}: what the sampler has for a default. */
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
    public enum Spacing {
        /** Every n-th, up from 1. */
        LEADING,
        /** Every n-th, down from the last. */
        TRAILING,
        /** From the last to 0. */
        LINSPACE;

        /** Descending, not rounded where they lie between; the first {@code steps} of {@code points}. */
        double[] timesteps(int n, int steps, int points) {
            // numpy's arange adds this, rounded as it is here, and not -n / steps: it decides about halves.
            double gap = n - (double) n / steps - n;
            double[] timesteps = new double[steps];
            for (int i = 0; i < steps; i++) {
                timesteps[i] = switch (this) {
                    case LEADING -> (points - 1 - i) * (n / points) + 1;
                    // Halves to the even neighbour, as numpy rounds.
                    case TRAILING -> Math.rint(n + i * gap) - 1;
                    case LINSPACE -> points == 1 ? 0 : (points - 1 - i) * ((n - 1.0) / (points - 1));
                };
            }
            return timesteps;
        }
    }

    /** Of a scheduler of diffusers, where its file is silent. */
    private record Defaults(double betaStart, double betaEnd, String betaSchedule) {
    }

    /**
     * @param file    {@code scheduler/scheduler_config.json}; what it does not say about the noise is the default of the scheduler it
     *                names, about the steps that of the sampler
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
        String spaced = config.oneOf("timestep_spacing", "", List.of("leading", "trailing", "linspace"));
        spacing = spaced.isEmpty() ? null : Spacing.valueOf(spaced.toUpperCase(Locale.ROOT));
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
        endsAtOne = config.optional("set_alpha_to_one").map(JsonValue::asBoolean).orElse(null);
        // From pure noise no eps can be taken away: there is nothing left to divide by.
        boolean lastIsOutOfReach = zeroTerminalSnr && prediction == Prediction.EPSILON;
        last = betas.length - (lastIsOutOfReach ? 2 : 1);
        if (lastIsOutOfReach && spacing != null && spacing != Spacing.LEADING) {
            throw new WeightException(file.where() + ": rescale_betas_zero_snr and timestep_spacing \"" + file.get("timestep_spacing").asString()
                    + "\" start at pure noise, where a network of prediction_type \"epsilon\" predicts nothing; expected \"v_prediction\" or"
                    + " timestep_spacing \"leading\"");
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
        Defaults defaults = SCHEDULERS.get(scheduler.map(JsonValue::asString).orElse("DDIMScheduler"));
        int n = config.integer("num_train_timesteps", 1000);
        double start = config.number("beta_start", defaults.betaStart);
        double end = config.number("beta_end", defaults.betaEnd);
        String kind = config.oneOf("beta_schedule", defaults.betaSchedule, List.of("linear", "scaled_linear", "squaredcos_cap_v2"));
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

    private static Map<String, Defaults> schedulers() {
        Map<String, Defaults> betas = new HashMap<>();
        for (String name : List.of("DDIM", "DDIMInverse", "DDIMParallel", "DDPM", "DDPMParallel", "PNDM", "LMSDiscrete", "EulerDiscrete",
                "EulerAncestralDiscrete", "DPMSolverMultistep", "DPMSolverMultistepInverse", "DPMSolverSinglestep", "DEISMultistep",
                "UniPCMultistep", "SASolver")) {
            betas.put(name + "Scheduler", new Defaults(0.0001, 0.02, "linear"));
        }
        for (String name : List.of("HeunDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverSDE")) {
            betas.put(name + "Scheduler", new Defaults(0.00085, 0.012, "linear"));
        }
        betas.put("LCMScheduler", new Defaults(0.00085, 0.012, "scaled_linear"));
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
                "tau_func", "noise_sampler_seed", "original_inference_steps", "timestep_scaling").forEach(
                        key -> reasons.put(key, "how the scheduler goes through the noise: Samplers.of reads it"));
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

    /** What the network computes. */
    public Prediction prediction() {
        return prediction;
    }

    /** The same noise with timesteps spaced otherwise than the file says. */
    NoiseSchedule with(Spacing other) {
        return new NoiseSchedule(this, other);
    }

    private NoiseSchedule(NoiseSchedule other, Spacing spacing) {
        this.alphasCumprod = other.alphasCumprod;
        this.endsAtOne = other.endsAtOne;
        this.spacing = spacing;
        this.prediction = other.prediction;
        this.last = other.last;
    }

    /** As the file says, or as a sampler has it by default. */
    Spacing spacing(Spacing fallback) {
        return spacing == null ? fallback : spacing;
    }

    /** Alpha-bar of a training timestep. */
    double alpha(int timestep) {
        return alphasCumprod[timestep];
    }

    /** The same; before the first timestep it is 1 or that of the first, as the file says or as a sampler has it by default. */
    double alphaBefore(int timestep, boolean oneByDefault) {
        boolean one = endsAtOne == null ? oneByDefault : endsAtOne;
        return timestep >= 0 ? alphasCumprod[timestep] : one ? 1 : alphasCumprod[0];
    }

    /** {@code noise / signal} at a timestep, between two of them on a straight line. */
    double sigma(double timestep) {
        int below = (int) Math.max(0, Math.min(timestep, maxSteps() - 1));
        int above = Math.min(below + 1, maxSteps() - 1);
        return sigmaOf(below) + (timestep - below) * (sigmaOf(above) - sigmaOf(below));
    }

    private double sigmaOf(int timestep) {
        double alpha = alphasCumprod[timestep] == 0 ? LEAST_ALPHA : alphasCumprod[timestep];
        return Math.sqrt((1 - alpha) / alpha);
    }

    /** The timestep of a noise level, between two of them on a straight line in its logarithm. */
    double timestepOf(double sigma) {
        int below = 0;
        int above = maxSteps() - 1;
        while (above - below > 1) {
            int middle = (below + above) / 2;
            if (sigmaOf(middle) <= sigma) {
                below = middle;
            } else {
                above = middle;
            }
        }
        double low = Math.log(sigmaOf(below));
        double part = (Math.log(sigma) - low) / (Math.log(sigmaOf(above)) - low);
        return below + Math.max(0, Math.min(part, 1)) * (above - below);
    }

    /** @throws InvalidRequestException when {@code steps} is not in [1, {@code most}] */
    void requireSteps(int steps, int most) {
        if (steps < 1 || steps > most) {
            throw new InvalidRequestException("steps must be between 1 and " + most + ", not " + steps);
        }
    }

    /**
     * The first step to run of a picture's way to another.
     *
     * @param strength 1 for all steps
     * @throws InvalidRequestException when it leaves none
     */
    int firstStep(int steps, double strength) {
        int run = (int) (steps * strength);
        if (!(strength > 0 && strength <= 1) || run < 1) {
            throw new InvalidRequestException("a strength of " + strength + " leaves none of " + steps + " steps; expected " + 1.0 / steps
                    + " to 1");
        }
        return steps - run;
    }

    /**
     * Those of DDIM: descending, e.g. 981, 961, … 1 for 50 steps.
     *
     * @throws InvalidRequestException when {@code steps} is not in [1, {@link #maxSteps()}]
     */
    public int[] timesteps(int steps) {
        requireSteps(steps, maxSteps());
        double[] exact = spacing(Spacing.LEADING).timesteps(maxSteps(), steps, steps);
        int[] timesteps = new int[steps];
        for (int i = 0; i < steps; i++) {
            // With as many steps as training timesteps the leading ones would point behind the last.
            timesteps[i] = (int) Math.min(Math.rint(exact[i]), last);
        }
        return timesteps;
    }
}
