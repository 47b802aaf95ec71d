package io.invadapter.verification;

import io.invadapter.kernels.Precision;

/**
 * How far a result may be from the reference's.
 *
 * @param most     infinite where it is only reported
 * @param absolute whether it is of the largest difference; else of the {@linkplain io.invadapter.base.RelativeError relative error}
 */
record Limit(double most, boolean absolute) {
    /** Of what is not computed with rounding. */
    static final Limit EQUAL = new Limit(0, true);

    /** After a single pass of a network. */
    static Limit pass(Precision precision) {
        return new Limit(switch (precision) {
            case FP32 -> 2e-5;
            case FP16 -> 2e-2;
            case BF16 -> 5e-2;
        }, false);
    }

    /** After a loop of many passes, which amplify rounding. */
    static Limit loop(Precision precision) {
        return new Limit(precision == Precision.FP32 ? 1e-3 : Double.POSITIVE_INFINITY, false);
    }
}
