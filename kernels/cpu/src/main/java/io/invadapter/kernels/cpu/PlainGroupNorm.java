package io.invadapter.kernels.cpu;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.Tensor;
import java.util.stream.Stream;

/**
 * Group norm in Java, for processors where oneDNN's is a plain loop or lacks the type: it is ten times faster, and exact where
 * that loop adds a million values in float32.
 */
final class PlainGroupNorm {
    /** Values looked at by one thread at a time. */
    private static final int CHUNK = 1 << 15;

    private PlainGroupNorm() {
    }

    /** Sums over some positions of each channel, of values less the channel's value at the first position. */
    private record Sums(double[] values, double[] squares) {
        Sums plus(Sums other) {
            double[] v = values.clone();
            double[] s = squares.clone();
            for (int c = 0; c < v.length; c++) {
                v[c] += other.values[c];
                s[c] += other.squares[c];
            }
            return new Sums(v, s);
        }
    }

    /** Writes the group norm of {@code x [B, .., C]} to {@code y}; scale and shift are addresses of {@code [C]} float32. */
    static void run(CpuDevice device, Tensor x, long scale, long shift, int groups, float epsilon, boolean silu, Tensor y) {
        int channels = x.channels();
        float[] scales = floats(DataType.FLOAT32, scale, channels);
        float[] shifts = floats(DataType.FLOAT32, shift, channels);
        for (int row = 0; row < x.batch(); row++) {
            run(device, x.type(), x.rows(row, 1).address(), x.positions(), scales, shifts, groups, epsilon, silu, y.rows(row, 1).address());
        }
    }

    private static void run(CpuDevice device, DataType type, long x, int positions, float[] scale, float[] shift, int groups, float epsilon,
            boolean silu, long y) {
        int channels = scale.length;
        int group = channels / groups;
        int most = Math.max(1, CHUNK / channels);
        int chunks = (positions + most - 1) / most;
        long positionBytes = (long) channels * type.bytes();
        float[] first = floats(type, x, channels);
        Sums[] parts = new Sums[chunks];
        device.parallel(chunks, chunk -> {
            int n = Math.min(most, positions - chunk * most);
            parts[chunk] = sums(floats(type, x + chunk * most * positionBytes, n * channels), first);
        });
        Sums sums = Stream.of(parts).reduce(Sums::plus).orElseThrow();

        float[] factor = new float[channels];
        float[] term = new float[channels];
        for (int g = 0; g < groups; g++) {
            double count = (double) group * positions;
            double mean = 0;
            for (int c = g * group; c < (g + 1) * group; c++) {
                mean += (sums.values[c] + (double) first[c] * positions) / count;
            }
            double variance = 0;
            for (int c = g * group; c < (g + 1) * group; c++) {
                double off = first[c] - mean;
                variance += (sums.squares[c] + 2 * off * sums.values[c] + off * off * positions) / count;
            }
            double inverse = 1 / Math.sqrt(Math.max(variance, 0) + epsilon);
            for (int c = g * group; c < (g + 1) * group; c++) {
                factor[c] = (float) (scale[c] * inverse);
                // Of the value less the first, so that a large common mean costs no digits.
                term[c] = (float) (shift[c] + scale[c] * inverse * (first[c] - mean));
            }
        }
        device.parallel(chunks, chunk -> {
            int n = Math.min(most, positions - chunk * most) * channels;
            long at = chunk * most * positionBytes;
            float[] values = floats(type, x + at, n);
            for (int start = 0; start < n; start += channels) {
                for (int c = 0; c < channels; c++) {
                    values[start + c] = (values[start + c] - first[c]) * factor[c] + term[c];
                }
            }
            if (silu) {
                for (int i = 0; i < n; i++) {
                    values[i] /= 1 + (float) Math.exp(-values[i]);
                }
            }
            Floats.write(values, type, NativeMemory.view(y + at, (long) n * type.bytes()));
        });
    }

    private static Sums sums(float[] values, float[] first) {
        int channels = first.length;
        double[] sum = new double[channels];
        double[] squares = new double[channels];
        for (int start = 0; start < values.length; start += channels) {
            for (int c = 0; c < channels; c++) {
                double v = values[start + c] - first[c];
                sum[c] += v;
                squares[c] += v * v;
            }
        }
        return new Sums(sum, squares);
    }

    private static float[] floats(DataType type, long address, int n) {
        return Floats.read(NativeMemory.view(address, (long) n * type.bytes()), type, n);
    }
}
