package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;

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
        public String description() {
            return plan.description();
        }

        @Override
        public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
            faults.convolution("cudnnBackendExecute");
            plan.run(x, w, bias, residual, y, workspace, FailingDriver.inner(stream));
        }
    }

    @Override
    public String description() {
        return dnn.description();
    }

    /** It allocates what it tries the ways on. */
    @Override
    public Plan plan(Shape shape, long workspaceLimit) {
        faults.convolution("cudnnBackendFinalize");
        faults.allocation("planning a convolution");
        return new FailingPlan(dnn.plan(shape, workspaceLimit), faults);
    }

    @Override
    public void close() {
        faults.release(dnn::close);
    }
}
