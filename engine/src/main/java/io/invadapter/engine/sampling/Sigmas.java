package io.invadapter.engine.sampling;

/** How noise levels {@code sigma = noise / signal} lie between the largest and the smallest. */
public enum Sigmas {
    /** Where the timesteps lie. */
    NORMAL(""),
    /** Evenly in {@code sigma^(1/7)} (Karras et al. 2022, equation 5). */
    KARRAS(" Karras"),
    /** Evenly in {@code log sigma}. */
    EXPONENTIAL(" Exponential");

    private static final double RHO = 7;

    private final String suffix;

    Sigmas(String suffix) {
        this.suffix = suffix;
    }

    /** What a sampler's name ends with. */
    String suffix() {
        return suffix;
    }

    /** @return {@code n} levels, the first and the last as given */
    double[] between(double first, double last, int n) {
        double[] sigmas = new double[n];
        for (int i = 0; i < n; i++) {
            double part = n == 1 ? 0 : (double) i / (n - 1);
            sigmas[i] = this == KARRAS
                    ? Math.pow(Math.pow(first, 1 / RHO) + part * (Math.pow(last, 1 / RHO) - Math.pow(first, 1 / RHO)), RHO)
                    : Math.exp(Math.log(first) + part * (Math.log(last) - Math.log(first)));
        }
        return sigmas;
    }
}
