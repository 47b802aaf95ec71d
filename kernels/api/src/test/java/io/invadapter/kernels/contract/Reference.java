package io.invadapter.kernels.contract;

import io.invadapter.kernels.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The operators of {@link Device} in float64, as plainly as they can be written. {@code null} stands for absent arguments. */
final class Reference {

    private Reference() {
    }

    static Values linear(Values x, Values weight, Values bias, Device.Activation activation, Values residual) {
        int in = weight.size(1);
        int out = weight.size(0);
        int[] shape = x.shape().clone();
        shape[shape.length - 1] = out;
        Values y = new Values(shape);
        for (int i = 0; i < y.data().length; i++) {
            double sum = bias == null ? 0 : bias.data()[i % out];
            for (int k = 0; k < in; k++) {
                sum += x.data()[i / out * in + k] * weight.data()[i % out * in + k];
            }
            y.data()[i] = activate(sum, activation) + at(residual, i);
        }
        return y;
    }

    static Values gatedLinear(Values x, Values weight, Values bias) {
        int features = weight.batch() / 2;
        Values value = linear(x, weight.rows(0, features), bias.rows(0, features), Device.Activation.NONE, null);
        Values gate = linear(x, weight.rows(features, features), bias.rows(features, features), Device.Activation.GELU, null);
        for (int i = 0; i < value.data().length; i++) {
            value.data()[i] *= gate.data()[i];
        }
        return value;
    }

    static Values mixTokens(Values x, Values mixer) {
        int tokens = x.size(1);
        int channels = x.channels();
        Values y = new Values(x.batch(), mixer.size(0), channels);
        for (int b = 0; b < x.batch(); b++) {
            for (int i = 0; i < mixer.size(0); i++) {
                for (int j = 0; j < tokens; j++) {
                    for (int c = 0; c < channels; c++) {
                        y.data()[(b * mixer.size(0) + i) * channels + c] +=
                                mixer.data()[i * tokens + j] * x.data()[(b * tokens + j) * channels + c];
                    }
                }
            }
        }
        return y;
    }

    static Values conv2d(Values x, Values weight, Values bias, int stride, Device.Padding padding, Values shift, Values residual) {
        int height = x.size(1);
        int width = x.size(2);
        int in = weight.size(1);
        int out = weight.size(0);
        int kernelHeight = weight.size(2);
        int kernelWidth = weight.size(3);
        Values y = new Values(x.batch(), (height + padding.top() + padding.bottom() - kernelHeight) / stride + 1,
                (width + padding.left() + padding.right() - kernelWidth) / stride + 1, out);
        int at = 0;
        for (int b = 0; b < x.batch(); b++) {
            for (int row = 0; row < y.size(1); row++) {
                for (int column = 0; column < y.size(2); column++) {
                    for (int o = 0; o < out; o++) {
                        double sum = at(bias, o) + at(residual, at)
                                + at(shift, shift == null || shift.batch() == 1 ? o : b * out + o);
                        for (int ky = 0; ky < kernelHeight; ky++) {
                            for (int kx = 0; kx < kernelWidth; kx++) {
                                int sy = row * stride + ky - padding.top();
                                int sx = column * stride + kx - padding.left();
                                if (sy >= 0 && sy < height && sx >= 0 && sx < width) {
                                    for (int i = 0; i < in; i++) {
                                        sum += x.data()[((b * height + sy) * width + sx) * in + i]
                                                * weight.data()[((o * in + i) * kernelHeight + ky) * kernelWidth + kx];
                                    }
                                }
                            }
                        }
                        y.data()[at++] = sum;
                    }
                }
            }
        }
        return y;
    }

    static Values groupNorm(Values x, Values weight, Values bias, int groups, double epsilon, boolean silu) {
        int positions = x.positions();
        int channels = x.channels();
        int width = channels / groups;
        Values y = new Values(x.shape());
        for (int b = 0; b < x.batch(); b++) {
            for (int g = 0; g < groups; g++) {
                int[] members = new int[positions * width];
                for (int i = 0; i < members.length; i++) {
                    members[i] = (b * positions + i / width) * channels + g * width + i % width;
                }
                normalise(x, y, members, epsilon);
            }
        }
        return scaleAndShift(y, weight, bias, silu ? Device.Activation.SILU : Device.Activation.NONE);
    }

