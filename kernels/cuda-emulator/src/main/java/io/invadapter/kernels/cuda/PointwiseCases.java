package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Operators.Padding;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Everything that works value by value, against float64. */
final class PointwiseCases {
    private static final double FLOAT_TOLERANCE = 1e-6;

    /** Instead of a shift of the input: plus the number of the one array that lies one value off, the output last. */
    private static final int ONE_SHIFTED = 1000;

    private PointwiseCases() {
    }

    /** How far off the array with that number is. */
    private static int shift(int shift, int which) {
        if (shift >= ONE_SHIFTED) {
            return shift - ONE_SHIFTED == which ? 1 : 0;
        }
        return which == 0 ? shift : 0;
    }

    /** At least one of each kernel: what the types beside float16 are tried with. */
    static List<KernelCase> few() {
        List<KernelCase> cases = new ArrayList<>();
        for (int shift : new int[] {0, 1}) {
            int n = 1003;
            cases.add(casts(n + shift));
            cases.add(castsOfSeveral(n + shift));
            cases.add(combine(1024 + shift, 3, 6, shift == 0, shift == 1));
            cases.add(matchDeviation(1100 + shift));
            cases.add(blend(256 + shift, 4, shift == 0));
            cases.add(geglu(13, 48, true, shift));
            cases.add(geglu(13, 45, false, shift));
            for (Activation activation : Activation.values()) {
                cases.add(add(activation, 13, 48, true, true, shift));
                cases.add(add(activation, 3, 45, true, false, shift));
            }
            cases.add(addToEach(13, 48, shift == 0, shift));
            cases.add(upsample(2, 3, 5, 5, 9, 48, shift));
            cases.add(upsample(1, 3, 5, 6, 10, 45, shift));
            cases.add(pad(2, 3, 4, 48, new Padding(1, 2, 3, 4), shift));
            cases.add(pad(1, 3, 4, 45, new Padding(0, 0, 1, 1), shift));
            cases.add(concat(13, 16, 24, shift));
            cases.add(concat(13, 45, 7, shift));
            cases.add(tokens(2, 9, 48, shift));
            cases.add(tokens(2, 9, 45, shift));
        }
        for (Activation activation : Activation.values()) {
            cases.add(farOut(activation));
        }
        cases.add(timestep(320, true, 0));
        cases.add(timestep(33, false, 1));
        return cases;
    }

