package io.invadapter.engine.vae;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;

/** Mean and variance of each group of a map, put together from those of its parts (Chan, Golub and LeVeque 1979, equation 2.1). */
final class GroupStatistics {
    private final double[] means;
    /** Sums of squared distances from the mean, for each value of a position. */
    private final double[] squares;
    private long positions;

    GroupStatistics(int groups) {
        this.means = new double[groups];
        this.squares = new double[groups];
    }

    /** @param part as {@link Device#groupStatistics} gives it with an epsilon of 0, for one map */
    void add(float[] part, int ofPart) {
        long all = positions + ofPart;
        for (int g = 0; g < means.length; g++) {
            double away = part[2 * g] - means[g];
            // The deviation's inverse is infinite where all values are equal.
            double variance = 1 / ((double) part[2 * g + 1] * part[2 * g + 1]);
            squares[g] += variance * ofPart + away * away * positions * ofPart / all;
            means[g] += away * ofPart / all;
        }
        positions = all;
    }

    /** As {@link Device#groupNorm(Tensor, io.invadapter.kernels.Operators.Norm, Tensor, boolean)} takes it. */
    Tensor upload(Device device, float epsilon) {
        float[] values = new float[2 * means.length];
        for (int g = 0; g < means.length; g++) {
            values[2 * g] = (float) means[g];
            values[2 * g + 1] = (float) (1 / Math.sqrt(squares[g] / positions + epsilon));
        }
        return device.upload(DataType.FLOAT32, values, 1, means.length, 2);
    }
}
