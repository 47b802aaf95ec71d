package io.invadapter.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.NoiseSchedule.Level;
import io.invadapter.weights.JsonValue;
import io.invadapter.weights.WeightException;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NoiseScheduleTest {

    private static final NoiseSchedule SCHEDULE = schedule(Map.of());

    private static NoiseSchedule schedule(Map<String, Object> config) {
        return new NoiseSchedule(JsonValue.of(config, "scheduler_config.json"));
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
        Level[] levels = SCHEDULE.samplingLevels(steps);
        double[] alphas = SCHEDULE.alphasCumprod();
        assertEquals(steps, levels.length);
        for (int i = 0; i < steps; i++) {
            assertTrue(levels[i].timestep() >= 0 && levels[i].timestep() < 1000);
            assertEquals(alphas[levels[i].timestep()], levels[i].alphaFrom());
            assertTrue(levels[i].alphaTo() >= levels[i].alphaFrom(), "noise never grows");
        }
        assertEquals(alphas[0], levels[steps - 1].alphaTo());
    }

    @Test
    void levelsOfEvenStepsJoin() {
        Level[] levels = SCHEDULE.samplingLevels(50);
        for (int i = 1; i < levels.length; i++) {
            assertEquals(levels[i - 1].alphaTo(), levels[i].alphaFrom());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 50, 1000})
    void inversionMirrorsSampling(int steps) {
        Level[] sampling = SCHEDULE.samplingLevels(steps);
        Level[] inversion = SCHEDULE.inversionLevels(steps);
        assertEquals(steps, inversion.length);
        for (int i = 0; i < steps; i++) {
            Level s = sampling[steps - 1 - i];
            assertEquals(new Level(s.timestep(), s.alphaTo(), s.alphaFrom()), inversion[i]);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1001, -1, Integer.MIN_VALUE, Integer.MAX_VALUE})
    void otherNumbersOfStepsAreRefused(int steps) {
        String message = assertThrows(InvalidRequestException.class, () -> SCHEDULE.timesteps(steps)).getMessage();
        assertEquals("steps must be between 1 and 1000, not " + steps, message);
        assertThrows(InvalidRequestException.class, () -> SCHEDULE.samplingLevels(steps));
        assertThrows(InvalidRequestException.class, () -> SCHEDULE.inversionLevels(steps));
    }

    @Test
    void configurationIsRead() {
        NoiseSchedule linear = schedule(Map.of("beta_schedule", "linear", "beta_start", 0.1, "beta_end", 0.3,
                "num_train_timesteps", 3L, "steps_offset", 0L, "set_alpha_to_one", true));
        assertEquals(0.9 * 0.8 * 0.7, linear.alphasCumprod()[2], 1e-12);
        assertEquals(2, linear.timesteps(3)[0]);
        assertEquals(1, linear.samplingLevels(3)[2].alphaTo());
    }

    @Test
    void otherModelsAreRefused() {
        assertThrows(WeightException.class, () -> schedule(Map.of("prediction_type", "v_prediction")));
        assertThrows(WeightException.class, () -> schedule(Map.of("beta_schedule", "squaredcos_cap_v2")));
        assertThrows(WeightException.class, () -> schedule(Map.of("num_train_timesteps", 1L)));
        assertThrows(WeightException.class, () -> schedule(Map.of("beta_start", 0.5, "beta_end", 0.1)));
    }
}
