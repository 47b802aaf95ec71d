package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.STEPS;
import static io.invadapter.engine.pipeline.Pictures.assertClose;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.IdentityBudget;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What every step of a request computes again, and what only the first. */
class StepTest {

    /** @param passes of a face: its inversion, and its own way beside the pictures where it has one */
    @ParameterizedTest
    @CsvSource({"true, 64, 2", "true, 128, 1", "false, 64, 2"})
    void noStepMakesAgainWhatNoStepChanges(boolean together, int size, int passes) {
        WatchedDevice device = new WatchedDevice();
        device.prefersLargeBatches = together;
        try (Pipeline pipeline = open(IdentityBudget.NONE, device)) {
            for (GenerationRequest.Builder request : List.of(request(null, "a person", 1), request(FACES.get(0), "a person", 1))) {
                Map<String, Integer> step = callsOfAStep(pipeline, device, request.size(size, size));
                boolean face = request.build().face() != null;
                assertEquals(face ? 1 + passes : 1, calls(step, "toActivations", ""));
                assertEquals(0, calls(step, "linear", ", 77, "), "products of the 77 tokens of a text");
                // Where rows are better not computed together, each timestep is embedded for itself: inverting, and generating.
                assertEquals(together ? 0 : face ? 2 : 1, calls(step, "timestepEmbedding", ""));
            }
        }
    }

    @Test
    void aLongWalkGoesThroughTheRightTimesteps() {
        WatchedDevice device = new WatchedDevice();
        device.prefersLargeBatches = true;
        GenerationRequest request = request(null, "a person", 1).steps(67).guidanceScale(1).build();
        try (Pipeline together = open(IdentityBudget.NONE, device); Pipeline apart = open(IdentityBudget.NONE)) {
            assertClose(apart.generate(request), together.generate(request));
            assertEquals(2, calls(device.calls, "timestepEmbedding", ""));
        }
    }

    /** What one step more takes more of. */
    private static Map<String, Integer> callsOfAStep(Pipeline pipeline, WatchedDevice device, GenerationRequest.Builder request) {
        device.calls.clear();
        pipeline.generate(request.steps(STEPS).build());
        Map<String, Integer> fewer = new HashMap<>(device.calls);
        device.calls.clear();
        pipeline.generate(request.steps(STEPS + 1).build());
        Map<String, Integer> more = new HashMap<>(device.calls);
        fewer.forEach((call, count) -> more.merge(call, -count, Integer::sum));
        return more;
    }

    private static int calls(Map<String, Integer> calls, String operator, String shape) {
        return calls.entrySet().stream().filter(call -> call.getKey().startsWith(operator) && call.getKey().contains(shape))
                .mapToInt(Map.Entry::getValue).sum();
    }
}