    static Values layerNorm(Values x, Values weight, Values bias, double epsilon) {
        int channels = x.channels();
        Values y = new Values(x.shape());
        for (int row = 0; row < x.data().length / channels; row++) {
            int[] members = new int[channels];
            for (int c = 0; c < channels; c++) {
                members[c] = row * channels + c;
            }
            normalise(x, y, members, epsilon);
        }
        return scaleAndShift(y, weight, bias, Device.Activation.NONE);
    }

    private static void normalise(Values x, Values y, int[] members, double epsilon) {
        double mean = 0;
        for (int i : members) {
            mean += x.data()[i] / members.length;
        }
        double variance = 0;
        for (int i : members) {
            variance += (x.data()[i] - mean) * (x.data()[i] - mean) / members.length;
        }
        for (int i : members) {
            y.data()[i] = (x.data()[i] - mean) / Math.sqrt(variance + epsilon);
        }
    }

    private static Values scaleAndShift(Values y, Values weight, Values bias, Device.Activation activation) {
        for (int i = 0; i < y.data().length; i++) {
            int c = i % y.channels();
            y.data()[i] = activate(y.data()[i] * weight.data()[c] + bias.data()[c], activation);
        }
        return y;
    }

    /** Keys and values that attention looks at; {@code rows} and {@code scales} may be null. */
    record Source(Values keys, Values values, int[] rows, float[] scales) {
        static Source of(Values keys, Values values) {
            return new Source(keys, values, null, null);
        }
    }

    static Values attention(Values query, List<Source> sources, int heads, boolean causal) {
        Values y = new Values(query.shape());
        for (int b = 0; b < query.batch(); b++) {
            for (Source source : sources) {
                double scale = source.scales == null ? 1 : source.scales[b];
                if (scale != 0) {
                    addAttention(query, source.keys, source.values, b, source.rows == null ? b : source.rows[b], heads, causal, scale, y);
                }
            }
        }
        return y;
    }

    private static void addAttention(Values query, Values keys, Values values, int row, int keyRow, int heads, boolean causal,
            double factor, Values y) {
        int channels = query.channels();
        int size = channels / heads;
        int length = query.size(1);
        int keyLength = keys.size(1);
        for (int head = 0; head < heads; head++) {
            for (int i = 0; i < length; i++) {
                int q = (row * length + i) * channels + head * size;
                double[] weights = new double[causal ? i + 1 : keyLength];
                double highest = Double.NEGATIVE_INFINITY;
                for (int j = 0; j < weights.length; j++) {
                    int k = (keyRow * keyLength + j) * channels + head * size;
                    for (int c = 0; c < size; c++) {
                        weights[j] += query.data()[q + c] * keys.data()[k + c] / Math.sqrt(size);
                    }
                    highest = Math.max(highest, weights[j]);
                }
                double sum = 0;
                for (int j = 0; j < weights.length; j++) {
                    weights[j] = Math.exp(weights[j] - highest);
                    sum += weights[j];
                }
                for (int j = 0; j < weights.length; j++) {
                    int v = (keyRow * keyLength + j) * channels + head * size;
                    for (int c = 0; c < size; c++) {
                        y.data()[q + c] += factor * weights[j] / sum * values.data()[v + c];
                    }
                }
            }
        }
    }

    static Values upsample2x(Values x, int height, int width) {
        int channels = x.channels();
        Values y = new Values(x.batch(), height, width, channels);
        for (int i = 0; i < y.data().length; i++) {
            int c = i % channels;
            int column = i / channels % width;
            int row = i / channels / width % height;
            int b = i / channels / width / height;
            y.data()[i] = x.data()[((b * x.size(1) + row / 2) * x.size(2) + column / 2) * channels + c];
        }
        return y;
    }

    static Values add(Values a, Values b) {
        Values y = new Values(a.shape());
        for (int i = 0; i < y.data().length; i++) {
            y.data()[i] = a.data()[i] + b.data()[i];
        }
        return y;
    }

