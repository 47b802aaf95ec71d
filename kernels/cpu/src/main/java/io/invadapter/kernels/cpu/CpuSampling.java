package io.invadapter.kernels.cpu;

import io.invadapter.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** What a sampler does to latents, in Java. All of it is float32. */
final class CpuSampling {

    private CpuSampling() {
    }

    static void combine(CpuDevice device, List<Tensor> targets, Tensor factors, Tensor... terms) {
        float[] all = device.download(factors);
        MemorySegment[] from = new MemorySegment[terms.length];
        for (int j = 0; j < terms.length; j++) {
            from[j] = CpuDevice.view(terms[j]);
        }
        List<MemorySegment> to = targets.stream().map(CpuDevice::view).toList();
        // What has the same factors is one row.
        int rows = factors.batch();
        long elements = targets.getFirst().elements() / rows;
        for (int b = 0; b < rows; b++) {
            int row = b;
            Bfloat16.inChunks(device, elements, (start, n) -> combine(to, all, row, from, row * elements + start, n));
        }
    }

    /** {@code n} elements of all targets from number {@code start} on, by the factors of that row. */
    private static void combine(List<MemorySegment> targets, float[] factors, int row, MemorySegment[] terms, long start, int n) {
        float[][] sums = new float[targets.size()][n];
        for (int j = 0; j < terms.length; j++) {
            float[] term = null;
            for (int i = 0; i < sums.length; i++) {
                float factor = factors[(row * sums.length + i) * terms.length + j];
                if (factor != 0) {
                    term = term == null ? floats(terms[j], start, n) : term;
                    add(sums[i], factor, term);
                }
            }
        }
        for (int i = 0; i < sums.length; i++) {
            MemorySegment.copy(sums[i], 0, targets.get(i), ValueLayout.JAVA_FLOAT, Float.BYTES * start, n);
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

    private static float[] floats(MemorySegment source, long start, int n) {
        return source.asSlice(Float.BYTES * start, (long) Float.BYTES * n).toArray(ValueLayout.JAVA_FLOAT);
    }
}
