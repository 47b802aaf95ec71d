package io.invadapter.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.model.ConfigurationsTest;
import io.invadapter.engine.sampling.NoiseSchedule.Prediction;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class NoiseScheduleTest {

    private static final NoiseSchedule SCHEDULE = schedule(
            Map.of("beta_start", 0.00085, "beta_end", 0.012, "beta_schedule", "scaled_linear", "set_alpha_to_one", false));

    private static NoiseSchedule schedule(Map<String, Object> config) {
        return schedule(JsonValue.of(config, "scheduler_config.json"));
    }

    private static NoiseSchedule schedule(JsonValue config) {
        return new NoiseSchedule(config, notice -> {
            throw new AssertionError(notice);
        });
    }

    private static List<Step> ddim(NoiseSchedule schedule, int steps) {
        return new Ddim().walk(schedule, steps, 1).steps();
    }

    static Stream<JsonValue> ofDiffusers() {
        return ConfigurationsTest.resource("schedules.json").asList().stream();
    }

    @ParameterizedTest
    @MethodSource("ofDiffusers")
    void timestepsAndMovesAreThoseOfDiffusers(JsonValue expected) {
        int steps = expected.get("steps").asInt();
        List<Step> ddim = ddim(schedule(expected.get("config")), steps);
        for (int i = 0; i < steps; i++) {
            assertEquals(expected.get("timesteps").asList().get(i).asInt(), ddim.get(i).timestep());
            List<JsonValue> factors = expected.get("factors").asList().get(i).asList();
            assertEquals(factors.get(0).asDouble(), ddim.get(i).move()[0][0], 1e-5 * Math.abs(factors.get(0).asDouble()) + 1e-6);
            assertEquals(factors.get(1).asDouble(), ddim.get(i).move()[0][1], 1e-5 * Math.abs(factors.get(1).asDouble()) + 1e-6);
        }
    }

    /** Whatever the network predicts: when it predicts right, a move leads from x0 and eps at one level to the same at the other. */
    @ParameterizedTest
    @EnumSource(Prediction.class)
    void aRightPredictionKeepsPictureAndNoise(Prediction prediction) {
        double x0 = 0.7;
        double eps = -1.3;
        for (double from : new double[] {0.9, 0.5, 0.004}) {
            for (double to : new double[] {0.95, 0.5, 0.02}) {
                double x = Math.sqrt(from) * x0 + Math.sqrt(1 - from) * eps;
                double output = switch (prediction) {
                    case EPSILON -> eps;
                    case V -> Math.sqrt(from) * eps - Math.sqrt(1 - from) * x0;
                    case SAMPLE -> x0;
                };
                double[] factors = Ddim.step(1, from, to, prediction).move()[0];
                assertEquals(Math.sqrt(to) * x0 + Math.sqrt(1 - to) * eps, factors[0] * x + factors[1] * output, 1e-5);
            }
        }
    }

    @Test
    void theTableOfAnotherNoiseIsRefused() {
        double[] alphas = SCHEDULE.alphasCumprod();
        Map<String, Object> config = new HashMap<>(Map.of("beta_start", 0.00085, "beta_end", 0.012, "beta_schedule", "scaled_linear"));
        // As float16 and bfloat16 have it.
        config.put("alphas_cumprod", Arrays.stream(alphas).mapToObj(alpha -> (double) Float.float16ToFloat(Float.floatToFloat16((float) alpha))).toList());
        schedule(config);
        config.put("alphas_cumprod", Arrays.stream(alphas).mapToObj(alpha -> alpha * (1 - 0x1p-9)).toList());
        schedule(config);
        config.put("alphas_cumprod", Arrays.stream(alphas).mapToObj(alpha -> Math.pow((Math.sqrt(alpha) - Math.sqrt(alphas[999])), 2)).toList());
        assertTrue(refused(config).startsWith("scheduler_config.json: alphas_cumprod is the table of another noise"), refused(config));
        config.put("alphas_cumprod", Arrays.stream(alphas).limit(999).boxed().toList());
        assertTrue(refused(config).contains("NaN at timestep 999 where 0.00466"), refused(config));
    }

    private static String refused(Map<String, Object> config) {
        return assertThrows(WeightException.class, () -> schedule(config)).getMessage();
    }

    @Test
    void velocityStartsAtPureNoise() {
        NoiseSchedule velocity = schedule(Map.of("prediction_type", "v_prediction", "rescale_betas_zero_snr", true, "timestep_spacing", "trailing",
                "set_alpha_to_one", false));
        Step first = ddim(velocity, 5).getFirst();
        assertEquals(999, first.timestep());
        assertEquals(0, first.alphaFrom());
        assertEquals(-Math.sqrt(first.alphaTo()), first.move()[0][1], 1e-6);
        double[] last = IdentityWalk.inversion(new Ddim().walk(velocity, 5, 1), Prediction.V).steps().getLast().move()[0];
        assertTrue(Double.isFinite(last[0]) && Double.isFinite(last[1]));
    }

    @Test
    void noiseCannotBePredictedFromPureNoise() {
        NoiseSchedule leading = schedule(Map.of("rescale_betas_zero_snr", true));
        for (int steps : new int[] {1, 50, 1000}) {
            for (Step step : ddim(leading, steps)) {
                assertTrue(step.alphaFrom() > 0);
            }
        }
        String message = assertThrows(WeightException.class,
                () -> schedule(Map.of("rescale_betas_zero_snr", true, "timestep_spacing", "trailing"))).getMessage();
        assertTrue(message.startsWith("scheduler_config.json: rescale_betas_zero_snr and timestep_spacing \"trailing\" start at pure noise"), message);
    }

    @Test
    void defaultsAreThoseOfTheSchedulerTheFileNames() {
        assertEquals(1 - 0.0001, schedule(Map.of()).alphasCumprod()[0], 1e-12);
        assertEquals(1 - 0.0001, schedule(Map.of("_class_name", "PNDMScheduler")).alphasCumprod()[0], 1e-12);
        assertEquals(1 - 0.00085, schedule(Map.of("_class_name", "HeunDiscreteScheduler")).alphasCumprod()[0], 1e-12);
        assertEquals(1, ddim(schedule(Map.of()), 1).getFirst().alphaTo());
    }

    @Test
    void fiftyStepsAre981To1() {
        int[] timesteps = SCHEDULE.timesteps(50);
        assertEquals(50, timesteps.length);
        for (int i = 0; i < 50; i++) {
            assertEquals(981 - 20 * i, timesteps[i]);
        }
    }

    @Test
    void alphasAreThoseOfStableDiffusion() {
        double[] alphas = SCHEDULE.alphasCumprod();
        assertEquals(1000, alphas.length);
        assertEquals(0.99915, alphas[0], 1e-12);
        assertEquals(0.004660, alphas[999], 1e-6);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7, 50, 333, 999, 1000})
    void samplingGoesDownToTheFirstAlpha(int steps) {
        List<Step> ddim = ddim(SCHEDULE, steps);
        double[] alphas = SCHEDULE.alphasCumprod();
        assertEquals(steps, ddim.size());
        for (Step step : ddim) {
            assertTrue(step.timestep() >= 0 && step.timestep() < 1000);
            assertEquals(alphas[(int) step.timestep()], step.alphaFrom());
            assertTrue(step.alphaTo() >= step.alphaFrom(), "noise never grows");
        }
        assertEquals(alphas[0], ddim.getLast().alphaTo());
    }

    @Test
    void levelsOfEvenStepsJoin() {
        List<Step> ddim = ddim(SCHEDULE, 50);
        for (int i = 1; i < 50; i++) {
            assertEquals(ddim.get(i - 1).alphaTo(), ddim.get(i).alphaFrom());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 50, 1000})
    void inversionMirrorsSampling(int steps) {
        List<Step> sampling = ddim(SCHEDULE, steps);
        List<Step> inversion = IdentityWalk.inversion(new Ddim().walk(SCHEDULE, steps, 1), Prediction.EPSILON).steps();
        assertEquals(steps, inversion.size());
        for (int i = 0; i < steps; i++) {
            Step s = sampling.get(steps - 1 - i);
            assertEquals(List.of(s.timestep(), s.alphaTo(), s.alphaFrom()),
                    List.of(inversion.get(i).timestep(), inversion.get(i).alphaFrom(), inversion.get(i).alphaTo()));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1001, -1, Integer.MIN_VALUE, Integer.MAX_VALUE})
    void otherNumbersOfStepsAreRefused(int steps) {
        String message = assertThrows(InvalidRequestException.class, () -> SCHEDULE.timesteps(steps)).getMessage();
        assertEquals("steps must be between 1 and 1000, not " + steps, message);
        assertThrows(InvalidRequestException.class, () -> ddim(SCHEDULE, steps));
    }

    @Test
    void configurationIsRead() {
        NoiseSchedule linear = schedule(Map.of("beta_schedule", "linear", "beta_start", 0.1, "beta_end", 0.3,
                "num_train_timesteps", 3L, "set_alpha_to_one", true));
        assertEquals(0.9 * 0.8 * 0.7, linear.alphasCumprod()[2], 1e-12);
        assertEquals(2, linear.timesteps(3)[0]);
        assertEquals(1, ddim(linear, 1).getFirst().alphaTo());
    }

    @Test
    void otherModelsAreRefused() {
        assertThrows(WeightException.class, () -> schedule(Map.of("prediction_type", "flow_prediction")));
        assertThrows(WeightException.class, () -> schedule(Map.of("trained_betas", List.of(0.1, 0.2))));
        assertThrows(WeightException.class, () -> schedule(Map.of("num_train_timesteps", 2L, "trained_betas", List.of(0.1, 1.2))));
        assertThrows(WeightException.class, () -> schedule(Map.of("num_train_timesteps", 1L)));
        assertThrows(WeightException.class, () -> schedule(Map.of("beta_start", 0.5, "beta_end", 0.1)));
    }
}
