package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;

/** A process for {@link FakeLibrariesTest} that lets cuDNN compute an attention in every way that it proposes. */
final class FakeAttention {
    /** q, k and v are parts of a fused projection. */
    private static final Dnn.Strides PART = new Dnn.Strides(4096 * 960, 960, 40);
    private static final Dnn.AttentionShape SHAPE = new Dnn.AttentionShape(DataType.FLOAT16, 2, 8, 4096, 4096, 40, 0.25f, PART,
            PART, PART, new Dnn.Strides(4096 * 320, 320, 40));

    private FakeAttention() {
    }

    public static void main(String[] arguments) {
        FakeDriver driver = new FakeDriver(13000);
        try (CudaLibraries libraries = CudaLibraries.open(driver);
                Dnn.Proposals<Dnn.AttentionPlan> proposals = libraries.dnn().propose(SHAPE)) {
            for (Candidate<Dnn.AttentionPlan> candidate : proposals.candidates()) {
                try (Dnn.AttentionPlan plan = candidate.prepare()) {
                    plan.run(0x1000, 0x2000, 0x3000, 0x4000, 0x5000, driver.newStream());
                    System.out.println(candidate.name() + " " + candidate.notes() + ": " + plan.workspaceBytes() + " bytes");
                } catch (DeviceException e) {
                    System.out.println(candidate.name() + ": " + e.getMessage());
                }
            }
        }
    }
}