    static List<KernelCase> all() {
        List<KernelCase> cases = new ArrayList<>();
        for (int n : new int[] {8 * 700, 1003, 3}) {
            cases.add(casts(n));
            cases.add(castsOfSeveral(n));
        }
        for (boolean each : new boolean[] {true, false}) {
            for (boolean inPlace : new boolean[] {true, false}) {
                cases.add(combine(1024, 8, 16, each, inPlace));
                cases.add(combine(1003, 2, 4, each, inPlace));
                cases.add(combine(3, 1, 1, each, inPlace));
            }
        }
        for (int n : new int[] {2, 31, 1023, 1024, 2056, 5001}) {
            cases.add(matchDeviation(n));
        }
        for (boolean each : new boolean[] {true, false}) {
            cases.add(blend(1, 1, each));
            cases.add(blend(100, 3, each));
            cases.add(blend(1024, 4, each));
        }
        for (int targets = 3; targets < 8; targets++) {
            cases.add(combine(33, targets, 9, true, true));
        }
        // Every length of an incomplete chunk.
        for (int tail = 1; tail < 8; tail++) {
            int n = 16 + tail;
            cases.add(casts(n));
            cases.add(geglu(3, n, true, 0));
            for (Activation activation : Activation.values()) {
                cases.add(add(activation, 5, n, true, true, 0));
            }
            cases.add(add(Activation.NONE, 5, n, true, false, 0));
            cases.add(upsample(1, 2, 3, 4, 6, n, 0));
            cases.add(pad(1, 2, 3, n, new Padding(1, 0, 0, 2), 0));
            cases.add(concat(3, n, 16 - tail, 0));
            cases.add(tokens(1, 3, n, 0));
        }
        // One address that is no multiple of 16 among others that are.
        for (int which = 0; which < 5; which++) {
            cases.add(geglu(13, 48, true, ONE_SHIFTED + which));
            cases.add(add(Activation.NONE, 13, 48, true, true, ONE_SHIFTED + which));
            cases.add(upsample(1, 3, 5, 6, 10, 48, ONE_SHIFTED + which));
            cases.add(pad(1, 3, 5, 48, new Padding(0, 0, 1, 1), ONE_SHIFTED + which));
            cases.add(concat(13, 16, 24, ONE_SHIFTED + which));
            cases.add(tokens(1, 9, 48, ONE_SHIFTED + which));
        }
        cases.add(geglu(40, 1280, true, 0));
        cases.add(geglu(77, 160, false, 0));
        cases.add(geglu(13, 45, true, 0));
        cases.add(geglu(13, 48, true, 1));
        for (Activation activation : Activation.values()) {
            cases.add(add(activation, 480, 320, true, true, 0));
            cases.add(add(activation, 13, 45, true, true, 0));
            cases.add(add(activation, 9, 64, false, false, 0));
            cases.add(farOut(activation));
        }
        cases.add(add(Activation.NONE, 100, 64, true, false, 0));
        cases.add(addToEach(35, 64, true, 0));
        cases.add(addToEach(7, 45, false, 0));
        cases.add(add(Activation.NONE, 15, 64, true, true, 0));
        cases.add(add(Activation.NONE, 26, 48, false, true, 1));
        cases.add(upsample(2, 12, 20, 24, 40, 64, 0));
        cases.add(upsample(2, 3, 5, 5, 9, 64, 0));
        cases.add(upsample(2, 3, 5, 6, 9, 16, 0));
        cases.add(upsample(2, 3, 5, 5, 10, 16, 0));
        cases.add(upsample(1, 3, 5, 5, 9, 45, 0));
        cases.add(upsample(1, 3, 5, 6, 10, 48, 1));
        cases.add(pad(2, 12, 20, 64, new Padding(0, 0, 1, 1), 0));
        cases.add(pad(2, 3, 4, 16, new Padding(1, 2, 3, 4), 0));
        cases.add(concat(240, 320, 640, 0));
        cases.add(concat(13, 45, 8, 0));
        cases.add(concat(13, 16, 24, 1));
        cases.add(timestep(320, true, 0));
        cases.add(timestep(320, false, 1));
        cases.add(timestep(33, true, 0.5f));
        cases.add(tokens(2, 77, 768, 0));
        cases.add(tokens(2, 9, 45, 0));
        cases.add(tokens(1, 9, 48, 1));
        return cases;
    }

    private static String shifted(int shift) {
        return shift == 0 ? "" : shift >= ONE_SHIFTED ? ", array " + (shift - ONE_SHIFTED) + " shifted" : ", shifted";
    }

    private static void perfect(Bench bench, boolean fast, long read, long written) {
        bench.counted(launches -> {
            if (fast) {
                NormalisationCases.traffic(launches.getFirst(), read, written);
                NormalisationCases.coalesced(launches.getFirst());
                NormalisationCases.conflicts(launches.getFirst());
            }
        });
    }

