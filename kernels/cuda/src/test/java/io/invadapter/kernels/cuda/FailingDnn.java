package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.List;

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

    private record FailingCandidate(Candidate<Plan> candidate, Faults faults) implements Candidate<Plan> {
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

        /** cuDNN allocates a little itself. */
        @Override
        public Plan prepare() {
            faults.convolution("cudnnBackendFinalize");
            faults.allocation("preparing a convolution");
            return new FailingPlan(candidate.prepare(), faults);
        }
    }

    @Override
    public String description() {
        return dnn.description();
    }

    @Override
    public Proposals propose(Shape shape) {
        faults.call("cudnnBackendGetAttribute");
        Proposals proposals = dnn.propose(shape);
        List<Candidate<Plan>> failing = new ArrayList<>();
        proposals.candidates().forEach(candidate -> failing.add(new FailingCandidate(candidate, faults)));
        return new Proposals() {
            @Override
            public List<Candidate<Plan>> candidates() {
                return failing;
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
