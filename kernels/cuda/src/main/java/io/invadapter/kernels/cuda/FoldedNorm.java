package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import java.lang.foreign.MemorySegment;

/**
 * Weights of a product with the layer norm in front of it folded in. With mean and rstd of a row x, the product of the normed
 * row is {@code rstd (x weight^T - mean sums) + bias}.
 *
 * @param weight {@code W diag(norm.weight)}, in the type it was folded for
 * @param bias   {@code b + W norm.bias}, float32
 * @param sums   of each row of {@code weight} as it was rounded, float32
 */
record FoldedNorm(HostTensor weight, HostTensor bias, HostTensor sums) {

    static FoldedNorm of(DataType type, HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        int rows = weight.shape()[0];
        int columns = weight.shape()[1];
        float[] scale = norm.weight().toFloats();
        float[] shift = norm.bias().toFloats();
        float[] biases = bias.toFloats();
        float[] sums = new float[rows];
        long rowBytes = (long) columns * type.bytes();
        MemorySegment scaled = MemorySegment.ofArray(new byte[Math.toIntExact(rows * rowBytes)]);
        for (int row = 0; row < rows; row++) {
            float[] w = weight.rows(row, 1).toFloats();
            double shifted = biases[row];
            for (int k = 0; k < columns; k++) {
                shifted += (double) w[k] * shift[k];
                w[k] *= scale[k];
            }
            biases[row] = (float) shifted;
            MemorySegment target = scaled.asSlice(row * rowBytes, rowBytes);
            Floats.write(w, type, target);
            double sum = 0;
            for (float rounded : Floats.read(target, type, columns)) {
                sum += rounded;
            }
            sums[row] = (float) sum;
        }
        return new FoldedNorm(new HostTensor(type, new int[] {rows, columns}, scaled), HostTensor.of(biases, rows),
                HostTensor.of(sums, rows));
    }
}
