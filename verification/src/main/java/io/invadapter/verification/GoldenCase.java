package io.invadapter.verification;

import io.invadapter.kernels.Precision;
import io.invadapter.verification.Verification.Part;
import java.util.Set;

/**
 * What one kind of golden data has computed: a class for each {@code case} of case.json, listed in {@link Cases}. It loads its model
 * when it is made, from its {@link CaseFolder}.
 */
interface GoldenCase {

    /**
     * Computes {@code parts} and nothing else.
     *
     * @param results take them in, under the golden keys; what the golden data has no key for is left out
     */
    void compute(Set<Part> parts, Results results);

    /** Whether the golden key is an input, which there is nothing to compare with; all others must be computed. */
    default boolean isInput(String key) {
        return key.startsWith("in.");
    }

    /** How far the result may be from the reference's: tokens are the same or not. */
    default Limit limit(String key, Precision precision) {
        if (key.equals("ids") || key.startsWith("ids.")) {
            return Limit.EQUAL;
        }
        return key.startsWith("loop.") ? Limit.loop(precision) : Limit.pass(precision);
    }
}
