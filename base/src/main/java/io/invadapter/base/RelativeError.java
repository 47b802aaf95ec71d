package io.invadapter.base;

/** How far numbers are from those they should be: {@code ||found - expected|| / ||expected||}, Euclidean norms. */
public final class RelativeError {

    private RelativeError() {
    }

    /**
     * @return the norm of what was found where all that is expected is 0
     * @throws IllegalArgumentException when there are not as many of both
     */
    public static double of(float[] found, float[] expected) {
        if (found.length != expected.length) {
            throw new IllegalArgumentException(found.length + " values where " + expected.length + " are expected");
        }
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            double d = (double) found[i] - expected[i];
            difference += d * d;
            norm += (double) expected[i] * expected[i];
        }
        return Math.sqrt(norm == 0 ? difference : difference / norm);
    }
}
