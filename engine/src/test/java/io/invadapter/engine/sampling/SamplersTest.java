package io.invadapter.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.sampling.NoiseSchedule.Prediction;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SamplersTest {
    private static final Map<String, Object> BASE = Map.of("num_train_timesteps", 1000, "beta_start", 0.00085, "beta_end", 0.012,
            "beta_schedule", "scaled_linear", "steps_offset", 1, "timestep_spacing", "leading", "clip_sample", false, "set_alpha_to_one", false);

    /** Those whose latents are {@code x0 + sigma eps} in diffusers. */
    private static final Set<String> K_DIFFUSION = Set.of("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
            "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "LMSDiscreteScheduler", "DPMSolverSDEScheduler");

    /** Start noise, clean sample and draws of {@code samplers.txt}. */
    private static final double[][] INPUTS = Stream.of(lines().getFirst().split("\\|")).map(SamplersTest::numbers).toArray(double[][]::new);

    /** Of every kind, as a name makes it. */
    private static final List<String> NAMES = Stream.concat(Samplers.names().stream(),
            Stream.of("DDIM eta 1", "Euler karras", "dpmpp_2m exponential", "DPM++ SDE Karras", "dpm_2_ancestral karras", "Euler sgm_uniform")).toList();

    static List<String> names() {
        return NAMES;
    }

    static Stream<String> ofDiffusers() {
        return lines().stream().skip(1);
    }

    @ParameterizedTest
    @MethodSource("ofDiffusers")
    void timestepsAndSamplesAreThoseOfDiffusers(String line) {
        String[] run = line.split("\\|");
        JsonValue config = config(run[0], Json.parse(run[4]));
        double strength = Double.parseDouble(run[2]);
        double eta = Double.parseDouble(run[3]);
        Sampler sampler = eta == 0 ? Samplers.of(config, SamplersTest::unexpected) : Samplers.named("DDIM eta " + eta);
        Walk walk = sampler.walk(new NoiseSchedule(config, SamplersTest::unexpected), Integer.parseInt(run[1]), strength);
        assertEquals(walk.steps().size(), numbers(run[5]).length);
        for (int i = 0; i < walk.steps().size(); i++) {
            assertEquals(numbers(run[5])[i], walk.steps().get(i).timestep(), 0.01);
        }
        double[] expected = numbers(run[6]);
        List<double[]> samples = run(walk, strength < 1);
        int size = INPUTS[0].length;
        for (int i = 0; i < samples.size(); i++) {
            double alpha = i == 0 ? walk.steps().getFirst().alphaFrom() : walk.steps().get(i - 1).alphaTo();
            double scale = K_DIFFUSION.contains(run[0]) ? Math.sqrt(alpha) : 1;
            double[] sample = Arrays.stream(expected, i * size, (i + 1) * size).map(x -> x * scale).toArray();
            assertClose(sample, samples.get(i), "after " + i + " calls");
        }
    }

    private static void assertClose(double[] expected, double[] actual, String what) {
        double difference = IntStream.range(0, expected.length).mapToDouble(i -> Math.pow(actual[i] - expected[i], 2)).sum();
        double norm = DoubleStream.of(expected).map(x -> x * x).sum();
        assertTrue(Math.sqrt(difference / norm) < 1e-4, () -> what + ": " + Arrays.toString(actual) + " instead of " + Arrays.toString(expected));
    }

    /** The latents before the first call and after each, of a network that is a formula. */
    private static List<double[]> run(Walk walk, boolean ofPicture) {
        int size = INPUTS[0].length;
        double[][] registers = new double[walk.registers()][size];
        for (double[] register : registers) {
            Arrays.fill(register, Double.NaN);
        }
        double alpha = walk.steps().getFirst().alphaFrom();
        for (int i = 0; i < size; i++) {
            registers[0][i] = ofPicture ? Math.sqrt(alpha) * INPUTS[1][i] + Math.sqrt(1 - alpha) * INPUTS[0][i] : walk.startScale() * INPUTS[0][i];
        }
        List<double[]> samples = new ArrayList<>(List.of(registers[0]));
        int draw = 0;
        for (Step step : walk.steps()) {
            double a = 0.8 + 0.3 * Math.cos(step.timestep() / 250);
            double b = 0.2 * Math.sin(step.timestep() / 97);
            double[][] terms = Arrays.copyOf(registers, registers.length + 2);
            terms[registers.length] = Arrays.stream(registers[0]).map(x -> Math.tanh(x * a + b)).toArray();
            terms[registers.length + 1] = Arrays.copyOfRange(INPUTS[2], draw * size, (draw + 1) * size);
            registers = moved(step.move(), terms);
            draw += step.noise() ? 1 : 0;
            samples.add(registers[0]);
        }
        return samples;
    }

    private static double[][] moved(double[][] move, double[][] terms) {
        return Stream.of(move).map(factors -> {
            double[] sum = new double[terms[0].length];
            for (int term = 0; term < terms.length; term++) {
                for (int i = 0; i < sum.length && factors[term] != 0; i++) {
                    sum[i] += factors[term] * terms[term][i];
                }
            }
            return sum;
        }).toArray(double[][]::new);
    }

    /** Whatever the sampler: from noise to the end, never back, so that an identity's row can follow. */
    @ParameterizedTest
    @MethodSource("names")
    void everyWalkGoesDownToThePicture(String name) {
        for (int steps : new int[] {4, 5, 20, 40}) {
            for (double strength : new double[] {1, 0.8}) {
                if (name.equals("PNDM") && strength * steps < 4) {
                    continue;
                }
                for (String spacing : List.of("leading", "trailing", "linspace")) {
                    NoiseSchedule schedule = schedule(Map.of("timestep_spacing", spacing));
                    Walk walk = Samplers.named(name).walk(schedule, steps, strength);
                    for (Step step : walk.steps()) {
                        assertTrue(step.alphaTo() >= step.alphaFrom() - 1e-12, () -> name + " goes back at " + step);
                        assertTrue(Stream.of(step.move()).flatMapToDouble(Arrays::stream).allMatch(Double::isFinite));
                        assertEquals(walk.registers(), step.move().length);
                        assertEquals(Arrays.stream(step.move()).anyMatch(row -> row[walk.registers() + 1] != 0), step.noise());
                    }
                    for (double[] row : walk.steps().getFirst().move()) {
                        assertTrue(IntStream.range(1, walk.registers()).allMatch(register -> row[register] == 0), "nothing is remembered yet");
                    }
                    assertTrue(walk.steps().getLast().alphaTo() >= schedule.alpha(0) - 1e-12);
                    assertFalse(walk.steps().getLast().noise() && walk.steps().getLast().alphaTo() == 1, "noise in the finished picture");
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"DDIM,20", "DDPM,20", "PLMS,21", "PNDM,29", "Euler,20", "Euler a,20", "Heun,39", "DPM2,39", "DPM2 a,39", "LMS,20", "DPM++ 2M,20",
        "DPM++ 2M SDE,20", "DPM++ 3M,20", "DPM++ 2S,20", "DPM++ SDE,39", "UniPC,20", "DEIS,20", "LCM,20"})
    void callsOfTwentySteps(String name, int calls) {
        assertEquals(calls, Samplers.named(name).walk(schedule(Map.of()), 20, 1).steps().size());
    }

    /** A network that sees picture and noise as they are leads every deterministic sampler to that picture, by way of the same noise. */
    @ParameterizedTest
    @EnumSource(Prediction.class)
    void aRightPredictionLeadsToThePicture(Prediction prediction) {
        String type = prediction == Prediction.V ? "v_prediction" : prediction == Prediction.SAMPLE ? "sample" : "epsilon";
        NoiseSchedule schedule = schedule(Map.of("prediction_type", type));
        double x0 = 0.7;
        double eps = -1.3;
        // A step of the first two reaches back by the same number of timesteps, wherever the next begins; where they join it makes no difference.
        for (String name : List.of("DDIM", "PLMS", "Euler", "Heun", "DPM2", "LMS", "LMS karras", "DPM++ 2M", "DPM++ 3M", "DPM++ 2S", "UniPC karras", "DEIS")) {
            Walk walk = Samplers.named(name).walk(schedule, 10, 1);
            double start = walk.steps().getFirst().alphaFrom();
            double[][] registers = new double[walk.registers()][1];
            registers[0][0] = Math.sqrt(start) * x0 + Math.sqrt(1 - start) * eps;
            for (Step step : walk.steps()) {
                double alpha = step.alphaFrom();
                double output = switch (prediction) {
                    case EPSILON -> eps;
                    case V -> Math.sqrt(alpha) * eps - Math.sqrt(1 - alpha) * x0;
                    case SAMPLE -> x0;
                };
                double[][] terms = Arrays.copyOf(registers, registers.length + 2);
                terms[registers.length] = new double[] {output};
                terms[registers.length + 1] = new double[] {Double.NaN};
                registers = moved(step.move(), terms);
                // PLMS averages velocities of several levels.
                double limit = name.equals("PLMS") && prediction == Prediction.V ? 0.2 : 1e-6;
                assertEquals(Math.sqrt(step.alphaTo()) * x0 + Math.sqrt(1 - step.alphaTo()) * eps, registers[0][0], limit, name);
            }
        }
    }

    /** The same levels at every call, and back the same way, whatever the pictures do. */
    @ParameterizedTest
    @MethodSource("names")
    void anIdentityFollows(String name) {
        Walk pictures = Samplers.named(name).walk(schedule(Map.of("timestep_spacing", "trailing")), 10, 1);
        Walk beside = IdentityWalk.beside(pictures, Prediction.EPSILON);
        Walk inversion = IdentityWalk.inversion(pictures, Prediction.EPSILON);
        assertEquals(pictures.steps().stream().map(step -> List.of(step.timestep(), step.alphaFrom(), step.alphaTo())).toList(),
                beside.steps().stream().map(step -> List.of(step.timestep(), step.alphaFrom(), step.alphaTo())).toList());
        List<Step> moving = new ArrayList<>(beside.steps().stream().filter(Step::moves).toList());
        assertEquals(moving.size(), inversion.steps().size());
        double x = 0.6;
        for (Step step : inversion.steps()) {
            x = step.move()[0][0] * x + step.move()[0][1] * 0.3;
        }
        for (Step step : beside.steps()) {
            x = step.move()[0][0] * x + step.move()[0][1] * 0.3;
        }
        assertEquals(0.6, x, 1e-9, "with the same outputs both ways");
        if (Set.of("PLMS", "Heun", "DPM2 a", "dpm_2_ancestral karras").contains(name)) {
            assertEquals(10, moving.size(), "a call that corrects is none to follow");
        }
        if (name.equals("DDIM")) {
            assertEquals(pictures.steps().stream().map(step -> Arrays.toString(step.move()[0])).toList(),
                    beside.steps().stream().map(step -> Arrays.toString(step.move()[0])).toList());
        }
    }

    /** A network of velocity that stands for another's noise walks that one's way. */
    @ParameterizedTest
    @ValueSource(strings = {"DDIM", "Euler", "DPM++ 2M Karras"})
    void aVelocityIsReadAsNoiseOnTheWayBack(String name) {
        Walk pictures = Samplers.named(name).walk(schedule(Map.of()), 7, 1);
        List<Step> noise = IdentityWalk.inversion(pictures, Prediction.EPSILON).steps();
        List<Step> velocity = IdentityWalk.inversion(pictures, Prediction.V).steps();
        double x = 0.6;
        double y = 0.6;
        for (int i = 0; i < noise.size(); i++) {
            double eps = Math.sin(5 * x + i);
            // At the level of the timestep, which is the one being reached.
            double alpha = velocity.get(i).alphaTo();
            double v = (eps - Math.sqrt(1 - alpha) * y) / Math.sqrt(alpha);
            x = noise.get(i).move()[0][0] * x + noise.get(i).move()[0][1] * eps;
            y = velocity.get(i).move()[0][0] * y + velocity.get(i).move()[0][1] * v;
            assertEquals(x, y, 1e-9, "step " + i);
            assertEquals(noise.get(i).alphaTo(), velocity.get(i).alphaTo());
        }
    }

    @Test
    void whereTheNetworkPredictsThePictureNoiseCannotComeOfNone() {
        Walk walk = Samplers.named("Euler").walk(schedule(Map.of("prediction_type", "sample")), 10, 1);
        String message = assertThrows(InvalidRequestException.class, () -> IdentityWalk.inversion(walk, Prediction.SAMPLE)).getMessage();
        assertTrue(message.startsWith("a network that predicts the picture cannot turn"), message);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "DDIM | ddim | DDIMScheduler | DDIM", "DDIM eta 0.5 | ddim_eta_0.5 | DDIM eta=0.5 | DDIM eta 0.5", "DDPM | ddpm | DDPMScheduler | DDPM",
        "PLMS | plms | PNDMScheduler | PLMS", "Euler | euler | EulerDiscreteScheduler | Euler",
        "Euler a | euler_ancestral | EulerAncestralDiscreteScheduler | Euler a", "Heun | heun | HeunDiscreteScheduler | Heun",
        "DPM2 | dpm_2 | KDPM2DiscreteScheduler | DPM2", "DPM2 a | dpm_2_ancestral | KDPM2AncestralDiscreteScheduler | DPM2 a",
        "LMS Karras | lms karras | LMSDiscreteScheduler_karras | LMS Karras", "DPM++ 2M | dpmpp_2m | DPMSolverMultistepScheduler | DPM++ 2M",
        "dpm++ 2m karras | dpmpp_2m_karras | DPM++2M-Karras | DPM++ 2M Karras", "DPM++ 2M SDE Exponential | dpmpp_2m_sde exponential | dpmpp_2m_sde_gpu exponential"
        + " | DPM++ 2M SDE Exponential", "DPM++ SDE Karras | dpmpp_sde karras | DPMSolverSDEScheduler karras | DPM++ SDE Karras",
        "DPM++ 3M SDE | dpmpp_3m_sde | dpmpp_3m_sde_gpu | DPM++ 3M SDE", "UniPC | uni_pc | UniPCMultistepScheduler | UniPC", "LCM | lcm | LCMScheduler | LCM",
        "Euler SGM Uniform | euler simple | EULER trailing | Euler trailing", "DPM++ 2M Uniform | dpmpp_2m normal | dpmpp 2m linspace | DPM++ 2M linspace",
        "DDIM DDIM uniform | ddim ddim_uniform | ddim leading | DDIM leading", "Euler Automatic | Euler | k_euler | Euler"})
    void webuisComfyUisAndDiffusersNames(String webui, String comfyUi, String diffusers, String name) {
        assertEquals(Stream.generate(() -> name).limit(3).toList(),
                Stream.of(webui, comfyUi, diffusers).map(Samplers::named).map(Sampler::name).toList());
        assertEquals(name, Samplers.named(name).name());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "karras", "euler b", "DDIM Karras", "DPM++ 2M Karras Exponential", "DPM adaptive", "Euler a a", "ddim eta"})
    void otherNamesAreRefused(String name) {
        String message = assertThrows(InvalidRequestException.class, () -> Samplers.named(name)).getMessage();
        assertTrue(message.startsWith("there is no sampler \"" + name + "\"; expected DDIM, DDPM, PLMS, PNDM, Euler, Euler a, Heun, "), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"ddim eta 1.1", "ddim eta ..", "ddim eta 7"})
    void etaIsBetweenNoneAndAll(String name) {
        assertEquals("the sampler \"" + name + "\" has no eta that can be; expected a number from 0 to 1",
                assertThrows(InvalidRequestException.class, () -> Samplers.named(name)).getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "EulerDiscreteScheduler | {\"use_karras_sigmas\": true} | Euler Karras", "PNDMScheduler | {} | PNDM", "PNDMScheduler | {\"skip_prk_steps\": true} | PLMS",
        "DPMSolverMultistepScheduler | {\"algorithm_type\": \"sde-dpmsolver++\", \"use_exponential_sigmas\": true} | DPM++ 2M SDE Exponential",
        "DPMSolverMultistepScheduler | {\"solver_order\": 1, \"algorithm_type\": \"sde-dpmsolver++\"} | DPM++ 1M SDE",
        "DPMSolverMultistepScheduler | {\"solver_order\": 3, \"lambda_min_clipped\": -Infinity} | DPM++ 3M", "DDIMParallelScheduler | {} | DDIM", "LCMScheduler | {} | LCM"})
    void theModelsOwnSampler(String scheduler, String options, String name) {
        assertEquals(name, Samplers.of(config(scheduler, Json.parse(options)), SamplersTest::unexpected).name());
        assertEquals(name, Samplers.named(name).name(), "what a picture's parameters say can be asked for");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "SASolverScheduler | {} | DDIM | _class_name is \"SASolverScheduler\", which this engine does not compute: it samples with DDIM",
        "DPMSolverMultistepScheduler | {\"solver_type\": \"heun\"} | DPM++ 2M | solver_type is \"heun\", which this engine does not compute: it samples as if it were \"midpoint\"",
        "DPMSolverMultistepScheduler | {\"solver_order\": 4} | DPM++ 2M | solver_order is 4, which this engine does not compute: it samples as if it were 2",
        "EulerDiscreteScheduler | {\"final_sigmas_type\": \"sigma_min\"} | Euler | final_sigmas_type is \"sigma_min\", which this engine does not compute: it samples as if it were \"zero\"",
        "UniPCMultistepScheduler | {\"disable_corrector\": [0]} | UniPC | disable_corrector is [0], which this engine does not compute: it samples as if it were []",
        "HeunDiscreteScheduler | {\"use_beta_sigmas\": true} | Heun | use_beta_sigmas is true, which this engine does not compute: it samples as if it were false",
        "DDPMScheduler | {\"variance_type\": \"fixed_large\"} | DDPM | variance_type is \"fixed_large\", which this engine does not compute: it samples as if it were \"fixed_small\""})
    void whatIsNotComputedIsTold(String scheduler, String options, String name, String notice) {
        List<String> notices = new ArrayList<>();
        assertEquals(name, Samplers.of(config(scheduler, Json.parse(options)), notices::add).name());
        assertEquals(List.of("scheduler_config.json: " + notice), notices);
    }

    /** Neither the defaults of the classes nor what is published asks for anything that is not computed. */
    @Test
    void defaultsNeedNoNotice() {
        resource("/io/invadapter/engine/model/configs/configs.json").asObject().forEach((name, defaults) -> {
            if (name.endsWith("Scheduler")) {
                Samplers.of(defaults.with("_class_name", name), SamplersTest::unexpected).walk(new NoiseSchedule(defaults, notice -> { }), 10, 1);
            }
        });
        assertEquals(List.of("PLMS", "DDIM", "DPM++ 2M Karras"), resource("/io/invadapter/engine/model/configs/published.json").asObject().values().stream()
                .map(model -> Samplers.of(model.get("scheduler"), SamplersTest::unexpected).name()).toList());
    }

    @Test
    void stepsThatCannotBeAreRefused() {
        NoiseSchedule schedule = schedule(Map.of());
        for (String name : NAMES) {
            assertThrows(InvalidRequestException.class, () -> Samplers.named(name).walk(schedule, 0, 1), name);
            assertThrows(InvalidRequestException.class, () -> Samplers.named(name).walk(schedule, 1001, 1), name);
            for (double strength : new double[] {0, -1, 1.1, Double.NaN, 0.01}) {
                assertThrows(InvalidRequestException.class, () -> Samplers.named(name).walk(schedule, 10, strength), name);
            }
        }
        assertEquals("steps must be between 1 and 50, not 51", refused("LCM", 51, 1));
        assertEquals("steps must be between 1 and 25, not 26", refused("LCM", 26, 0.5));
        assertEquals("a strength of 0.05 leaves none of 10 steps; expected 0.1 to 1", refused("DDIM", 10, 0.05));
        assertEquals("PNDM begins with Runge's and Kutta's method over 4 timesteps, not 3; PLMS does without", refused("PNDM", 3, 1));
    }

    @Test
    void noSamplerStartsWhereNothingCanBePredicted() {
        NoiseSchedule schedule = schedule(Map.of("rescale_betas_zero_snr", true));
        assertEquals(901, Samplers.named("DDIM").walk(schedule, 10, 1).steps().getFirst().timestep());
        assertEquals(998, Samplers.named("DDIM trailing").walk(schedule, 10, 1).steps().getFirst().timestep());
        assertEquals("timestep 999 of this model is pure noise (rescale_betas_zero_snr), where a network of prediction_type \"epsilon\" predicts"
                + " nothing; expected a sampler that starts later, such as DDIM", refused("LCM", schedule));
    }

    /** What a file says goes for every sampler; what it does not say is for each what diffusers gives it. */
    @Test
    void whereTheFileIsSilentTheSamplerKnows() {
        Map<String, Object> silent = new LinkedHashMap<>(BASE);
        silent.remove("timestep_spacing");
        silent.remove("set_alpha_to_one");
        for (Object[] expected : new Object[][] {{"DDIM", 901.0, 1.0}, {"PLMS", 901.0, 0.99915}, {"Euler", 999.0, 1.0}, {"DPM++ 2M", 999.0, 1.0},
            {"Euler leading", 901.0, 1.0}, {"Euler trailing", 999.0, 1.0}, {"DDIM trailing", 999.0, 1.0}}) {
            List<Step> steps = Samplers.named((String) expected[0]).walk(
                    new NoiseSchedule(JsonValue.of(silent, "scheduler_config.json"), SamplersTest::unexpected), 10, 1).steps();
            assertEquals(expected[1], steps.getFirst().timestep(), (String) expected[0]);
            assertEquals((double) expected[2], steps.getLast().alphaTo(), 1e-9, (String) expected[0]);
        }
    }

    /** As many as there are, each with finite numbers; but for samplers that cannot go over the same level twice. */
    @ParameterizedTest
    @ValueSource(ints = {998, 999, 1000})
    void manySteps(int steps) {
        for (String name : NAMES) {
            for (String levels : List.of(name, name + " leading", name + " trailing", name + " linspace", name + " Karras")) {
                try {
                    Walk walk = Samplers.named(levels).walk(schedule(Map.of()), name.equals("LCM") ? 50 : steps, 1);
                    assertTrue(walk.steps().stream().flatMap(step -> Stream.of(step.move())).flatMapToDouble(Arrays::stream).allMatch(Double::isFinite),
                            levels);
                } catch (InvalidRequestException e) {
                    assertTrue(e.getMessage().startsWith("there is no sampler") || steps > 998
                            && e.getMessage().equals("with " + steps + " steps this sampler comes to the same noise twice; expected fewer"), e.getMessage());
                }
            }
            assertTrue(List.of("LMS", "DPM++ 2M", "DPM++ 2M SDE", "DPM++ 3M", "DPM++ 3M SDE", "DPM++ 1M", "DPM++ 1M SDE", "UniPC", "DEIS", "LCM").contains(name)
                    || Samplers.named(name).walk(schedule(Map.of()), steps, 1).steps().size() >= steps, name);
        }
    }

    private static String refused(String name, NoiseSchedule schedule) {
        return assertThrows(InvalidRequestException.class, () -> Samplers.named(name).walk(schedule, 10, 1)).getMessage();
    }

    private static String refused(String name, int steps, double strength) {
        return assertThrows(InvalidRequestException.class, () -> Samplers.named(name).walk(schedule(Map.of()), steps, strength)).getMessage();
    }

    private static NoiseSchedule schedule(Map<String, Object> changes) {
        Map<String, Object> config = new LinkedHashMap<>(BASE);
        config.putAll(changes);
        return new NoiseSchedule(JsonValue.of(config, "scheduler_config.json"), SamplersTest::unexpected);
    }

    private static JsonValue config(String scheduler, JsonValue changes) {
        Map<String, Object> config = new LinkedHashMap<>(BASE);
        changes.asObject().forEach((key, value) -> config.put(key, value.isString() ? value.asString() : value.isBoolean() ? (Object) value.asBoolean()
                : value.isList() ? List.of(0) : value.asNumber()));
        config.put("_class_name", scheduler);
        return JsonValue.of(config, "scheduler_config.json");
    }

    private static void unexpected(String notice) {
        throw new AssertionError(notice);
    }

    private static double[] numbers(String text) {
        return Stream.of(text.split(" ")).mapToDouble(Double::parseDouble).toArray();
    }

    private static JsonValue resource(String name) {
        return Json.parse(text(name).getBytes(), "scheduler_config.json");
    }

    private static List<String> lines() {
        return text("samplers.txt").lines().toList();
    }

    private static String text(String resource) {
        try (InputStream in = SamplersTest.class.getResourceAsStream(resource)) {
            return new String(in.readAllBytes());
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
