package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * A candidate that fails when {@link Faults} says so.
 *
 * @param preparing what may fail before it is prepared
 * @param failing   puts the failures of its runs around what it is prepared into
 */
record FailingCandidate<W extends Way>(Candidate<W> candidate, Runnable preparing, UnaryOperator<W> failing) implements Candidate<W> {
    @Override
    public String name() {
        return candidate.name();
    }

    @Override
    public List<String> notes() {
        return candidate.notes();
    }

    @Override
    public boolean compiledAtRunTime() {
        return candidate.compiledAtRunTime();
    }

    @Override
    public boolean isLastResort() {
        return candidate.isLastResort();
    }

    @Override
    public W prepare() {
        preparing.run();
        return failing.apply(candidate.prepare());
    }
}