    private static KernelCase casts(int n) {
        return new KernelCase("casts, " + n, bench -> {
            Random random = new Random(n);
            float[] x = new float[n];
            for (int i = 0; i < n; i++) {
                // All orders of magnitude of float16, its subnormals and beyond.
                x[i] = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(12) - 7));
            }
            float[] expected = new float[n];
            for (int i = 0; i < n; i++) {
                expected[i] = bench.rounded(x[i]);
            }
            Pointwise pointwise = new Pointwise(bench.library());
            long input = bench.floats(x);
            long cast = bench.result(n);
            pointwise.toActivations(new long[] {input}, new long[] {n}, cast, null);
            perfect(bench, n > 1000, 4L * n, (long) bench.size() * n);
            Bench.same(expected, bench.readValues(cast, n));
            // The same with either side at an address that allows no vectors, and a whole four left.
            if (n > 8) {
                float[] tail = Arrays.copyOfRange(expected, 1, n);
                long out = bench.result(n, 1);
                pointwise.toActivations(new long[] {input + 4}, new long[] {n - 1}, out - bench.size(), null);
                Bench.same(tail, bench.readValues(out - bench.size(), n - 1));
                pointwise.toActivations(new long[] {input}, new long[] {n}, out, null);
                Bench.same(expected, bench.readValues(out, n));
                bench.counted(launches -> { });
            }
            if (bench.type() != DataType.FLOAT32) {
                castsBack(bench, cast, expected);
            }
        });
    }

    private static void castsBack(Bench bench, long cast, float[] expected) {
        Pointwise pointwise = new Pointwise(bench.library());
        int n = expected.length;
        long back = bench.output(4L * n);
        pointwise.toFloat(cast, back, n, null);
        perfect(bench, n > 1000, (long) bench.size() * n, 4L * n);
        Bench.same(expected, bench.readFloats(back, n));
        if (n > 8) {
            long shifted = bench.output(4L * n, 4);
            pointwise.toFloat(cast + bench.size(), shifted - 4, n - 1, null);
            Bench.same(Arrays.copyOfRange(expected, 1, n), bench.readFloats(shifted - 4, n - 1));
            pointwise.toFloat(cast, shifted, n, null);
            Bench.same(expected, bench.readFloats(shifted, n));
        }
    }

    /** Latents below one another, the same ones twice, as a step with guidance has them; the last of another size. */
    private static KernelCase castsOfSeveral(int n) {
        return new KernelCase("casts of several, " + n, bench -> {
            Random random = new Random(n);
            int last = 3 * n / 2;
            float[] x = bench.random(random, n, 0, 1);
            float[] other = bench.random(random, last, 0, 1);
            long input = bench.floats(x);
            long cast = bench.result(2 * n + last);
            new Pointwise(bench.library()).toActivations(new long[] {input, input, bench.floats(other)}, new long[] {n, n, last}, cast,
                    null);
            Bench.same(x, bench.readValues(cast, n));
            Bench.same(x, bench.readValues(cast + (long) bench.size() * n, n));
            Bench.same(other, bench.readValues(cast + 2L * bench.size() * n, last));
        });
    }

    /**
     * Two pictures with n values each; every second factor 0, and a term that counts nowhere was never written.
     *
     * @param each    with factors of their own
     * @param inPlace the targets are the first terms
     */
    private static KernelCase combine(int n, int targets, int terms, boolean each, boolean inPlace) {
        return new KernelCase("combine, 2 x " + n + ", " + targets + " of " + terms + (each ? ", factors for each" : "")
                + (inPlace ? ", in place" : ""), bench -> {
            Random random = new Random(n);
            int all = 2 * n;
            // More pictures' than are asked for: the second's would be others.
            float[] factors = bench.random(random, 2 * targets * terms, 0, 1);
            for (int i = 0; i < factors.length; i++) {
                factors[i] = i % terms == terms - 2 || i % 3 == 1 ? 0 : factors[i];
            }
            long[] from = new long[terms];
            double[][] expected = new double[targets][all];
            for (int j = 0; j < terms; j++) {
                float[] term = bench.random(random, all, 0, 1);
                from[j] = j == terms - 2 ? bench.output(4L * all) : bench.floats(term);
                for (int i = 0; i < targets; i++) {
                    for (int e = 0; e < all; e++) {
                        expected[i][e] += (double) factors[((each ? e / n : 0) * targets + i) * terms + j] * term[e];
                    }
                }
            }
            long[] to = new long[targets];
            for (int i = 0; i < targets; i++) {
                to[i] = inPlace ? from[i] : bench.output(4L * all);
            }
            new Sampling(bench.library()).combine(to, from, bench.floats(factors), each, n, 2, null);
            for (int i = 0; i < targets; i++) {
                Bench.close("target " + i, expected[i], bench.readFloats(to[i], all), FLOAT_TOLERANCE);
            }
            // Besides the terms each thread reads all factors.
            perfect(bench, n % 8 == 0, 4L * all * (terms - (terms > 1 ? 1 : 0) + targets * terms), 4L * all * targets);
        });
    }

    /** Three pictures with n values each, the second one left as it is. */
    private static KernelCase matchDeviation(int n) {
        return new KernelCase("match deviation, 3 x " + n, bench -> {
            Random random = new Random(n);
            float[] target = bench.random(random, 3 * n, 5, 2);
            float[] reference = bench.random(random, 3 * n, -3, 1);
            float[] amounts = {0.7f, 0, 1};
            double[] expected = new double[3 * n];
            for (int i = 0; i < expected.length; i++) {
                double ratio = deviation(reference, i / n * n, n) / deviation(target, i / n * n, n);
                expected[i] = target[i] * (amounts[i / n] == 0 ? 1 : amounts[i / n] * ratio + 1 - amounts[i / n]);
            }
            long place = bench.floats(target);
            new Sampling(bench.library()).matchDeviation(place, bench.floats(reference), bench.floats(amounts), n, 3, null);
            Bench.close("target", expected, bench.readFloats(place, 3 * n), 10 * FLOAT_TOLERANCE);
            // Of the two pictures that are changed; and the amount in each of the 1024 threads of all three.
            perfect(bench, n % 8 == 0, 4L * 2 * n * 5 + 4L * 3 * 1024, 4L * 2 * n);
        });
    }

    /** Two pictures; where the mask is 0 or 1, what is not taken is not read, or is not a number. */
    private static KernelCase blend(int pixels, int channels, boolean each) {
        return new KernelCase("blend, 2 x " + pixels + " x " + channels + (each ? ", masks for each" : ""), bench -> {
            Random random = new Random(pixels);
            int n = pixels * channels;
            float[] target = bench.random(random, 2 * n, 0, 1);
            float[] other = bench.random(random, 2 * n, 0, 1);
            // More than are asked for: the second's would be others.
            float[] mask = bench.random(random, 2 * pixels, 0, 1);
            for (int i = 0; i < mask.length; i++) {
                mask[i] = i % 3 == 0 ? 1 : i % 3 == 1 ? 0 : mask[i];
            }
            double[] expected = new double[2 * n];
            long read = 4L * 2 * n;
            long written = 0;
            for (int i = 0; i < expected.length; i++) {
                float share = mask[each ? i / channels : i % n / channels];
                expected[i] = share == 1 ? target[i] : share == 0 ? other[i] : (double) share * target[i] + (1.0 - share) * other[i];
                target[i] = share == 0 ? Float.NaN : target[i];
                other[i] = share == 1 ? Float.NaN : other[i];
                read += share == 1 ? 0 : share == 0 ? 4 : 8;
                written += share == 1 ? 0 : 4;
            }
            long place = bench.floats(target);
            new Sampling(bench.library()).blend(place, bench.floats(other), bench.floats(mask), each, pixels, channels, 2, null);
            Bench.close("target", expected, bench.readFloats(place, 2 * n), FLOAT_TOLERANCE);
            long bytesRead = read;
            long bytesWritten = written;
            bench.counted(launches -> NormalisationCases.traffic(launches.getFirst(), bytesRead, bytesWritten));
        });
    }

    private static double deviation(float[] values, int start, int n) {
        double mean = IntStream.range(start, start + n).mapToDouble(i -> values[i]).average().orElseThrow();
        return Math.sqrt(IntStream.range(start, start + n).mapToDouble(i -> (values[i] - mean) * (values[i] - mean)).sum());
    }

    /** The error function: a Taylor series near 0, a continued fraction beyond. */
    static double erf(double x) {
        double z = Math.abs(x);
        double value;
        if (z < 3) {
            double term = z;
            double sum = z;
            for (int k = 1; k < 100; k++) {
                term *= -z * z / k;
                sum += term / (2 * k + 1);
            }
            value = 2 / Math.sqrt(Math.PI) * sum;
        } else {
            double fraction = 0;
            for (int k = 60; k > 0; k--) {
                fraction = k / 2.0 / (z + fraction);
            }
            value = 1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction);
        }
        return Math.copySign(value, x);
    }

    static double gelu(double x) {
        return x * 0.5 * (1 + erf(x / Math.sqrt(2)));
    }

    private static KernelCase geglu(int rows, int channels, boolean withBias, int shift) {
        return new KernelCase("GEGLU, " + rows + " x " + channels + (withBias ? ", bias" : "") + shifted(shift), bench -> {
            Random random = new Random(rows);
            float[] x = bench.random(random, rows * channels * 2, 0, 1.5);
            float[] bias = bench.random(random, channels * 2, 0, 0.5);
            double[] expected = new double[rows * channels];
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < channels; c++) {
                    double a = x[r * channels * 2 + c] + (withBias ? bias[c] : 0);
                    double b = x[r * channels * 2 + channels + c] + (withBias ? bias[channels + c] : 0);
                    expected[r * channels + c] = a * gelu(b);
                }
            }
            long out = bench.result(expected.length, shift(shift, 2));
            long input = bench.values(x, shift(shift, 0));
            long biases = withBias ? bench.values(bias, shift(shift, 1)) : 0;
            Pointwise pointwise = new Pointwise(bench.library());
            pointwise.geglu(input, biases, out, rows, channels, 8, null);
            Bench.close("GEGLU", expected, bench.readValues(out, expected.length), bench.tolerance());
            perfect(bench, shift == 0 && channels % 8 == 0,
                    bench.size() * (x.length + (withBias ? 2L * channels : 0)), (long) bench.size() * expected.length);
            long fewRows = bench.result(expected.length);
            pointwise.geglu(input, biases, fewRows, rows, channels, null);
            Bench.close("GEGLU, a row to a thread", expected, bench.readValues(fewRows, expected.length), bench.tolerance());
        });
    }

    private static double apply(Activation activation, double x) {
        return switch (activation) {
            case NONE -> x;
            case SILU -> x / (1 + Math.exp(-x));
            case QUICK_GELU -> x / (1 + Math.exp(-1.702 * x));
            case GELU -> gelu(x);
        };
    }

    private static KernelCase add(Activation activation, int rows, int channels, boolean withBias, boolean withResidual,
                                  int shift) {
        return new KernelCase("add, " + activation + ", " + rows + " x " + channels + (withBias ? ", bias" : "")
                + (withResidual ? ", residual" : "") + shifted(shift), bench -> {
            Random random = new Random(rows);
            int n = rows * channels;
            float[] x = bench.random(random, n, 0, 1);
            float[] bias = bench.random(random, channels, 0, 1);
            float[] residual = bench.random(random, n, 0, 1);
            double[] expected = new double[n];
            for (int i = 0; i < n; i++) {
                expected[i] = apply(activation, x[i] + (withBias ? bias[i % channels] : 0)) + (withResidual ? residual[i] : 0);
            }
            long input = bench.values(x, shift(shift, 0));
            long out = bench.result(n, shift(shift, 3));
            long biases = withBias ? bench.values(bias, shift(shift, 1)) : 0;
            long residuals = withResidual ? bench.values(residual, shift(shift, 2)) : 0;
            Pointwise pointwise = new Pointwise(bench.library());
            pointwise.add(input, biases, activation, residuals, out, 1, rows, channels, 8, null);
            Bench.close("add", expected, bench.readValues(out, n), bench.tolerance());
            // Bands of 8 rows each read the bias: its share is a fixed one where bands are full.
            long size = bench.size();
            perfect(bench, shift == 0 && channels % 8 == 0 && rows >= 100,
                    size * n * (withResidual ? 2 : 1) + (withBias ? size * channels : 0), size * n);
            if (withResidual) {
                pointwise.add(input, biases, activation, residuals, residuals, rows, channels, null);
                Bench.close("add in place", expected, bench.readValues(residuals, n), bench.tolerance());
                bench.counted(launches -> { });
            }
        });
    }

    /** Three groups of rows, each with a bias of its own. */
    private static KernelCase addToEach(int rows, int channels, boolean withResidual, int shift) {
        return new KernelCase("add to each, 3 x " + rows + " x " + channels + (withResidual ? ", residual" : "") + shifted(shift), bench -> {
            Random random = new Random(rows);
            int n = 3 * rows * channels;
            float[] x = bench.random(random, n, 0, 1);
            float[] biases = bench.random(random, 3 * channels, 0, 1);
            float[] residual = bench.random(random, n, 0, 1);
            double[] expected = new double[n];
            for (int i = 0; i < n; i++) {
                expected[i] = x[i] + biases[i / (rows * channels) * channels + i % channels] + (withResidual ? residual[i] : 0);
            }
            long out = bench.result(n, shift(shift, 3));
            new Pointwise(bench.library()).addToEach(bench.values(x, shift(shift, 0)), bench.values(biases, shift(shift, 1)),
                    withResidual ? bench.values(residual, shift(shift, 2)) : 0, out, 3, rows, channels, null);
            Bench.close("add", expected, bench.readValues(out, n), bench.tolerance());
            bench.counted(launches -> { });
        });
    }

    /** Where exp(-x) overflows, and where it vanishes. */
    private static KernelCase farOut(Activation activation) {
        return new KernelCase("add, " + activation + ", far out", bench -> {
            long x = bench.values(new float[] {-200, 200});
            new Pointwise(bench.library()).add(x, 0, activation, 0, x, 1, 2, null);
            Bench.same(new float[] {activation == Activation.NONE ? -200 : -0f, 200}, bench.readValues(x, 2));
            bench.counted(launches -> { });
        });
    }

    private static KernelCase upsample(int images, int height, int width, int outHeight, int outWidth, int channels,
                                       int shift) {
        return new KernelCase("upsample, " + images + " x " + height + " x " + width + " x " + channels + " to " + outHeight
                + " x " + outWidth + shifted(shift), bench -> {
            float[] x = bench.random(new Random(width), images * height * width * channels, 0, 1);
            float[] expected = new float[images * outHeight * outWidth * channels];
            for (int i = 0; i < expected.length; i++) {
                int pixel = i / channels;
                int row = pixel / outWidth % outHeight / 2;
                int column = pixel % outWidth / 2;
                int image = pixel / outWidth / outHeight;
                expected[i] = x[((image * height + row) * width + column) * channels + i % channels];
            }
            long out = bench.result(expected.length, shift(shift, 1));
            new Pointwise(bench.library()).upsample(bench.values(x, shift(shift, 0)), out, images, height, width, outHeight,
                    outWidth, channels, null);
            Bench.same(expected, bench.readValues(out, expected.length));
            perfect(bench, shift == 0 && channels % 8 == 0, (long) bench.size() * x.length,
                    (long) bench.size() * expected.length);
        });
    }

    private static KernelCase pad(int images, int height, int width, int channels, Padding padding, int shift) {
        return new KernelCase("pad, " + images + " x " + height + " x " + width + " x " + channels + ", " + padding
                + shifted(shift), bench -> {
            float[] x = bench.random(new Random(width), images * height * width * channels, 0, 1);
            int outHeight = height + padding.top() + padding.bottom();
            int outWidth = width + padding.left() + padding.right();
            float[] expected = new float[images * outHeight * outWidth * channels];
            for (int line = 0; line < images * height; line++) {
                int outLine = line / height * outHeight + line % height + padding.top();
                System.arraycopy(x, line * width * channels, expected, (outLine * outWidth + padding.left()) * channels,
                        width * channels);
            }
            long out = bench.result(expected.length, shift(shift, 1));
            new Pointwise(bench.library()).pad(bench.values(x, shift(shift, 0)), out, images, height, width, channels, padding,
                    null);
            Bench.same(expected, bench.readValues(out, expected.length));
            perfect(bench, shift == 0 && channels % 8 == 0, (long) bench.size() * x.length,
                    (long) bench.size() * expected.length);
        });
    }

    private static KernelCase concat(int rows, int channelsA, int channelsB, int shift) {
        return new KernelCase("concat, " + rows + " x (" + channelsA + " + " + channelsB + ")" + shifted(shift), bench -> {
            Random random = new Random(rows);
            float[] a = bench.random(random, rows * channelsA, 0, 1);
            float[] b = bench.random(random, rows * channelsB, 0, 1);
            int width = channelsA + channelsB;
            float[] expected = new float[rows * width];
            for (int r = 0; r < rows; r++) {
                System.arraycopy(a, r * channelsA, expected, r * width, channelsA);
                System.arraycopy(b, r * channelsB, expected, r * width + channelsA, channelsB);
            }
            long out = bench.result(expected.length, shift(shift, 2));
            Pointwise pointwise = new Pointwise(bench.library());
            pointwise.concat(bench.values(a, shift(shift, 0)), out, rows, channelsA, width, 0, null);
            perfect(bench, shift == 0 && rows > 100, (long) bench.size() * a.length, (long) bench.size() * a.length);
            pointwise.concat(bench.values(b, shift(shift, 1)), out, rows, channelsB, width, channelsA, null);
            Bench.same(expected, bench.readValues(out, expected.length));
            perfect(bench, shift == 0 && rows > 100, (long) bench.size() * b.length, (long) bench.size() * b.length);
        });
    }

    private static KernelCase timestep(int dim, boolean cosineFirst, float shift) {
        return new KernelCase("timestep embedding, " + dim + (cosineFirst ? "" : ", sine first") + ", shift " + shift,
                bench -> {
            float[] t = {981, 0, 1, 333.5f, 999};
            int half = dim / 2;
            double[] expected = new double[t.length * dim];
            for (int n = 0; n < t.length; n++) {
                for (int i = 0; i < half; i++) {
                    // Rounded where the CPU's implementation and the reference do it.
                    float exponent = (float) -Math.log(10000) * i / (half - shift);
                    float angle = t[n] * (float) Math.exp(exponent);
                    expected[n * dim + i] = cosineFirst ? Math.cos(angle) : Math.sin(angle);
                    expected[n * dim + half + i] = cosineFirst ? Math.sin(angle) : Math.cos(angle);
                }
            }
            long out = bench.result(expected.length);
            new Embeddings(bench.library()).timestep(bench.floats(t), out, t.length, dim, cosineFirst, shift, null);
            float[] actual = bench.readValues(out, expected.length);
            for (int i = 0; i < actual.length; i++) {
                // 2^-20 is what the hardware's sine and cosine are off; the rest is the type's rounding.
                double most = 0x1p-19 + bench.tolerance() / 4;
                Bench.require(Math.abs(actual[i] - expected[i]) <= most,
                        "timestep embedding: value " + i + " is " + actual[i] + ", expected " + expected[i]);
                Bench.require(dim % 2 == 0 || i % dim != dim - 1 || actual[i] == 0, "an odd end is " + actual[i]);
            }
        });
    }

    private static KernelCase tokens(int batch, int length, int channels, int shift) {
        return new KernelCase("token embedding, " + batch + " x " + length + " x " + channels + shifted(shift), bench -> {
            Random random = new Random(channels);
            int vocabulary = 50;
            float[] table = bench.random(random, vocabulary * channels, 0, 1);
            float[] position = bench.random(random, (length + 1) * channels, 0, 1);
            int[] id = random.ints((long) batch * length, 0, vocabulary).toArray();
            id[0] = vocabulary - 1;
            id[1] = 0;
            double[] expected = new double[id.length * channels];
            for (int r = 0; r < id.length; r++) {
                for (int c = 0; c < channels; c++) {
                    expected[r * channels + c] = (double) table[id[r] * channels + c] + position[r % length * channels + c];
                }
            }
            long tables = bench.values(table, shift(shift, 0));
            long positions = bench.values(position, shift(shift, 1));
            long out = bench.result(expected.length, shift(shift, 2));
            Embeddings embeddings = new Embeddings(bench.library());
            embeddings.tokens(bench.ints(id), tables, positions, out, batch, length, channels, vocabulary, null);
            Bench.close("token embedding", expected, bench.readValues(out, expected.length), bench.tolerance());
            perfect(bench, shift == 0 && channels % 8 == 0, 2L * bench.size() * expected.length + 4L * id.length,
                    (long) bench.size() * expected.length);
            // Ids beyond both ends of the table.
            id[0] = vocabulary;
            id[1] = -1;
            long marked = bench.result(expected.length);
            embeddings.tokens(bench.ints(id), tables, positions, marked, batch, length, channels, vocabulary, null);
            float[] actual = bench.readValues(marked, expected.length);
            for (int i = 0; i < actual.length; i++) {
                Bench.require(Float.isNaN(actual[i]) == i < 2 * channels, "value " + i + " is " + actual[i]);
            }
        });
    }
}
