package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import java.util.Optional;

/** A process for {@link FakeLibrariesTest} that prepares convolutions by their names alone. */
final class NamedEngines {
    private NamedEngines() {
    }

    /** @param arguments the names */
    public static void main(String[] arguments) {
        try (CudaLibraries libraries = CudaLibraries.open(new FakeDriver(12040));
             Dnn.Proposals<Dnn.Plan> proposals = libraries.dnn().propose(FakeLibraries.WITH_RESIDUAL)) {
            for (String name : arguments) {
                Optional<Candidate<Dnn.Plan>> candidate = proposals.named(name);
                if (candidate.isEmpty()) {
                    System.out.println("none");
                } else {
                    try (Dnn.Plan plan = candidate.get().prepare()) {
                        System.out.println(candidate.get().notes() + ": " + plan.workspaceBytes() + " bytes");
                    }
                }
            }
        }
    }
}
