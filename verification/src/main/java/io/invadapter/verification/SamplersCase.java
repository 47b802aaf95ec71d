package io.invadapter.verification;

import io.invadapter.engine.Latents;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampler;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.engine.sampling.Step;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** {@code samplers}: every sampler, with a formula in the place of the network; the moves are the device's. */
final class SamplersCase implements GoldenCase {
    /** Schedulers of diffusers whose latents are {@code x0 + sigma eps}, not in the network's own scale. */
    private static final Set<String> IN_SIGMA = Set.of("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
            "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "LMSDiscreteScheduler", "DPMSolverSDEScheduler");
    /** Those that call the network twice in a step, and list their levels for each call. */
    private static final Set<String> TWO_CALLS = Set.of("HeunDiscreteScheduler", "DPMSolverSDEScheduler", "KDPM2DiscreteScheduler",
            "KDPM2AncestralDiscreteScheduler");
    /** Of these, those that list the end of the last step for each call too. */
    private static final Set<String> END_FOR_EACH_CALL = Set.of("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler");

    private final CaseFolder folder;
    private final Device device;
    private final Formula model;

    SamplersCase(CaseFolder folder) {
        this.folder = folder;
        device = folder.device();
        model = Formula.of(folder.parameters().get("model"));
    }

    /** {@code tanh(x (a + b cos(t / c)) + d sin(t / e))} */
    private record Formula(double a, double b, double c, double d, double e) {
        private static final Pattern TEXT = Pattern.compile(
                "tanh\\(x \\* \\(N \\+ N cos\\(t / N\\)\\) \\+ N sin\\(t / N\\)\\)".replace("N", "([0-9.]+)"));

        static Formula of(JsonValue text) {
            Matcher found = TEXT.matcher(text.asString());
            if (!found.matches()) {
                throw new WeightException(text.where() + " is " + text + "; expected \"tanh(x * (0.8 + 0.3 cos(t / 250)) + 0.2 sin(t / 97))\" with"
                        + " these or other numbers");
            }
            double[] numbers = new double[5];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = Double.parseDouble(found.group(i + 1));
            }
            return new Formula(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]);
        }

        float[] output(float[] x, double t) {
            float factor = (float) (a + b * Math.cos(t / c));
            float shift = (float) (d * Math.sin(t / e));
            float[] output = new float[x.length];
            for (int i = 0; i < x.length; i++) {
                output[i] = (float) Math.tanh(x[i] * factor + shift);
            }
            return output;
        }
    }

    @Override
    public Limit limit(String key, Precision precision) {
        return new Limit(1e-4, false);
    }

    @Override
    public void compute(Set<Part> parts, Results results) {
        if (!parts.contains(Part.SCHEDULE) && !parts.contains(Part.LOOPS)) {
            return;
        }
        Latents noise = folder.latents("in.x");
        Latents picture = like(noise, "in.x0");
        Latents draws = like(noise, "in.noises");
        for (JsonValue run : folder.parameters().get("runs").asList()) {
            String key = run.get("key").asString();
            String scheduler = run.get("class").asString();
            JsonValue config = run.get("config").with("_class_name", scheduler);
            NoiseSchedule schedule = new NoiseSchedule(config, System.err::println);
            Optional<Double> eta = run.find("eta").map(JsonValue::asDouble);
            Sampler sampler = eta.isPresent() ? new Ddim(eta.get()) : Samplers.of(config, System.err::println);
            int steps = run.get("steps").asInt();
            Optional<Double> strength = run.find("strength").map(JsonValue::asDouble);
            Walk walk = sampler.walk(schedule, steps, strength.orElse(1.0));
            if (parts.contains(Part.SCHEDULE)) {
                results.put(key + ".timesteps", floats(walk.steps().stream().map(Step::timestep).toList()));
                // diffusers lists those of all steps, however many are run; LCM, whose number of steps the strength limits, lists none.
                if (folder.golden().names().contains(key + ".sigmas")) {
                    results.put(key + ".sigmas", sigmas(sampler.walk(schedule, steps, 1), scheduler));
                }
            }
            if (parts.contains(Part.LOOPS)) {
                double alpha = walk.steps().getFirst().alphaFrom();
                Latents start = strength.isEmpty() ? noise.times(walk.startScale()) : picture.noised(noise, alpha);
                results.put(key + ".samples", samples(walk, start, draws, IN_SIGMA.contains(scheduler)));
            }
        }
    }

    /** Latents of the same size. */
    private Latents like(Latents noise, String key) {
        Latents latents = folder.latents(key, noise.channels());
        if (latents.height() != noise.height() || latents.width() != noise.width()) {
            throw new WeightException(folder.golden().description() + ": '" + key + "' is of " + latents.height() + " x " + latents.width()
                    + " where 'in.x' is of " + noise.height() + " x " + noise.width());
        }
        return latents;
    }

    private static float[] floats(List<Double> values) {
        float[] floats = new float[values.size()];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = values.get(i).floatValue();
        }
        return floats;
    }

    /** As diffusers lists them. */
    private static float[] sigmas(Walk walk, String scheduler) {
        int calls = TWO_CALLS.contains(scheduler) ? 2 : 1;
        List<Double> sigmas = new ArrayList<>();
        for (int i = 0; i < walk.steps().size(); i += calls) {
            int times = i == 0 ? 1 : calls;
            for (int j = 0; j < times; j++) {
                sigmas.add(sigma(walk.steps().get(i).alphaFrom()));
            }
        }
        double end = sigma(walk.steps().getLast().alphaTo());
        for (int j = 0; j < (END_FOR_EACH_CALL.contains(scheduler) ? calls + 1 : 1); j++) {
            sigmas.add(end);
        }
        return floats(sigmas);
    }

    private static double sigma(double alpha) {
        return Math.sqrt((1 - alpha) / alpha);
    }

    /** The latents before the first call and after each. */
    private float[] samples(Walk walk, Latents start, Latents draws, boolean inSigma) {
        List<Latents> samples = new ArrayList<>();
        try (Scope scope = device.scope()) {
            List<Tensor> registers = new ArrayList<>(List.of(start.upload(device, DataType.FLOAT32)));
            while (registers.size() < walk.registers()) {
                registers.add(device.allocate(DataType.FLOAT32, 1, start.height(), start.width(), start.channels()));
            }
            samples.add(inSigma ? start.times(1 / Math.sqrt(walk.steps().getFirst().alphaFrom())) : start);
            Latents x = start;
            int drawn = 0;
            for (Step step : walk.steps()) {
                List<Tensor> terms = new ArrayList<>(registers);
                terms.add(new Latents(model.output(x.values(), step.timestep()), 1, x.channels(), x.height(), x.width()).upload(device, DataType.FLOAT32));
                if (step.noise()) {
                    if (drawn == draws.batch()) {
                        throw new WeightException(folder.golden().description() + ": 'in.noises' has " + drawn + " rows; more are drawn");
                    }
                    terms.add(draws.row(drawn++).upload(device, DataType.FLOAT32));
                }
                float[] factors = new float[registers.size() * terms.size()];
                for (int i = 0; i < factors.length; i++) {
                    factors[i] = (float) step.move()[i / terms.size()][i % terms.size()];
                }
                device.combine(registers, device.upload(DataType.FLOAT32, factors, 1, registers.size(), terms.size()), terms.toArray(Tensor[]::new));
                x = Latents.download(device, registers.getFirst());
                samples.add(inSigma ? x.times(1 / Math.sqrt(step.alphaTo())) : x);
            }
        }
        return Latents.stack(samples).values();
    }
}
