package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.KernelCases;

/** Every kernel case against its float64 reference, float16 first. */
final class Cases {

    private Cases() {
    }

    static void run(Contact contact) {
        int[] number = {0};
        for (DataType type : Proofs.TYPES) {
            KernelCases.each(contact.driver(), type, (name, one) -> {
                if (contact.sizes().cases().test(number[0]++)) {
                    contact.item(Proofs.name(type) + ": " + name, contact.sizes().limit(), () -> {
                        try {
                            one.run();
                        } catch (AssertionError e) {
                            return Outcome.failed(e.getMessage());
                        }
                        return Outcome.of(true, "", null);
                    });
                }
            });
        }
    }
}