    static Values concat(int axis, Values... parts) {
        int[] shape = parts[0].shape().clone();
        int along = axis < 0 ? axis + shape.length : axis;
        shape[along] = Stream.of(parts).mapToInt(part -> part.size(along)).sum();
        Values y = new Values(shape);
        int rows = IntStream.range(0, along).map(i -> shape[i]).reduce(1, Math::multiplyExact);
        int at = 0;
        for (int row = 0; row < rows; row++) {
            for (Values part : parts) {
                int width = part.data().length / rows;
                System.arraycopy(part.data(), row * width, y.data(), at, width);
                at += width;
            }
        }
        return y;
    }

    static Values timestepEmbedding(double[] timesteps, int channels, boolean flipSinToCos, double frequencyShift) {
        int half = channels / 2;
        Values y = new Values(timesteps.length, channels);
        for (int n = 0; n < timesteps.length; n++) {
            for (int i = 0; i < half; i++) {
                double angle = timesteps[n] * Math.pow(10000, -i / (half - frequencyShift));
                y.data()[n * channels + i] = flipSinToCos ? Math.cos(angle) : Math.sin(angle);
                y.data()[n * channels + half + i] = flipSinToCos ? Math.sin(angle) : Math.cos(angle);
            }
        }
        return y;
    }

    static Values embed(Values tokens, Values positions, int[][] ids) {
        int channels = tokens.channels();
        Values y = new Values(ids.length, ids[0].length, channels);
        for (int i = 0; i < y.data().length; i++) {
            int c = i % channels;
            int position = i / channels % ids[0].length;
            int token = ids[i / channels / ids[0].length][position];
            y.data()[i] = tokens.data()[token * channels + c] + positions.data()[position * channels + c];
        }
        return y;
    }

    /** @param factors {@code [1 or B, targets, terms]} */
    static List<Values> combine(int targets, Values factors, Values... terms) {
        int batch = terms[0].batch();
        int size = terms[0].data().length / batch;
        List<Values> sums = new ArrayList<>();
        for (int i = 0; i < targets; i++) {
            Values sum = new Values(terms[0].shape());
            for (int at = 0; at < sum.data().length; at++) {
                int row = factors.batch() == 1 ? 0 : at / size;
                for (int j = 0; j < terms.length; j++) {
                    double factor = factors.data()[(row * targets + i) * terms.length + j];
                    sum.data()[at] += factor == 0 ? 0 : factor * terms[j].data()[at];
                }
            }
            sums.add(sum);
        }
        return sums;
    }

    static Values matchDeviation(Values target, Values reference, float[] amounts) {
        Values y = new Values(target.shape());
        int size = y.data().length / y.batch();
        for (int i = 0; i < y.data().length; i++) {
            int b = i / size;
            double ratio = deviation(reference.rows(b, 1).data()) / deviation(target.rows(b, 1).data());
            y.data()[i] = target.data()[i] * (amounts[b] * ratio + 1 - amounts[b]);
        }
        return y;
    }

    /** @param mask {@code [1 or B, H, W, 1]} */
    static Values blend(Values target, Values other, Values mask) {
        Values y = new Values(target.shape());
        int channels = target.shape()[3];
        for (int i = 0; i < y.data().length; i++) {
            double share = mask.data()[i / channels % mask.data().length];
            y.data()[i] = share == 1 ? target.data()[i] : share == 0 ? other.data()[i] : share * target.data()[i] + (1 - share) * other.data()[i];
        }
        return y;
    }

    private static double deviation(double[] values) {
        double mean = DoubleStream.of(values).average().orElseThrow();
        return Math.sqrt(DoubleStream.of(values).map(v -> (v - mean) * (v - mean)).sum() / (values.length - 1));
    }

    private static double at(Values values, int index) {
        return values == null ? 0 : values.data()[index];
    }

    static double activate(double x, Device.Activation activation) {
        return switch (activation) {
            case NONE -> x;
            case SILU -> x / (1 + Math.exp(-x));
            case QUICK_GELU -> x / (1 + Math.exp(-1.702 * x));
            case GELU -> x * (1 + erf(x / Math.sqrt(2))) / 2;
        };
    }

    /** Maclaurin series where it converges well; beyond 4 the difference from 1 is below 2e-8. */
    private static double erf(double x) {
        if (Math.abs(x) > 4) {
            return Math.signum(x);
        }
        double term = x;
        double sum = x;
        for (int n = 1; n < 100; n++) {
            term *= -x * x / n;
            sum += term / (2 * n + 1);
        }
        return 2 / Math.sqrt(Math.PI) * sum;
    }
}
