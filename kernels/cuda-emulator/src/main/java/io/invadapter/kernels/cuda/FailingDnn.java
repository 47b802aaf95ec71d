package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;

/** A cuDNN that fails when {@link Faults} says so, on a {@link FailingDriver}. */
final class FailingDnn implements Dnn {
    private final Dnn dnn;
    private final Faults faults;

    FailingDnn(Dnn dnn, Faults faults) {
        this.dnn = dnn;
        this.faults = faults;
    }

    private record FailingPlan(Plan plan, Faults faults) implements Plan {
        @Override
        public long workspaceBytes() {
            return plan.workspaceBytes();
        }

        @Override
        public boolean addsBias() {
            return plan.addsBias();
        }

        @Override
        public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
            faults.convolution("cudnnBackendExecute");
            plan.run(x, w, bias, residual, y, workspace, FailingDriver.inner(stream));
        }

        @Override
        public void close() {
            faults.release(plan::close);
        }
    }

    private record FailingAttention(AttentionPlan plan, Faults faults) implements AttentionPlan {
        @Override
        public long workspaceBytes() {
            return plan.workspaceBytes();
        }

        @Override
        public void run(long q, long k, long v, long out, long workspace, CudaDriver.Stream stream) {
            faults.convolution("cudnnBackendExecute");
            plan.run(q, k, v, out, workspace, FailingDriver.inner(stream));
        }

        @Override
        public void close() {
            faults.release(plan::close);
        }
    }

    @Override
    public String description() {
        return dnn.description();
    }

    @Override
    public Proposals<Plan> propose(Shape shape) {
        faults.call("cudnnBackendGetAttribute");
        return failing(dnn.propose(shape), plan -> new FailingPlan(plan, faults));
    }

    @Override
    public Proposals<AttentionPlan> propose(AttentionShape shape) {
        faults.call("cudnnBackendGetAttribute");
        return failing(dnn.propose(shape), plan -> new FailingAttention(plan, faults));
    }

    private <W extends Way> Proposals<W> failing(Proposals<W> proposals, UnaryOperator<W> plan) {
        // cuDNN allocates a little itself.
        UnaryOperator<Candidate<W>> around = candidate -> new FailingCandidate<>(candidate, () -> {
            faults.convolution("cudnnBackendFinalize");
            faults.allocation("preparing a convolution");
        }, plan);
        List<Candidate<W>> failing = proposals.candidates().stream().map(around).toList();
        return new Proposals<>() {
            @Override
            public List<Candidate<W>> candidates() {
                return failing;
            }

            @Override
            public Optional<Candidate<W>> named(String name) {
                return proposals.named(name).map(around);
            }

            @Override
            public void close() {
                faults.release(proposals::close);
            }
        };
    }

    @Override
    public void close() {
        faults.release(dnn::close);
    }
}
