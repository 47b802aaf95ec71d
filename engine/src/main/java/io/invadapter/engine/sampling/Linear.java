package io.invadapter.engine.sampling;

/** A sum of a step's registers, prediction and noise, each with a factor: with it samplers are written as their papers write them. */
final class Linear {
    private final double[] factors;

    private Linear(double[] factors) {
        this.factors = factors;
    }

    static Linear zero(int terms) {
        return new Linear(new double[terms]);
    }

    static Linear term(int term, int terms) {
        double[] factors = new double[terms];
        factors[term] = 1;
        return new Linear(factors);
    }

    Linear plus(Linear other) {
        return plus(1, other);
    }

    Linear minus(Linear other) {
        return plus(-1, other);
    }

    /** {@code this + factor other}. */
    Linear plus(double factor, Linear other) {
        double[] sum = factors.clone();
        for (int i = 0; i < sum.length; i++) {
            sum[i] += factor * other.factors[i];
        }
        return new Linear(sum);
    }

    Linear times(double factor) {
        return zero(factors.length).plus(factor, this);
    }

    Linear over(double divisor) {
        return times(1 / divisor);
    }

    double[] factors() {
        return factors.clone();
    }
}
