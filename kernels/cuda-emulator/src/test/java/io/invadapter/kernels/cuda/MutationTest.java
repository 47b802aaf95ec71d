package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The tests of the kernels, tested: with a small sample of the changes that {@link MutationRun} can make. */
class MutationTest {
    /** What is not found changes nothing in the result: a bound that is never met, a path that only costs time. */
    private static final double LEAST_RATE = 0.9;

    private static MutationRun run;

    @BeforeAll
    static void runAllCases() {
        run = new MutationRun();
    }

    @Test
    void everyInstructionOfEveryKernelIsExecuted() {
        assertEquals(Map.of(), run.neverExecuted());
    }

    @Test
    void mostChangesAreFound() {
        List<MutationRun.Outcome> outcomes = run.run(Integer.getInteger("mutations", 4), "", "");
        System.out.print(MutationRun.report(outcomes));
        assertTrue(MutationRun.rate(outcomes) >= LEAST_RATE, () -> MutationRun.report(outcomes));
        Set<String> changed = outcomes.stream().map(MutationRun.Outcome::kernel).collect(Collectors.toSet());
        assertEquals(new HashSet<>(run.kernels()), changed);
    }

    /** The faults that hide best: on hardware they show now and then. */
    @Test
    void everyMissingBarrierOrWaitIsFound() {
        for (String kernel : List.of("eaa_attention_40", "attention_wide_512", "group_norm", "layer_norm")) {
            for (String kind : List.of("barrier", "wait")) {
                List<MutationRun.Outcome> outcomes = run.run(Integer.MAX_VALUE, kernel, kind);
                assertTrue(outcomes.stream().allMatch(MutationRun.Outcome::found), () -> MutationRun.report(outcomes));
            }
        }
    }
}
