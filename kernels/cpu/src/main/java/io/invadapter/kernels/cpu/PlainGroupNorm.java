package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.Tensor;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * Group norm in Java, with sums in float64. oneDNN's adds up to a million values one after the other in float32, which in flat areas
 * rounds the same way each time, and a rounded mean is off by more than the deviation of a group can be. In float32 that shows, and
 * groups of few channels fill none of its registers, so this one is also faster; in bfloat16 it is for processors where oneDNN has a
 * plain loop or nothing.
 */
final class PlainGroupNorm {
    /** Values looked at by one thread at a time. */
    private static final int CHUNK = 1 << 15;

    private PlainGroupNorm() {
    }

    /** Mean and 1 / sqrt(variance + epsilon) of a group. */
    private record Group(double mean, double inverse) {
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
            apply(device, x.rows(row, 1), scales, shifts, groups(device, x.rows(row, 1), groups, epsilon), silu, y.rows(row, 1));
        }
    }

    /** The same with statistics {@code [B, groups, 2]} as {@link #statistics} writes them. */
    static void run(CpuDevice device, Tensor x, long scale, long shift, float[] statistics, boolean silu, Tensor y) {
        int channels = x.channels();
        float[] scales = floats(DataType.FLOAT32, scale, channels);
        float[] shifts = floats(DataType.FLOAT32, shift, channels);
        int groups = statistics.length / 2 / x.batch();
        for (int row = 0; row < x.batch(); row++) {
            Group[] own = new Group[groups];
            for (int g = 0; g < groups; g++) {
                int at = 2 * (row * groups + g);
                own[g] = new Group(statistics[at], statistics[at + 1]);
            }
            apply(device, x.rows(row, 1), scales, shifts, own, silu, y.rows(row, 1));
        }
    }

    /** Writes mean and 1 / sqrt(variance + epsilon) of each group of {@code x [B, .., C]}. */
    static void statistics(CpuDevice device, Tensor x, int groups, float epsilon, Tensor statistics) {
        float[] values = new float[2 * groups * x.batch()];
        for (int row = 0; row < x.batch(); row++) {
            Group[] own = groups(device, x.rows(row, 1), groups, epsilon);
            for (int g = 0; g < groups; g++) {
                values[2 * (row * groups + g)] = (float) own[g].mean;
                values[2 * (row * groups + g) + 1] = (float) own[g].inverse;
            }
        }
        device.write(statistics, values);
    }

    private static int positionsAtOnce(int channels) {
        return Math.max(1, CHUNK / channels);
    }

    /** Of one picture. */
    private static Group[] groups(CpuDevice device, Tensor x, int groups, float epsilon) {
        DataType type = x.type();
        int positions = x.positions();
        int channels = x.channels();
        int group = channels / groups;
        int most = positionsAtOnce(channels);
        int chunks = (positions + most - 1) / most;
        long address = x.address();
        long positionBytes = (long) channels * type.bytes();
        float[] first = floats(type, address, channels);
        Sums[] parts = new Sums[chunks];
        device.parallel(chunks, chunk -> {
            int n = Math.min(most, positions - chunk * most);
            parts[chunk] = sums(floats(type, address + chunk * most * positionBytes, n * channels), first);
        });
        Sums sums = Stream.of(parts).reduce(Sums::plus).orElseThrow();

        Group[] result = new Group[groups];
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
            result[g] = new Group(mean, 1 / Math.sqrt(Math.max(variance, 0) + epsilon));
        }
        return result;
    }

    private static void apply(CpuDevice device, Tensor x, float[] scale, float[] shift, Group[] groups, boolean silu, Tensor y) {
        DataType type = x.type();
        int positions = x.positions();
        int channels = x.channels();
        int group = channels / groups.length;
        int most = positionsAtOnce(channels);
        int chunks = (positions + most - 1) / most;
        long from = x.address();
        long to = y.address();
        long positionBytes = (long) channels * type.bytes();
        float[] means = new float[channels];
        float[] factor = new float[channels];
        float[] term = new float[channels];
        for (int g = 0; g < groups.length; g++) {
            double mean = groups[g].mean;
            double inverse = groups[g].inverse;
            for (int c = g * group; c < (g + 1) * group; c++) {
                // What rounding takes from a mean that is large beside the deviation comes back in the term.
                means[c] = (float) mean;
                factor[c] = (float) (scale[c] * inverse);
                term[c] = (float) (shift[c] + scale[c] * inverse * (means[c] - mean));
            }
        }
        device.parallel(chunks, chunk -> {
            int n = Math.min(most, positions - chunk * most) * channels;
            long at = chunk * most * positionBytes;
            float[] values = floats(type, from + at, n);
            for (int start = 0; start < n; start += channels) {
                for (int c = 0; c < channels; c++) {
                    values[start + c] = (values[start + c] - means[c]) * factor[c] + term[c];
                }
            }
            if (silu && type != DataType.FLOAT32) {
                for (int i = 0; i < n; i++) {
                    values[i] /= 1 + (float) Math.exp(-values[i]);
                }
            }
            Floats.write(values, type, NativeMemory.view(to + at, (long) n * type.bytes()));
        });
        // oneDNN's takes a fifth of the time, but would round a coarser type twice.
        if (silu && type == DataType.FLOAT32) {
            silu(device, y);
        }
    }

    /** In place. */
    private static void silu(CpuDevice device, Tensor y) {
        OneDnn oneDnn = device.oneDnn();
        oneDnn.primitive(List.of("silu", y.elements()), d -> {
            dnnl_memory_desc vector = d.rowMajor(DataType.FLOAT32, y.elements());
            dnnl_primitive_desc descriptor = d.primitive("silu", DataType.FLOAT32, d.postOps(), (made, engine, attributes) ->
                    dnnl_eltwise_forward_primitive_desc_create(made, engine, dnnl_forward_inference, dnnl_eltwise_swish, vector, vector, 1, 0,
                            attributes));
            return new Primitive.Builder(oneDnn, descriptor).argument(DNNL_ARG_SRC, vector).argument(DNNL_ARG_DST, vector).build();
        }).run(y.address(), y.address());
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
