package io.invadapter.gpucheck.first;

import io.invadapter.timing.GenerationBench;
import io.invadapter.timing.Structure;
import io.invadapter.verification.Verification.Part;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.IntPredicate;

/**
 * How large everything is: {@link #real}, or small enough for an emulated GPU.
 *
 * @param structure   of the model whose step is measured
 * @param picture     height and width of the pictures
 * @param copied      bytes of a copy
 * @param product     rows and columns of the largest product
 * @param cases       which of the kernel cases, by their number
 * @param goldens     folders of golden data, as far as they are there
 * @param parts       of them
 * @param fewSteps    the first is called, the second captured, the others replayed
 * @param manySteps   more, to time a replayed one
 * @param requests    what is benchmarked
 * @param limit       seconds of an item that takes a second at most when all is well
 * @param timing      of operators and of steps
 */
public record Sizes(Structure structure, int picture, long copied, int product, IntPredicate cases, Callable<List<Path>> goldens, Set<Part> parts,
        int fewSteps, int manySteps, GenerationBench.Options requests, double limit, Timing timing) {

    /**
     * How an operator is timed, and requests for the time of a step.
     *
     * @param calls   in one recording
     * @param warmUp  milliseconds of replays before any counts: a chip that was idle runs slowly at first
     * @param samples replays or requests, of which the least counts
     */
    public record Timing(int calls, double warmUp, int samples) {
    }

    /** Stable Diffusion 1.5 with pictures of 512 x 512. */
    public static Sizes real(Callable<List<Path>> goldens) {
        return new Sizes(Structure.STABLE_DIFFUSION_15, 512, 1L << 30, 8192, number -> true, goldens, EnumSet.allOf(Part.class),
                3, 24, new GenerationBench.Options(50, List.of(1), 512, 5, 8), 20, new Timing(10, 5, 7));
    }
}
