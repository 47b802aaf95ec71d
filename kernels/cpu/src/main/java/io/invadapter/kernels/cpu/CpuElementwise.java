package io.invadapter.kernels.cpu;

import io.invadapter.kernels.Floats;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** What is computed element by element, in Java and in float32. */
final class CpuElementwise {

    private CpuElementwise() {
    }

    static void add(CpuDevice device, Tensor a, Tensor b, Tensor y) {
        Bfloat16.inChunks(device, y.elements(), (start, n) -> {
            float[] sum = read(a, start, n);
            add(sum, 1, read(b, start, n));
            write(sum, y, start);
        });
    }

    static void combine(CpuDevice device, List<Tensor> targets, Tensor factors, Tensor... terms) {
        float[] all = device.download(factors);
        // What has the same factors is one row.
        int rows = factors.batch();
        long elements = targets.getFirst().elements() / rows;
        for (int b = 0; b < rows; b++) {
            int row = b;
            Bfloat16.inChunks(device, elements, (start, n) -> combine(targets, all, row, terms, row * elements + start, n));
        }
    }

    /** {@code n} elements of all targets from number {@code start} on, by the factors of that row. */
    private static void combine(List<Tensor> targets, float[] factors, int row, Tensor[] terms, long start, int n) {
        float[][] sums = new float[targets.size()][n];
        for (int j = 0; j < terms.length; j++) {
            float[] term = null;
            for (int i = 0; i < sums.length; i++) {
                float factor = factors[(row * sums.length + i) * terms.length + j];
                if (factor != 0) {
                    term = term == null ? read(terms[j], start, n) : term;
                    add(sums[i], factor, term);
                }
            }
        }
        for (int i = 0; i < sums.length; i++) {
            write(sums[i], targets.get(i), start);
        }
    }

    private static void add(float[] sum, float factor, float[] term) {
        for (int e = 0; e < sum.length; e++) {
            sum[e] += factor * term[e];
        }
    }

    static void matchDeviation(CpuDevice device, Tensor target, Tensor reference, Tensor amounts) {
        float[] all = device.download(amounts);
        device.parallel(all.length, b -> {
            if (all[b] != 0) {
                float[] row = device.download(target.rows(b, 1));
                double ratio = Math.sqrt(variance(device.download(reference.rows(b, 1))) / variance(row));
                float factor = (float) (all[b] * ratio + 1 - all[b]);
                for (int i = 0; i < row.length; i++) {
                    row[i] *= factor;
                }
                device.write(target.rows(b, 1), row);
            }
        });
    }

    private static double variance(float[] values) {
        double sum = 0;
        for (float value : values) {
            sum += value;
        }
        double mean = sum / values.length;
        double squares = 0;
        for (float value : values) {
            squares += (value - mean) * (value - mean);
        }
        return squares / values.length;
    }

    static void blend(CpuDevice device, Tensor target, Tensor other, Tensor mask) {
        float[] shares = device.download(mask);
        int channels = target.size(3);
        Bfloat16.inChunks(device, target.elements(), (start, n) -> {
            float[] values = read(target, start, n);
            float[] known = read(other, start, n);
            for (int i = 0; i < n; i++) {
                // A mask for all of the batch begins again with each row.
                float share = shares[(int) ((start + i) / channels % shares.length)];
                if (share != 1) {
                    values[i] = share == 0 ? known[i] : share * values[i] + (1 - share) * known[i];
                }
            }
            write(values, target, start);
        });
    }

    private static float[] read(Tensor x, long start, int n) {
        return Floats.read(part(x, start, n), x.type(), n);
    }

    private static void write(float[] values, Tensor y, long start) {
        Floats.write(values, y.type(), part(y, start, values.length));
    }

    /** {@code n} elements from number {@code start} on. */
    private static MemorySegment part(Tensor x, long start, int n) {
        int bytes = x.type().bytes();
        return CpuDevice.view(x).asSlice(start * bytes, (long) n * bytes);
    }
}
