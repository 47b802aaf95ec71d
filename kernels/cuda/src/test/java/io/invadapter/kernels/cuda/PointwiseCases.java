package io.invadapter.kernels.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Assertions;

/** Everything that works value by value, against float64. */
final class PointwiseCases {
    private static final double TOLERANCE = 2e-3;
    private static final double FLOAT_TOLERANCE = 1e-6;

    /** Instead of a shift of the input: the output lies two bytes off. */
    private static final int OUTPUT_SHIFTED = -2;
    /** Instead of a shift of the input: plus the number of the one array that lies two bytes off, the output last. */
    private static final int ONE_SHIFTED = 1000;

    private PointwiseCases() {
    }

    /** How far off the array with that number is. */
    private static int shift(int shift, int which) {
        if (shift >= ONE_SHIFTED) {
            return shift - ONE_SHIFTED == which ? 2 : 0;
        }
        return which == 0 ? Math.max(shift, 0) : 0;
    }

    private static int outputShift(int shift, int which) {
        return shift == OUTPUT_SHIFTED ? 2 : shift >= ONE_SHIFTED ? shift(shift, which) : 0;
    }

    static List<KernelCase> all() {
        List<KernelCase> cases = new ArrayList<>();
        for (int n : new int[] {8 * 700, 1003, 3}) {
            for (int shift : new int[] {0, 2, OUTPUT_SHIFTED}) {
                cases.add(map("SiLU", n, shift, x -> x / (1 + Math.exp(-x)), (b, x, y) ->
                        new Pointwise(b.library()).silu(x, y, n, null)));
                cases.add(map("quick GELU", n, shift, x -> x / (1 + Math.exp(-1.702 * x)), (b, x, y) ->
                        new Pointwise(b.library()).quickGelu(x, y, n, null)));
            }
            cases.add(casts(n));
            cases.add(picture(n, 0));
            for (boolean guided : new boolean[] {true, false}) {
                for (boolean copy : new boolean[] {true, false}) {
                    cases.add(ddim(n, guided, copy));
                    cases.add(ddimFloat(n, guided, copy));
                }
            }
        }
        cases.add(picture(5 * 7 * 3, 2));
        cases.add(picture(5 * 7 * 3, OUTPUT_SHIFTED));
        // Every length of an incomplete chunk.
        for (int tail = 1; tail < 8; tail++) {
            int n = 16 + tail;
            cases.add(map("SiLU", n, 0, x -> x / (1 + Math.exp(-x)), (b, x, y) ->
                    new Pointwise(b.library()).silu(x, y, n, null)));
            cases.add(map("quick GELU", n, 0, x -> x / (1 + Math.exp(-1.702 * x)), (b, x, y) ->
                    new Pointwise(b.library()).quickGelu(x, y, n, null)));
            cases.add(casts(n));
            cases.add(picture(n, 0));
            cases.add(ddim(n, true, true));
            cases.add(ddimFloat(n, true, true));
            cases.add(geglu(3, n, true, 0));
            cases.add(add(2, 5, n, true, true, true, 0));
            cases.add(add(1, 5, n, true, false, false, 0));
            cases.add(upsample(1, 2, 3, n, 0));
            cases.add(concat(3, n, 16 - tail, 0));
            cases.add(tokens(1, 3, n, 0));
        }
        // One address that is no multiple of 16 among others that are.
        for (int which = 0; which < 5; which++) {
            cases.add(geglu(13, 48, true, ONE_SHIFTED + which));
            cases.add(add(2, 13, 48, true, true, true, ONE_SHIFTED + which));
            cases.add(upsample(1, 3, 5, 48, ONE_SHIFTED + which));
            cases.add(concat(13, 16, 24, ONE_SHIFTED + which));
            cases.add(tokens(1, 9, 48, ONE_SHIFTED + which));
        }
        cases.add(geglu(40, 1280, true, 0));
        cases.add(geglu(77, 160, false, 0));
        cases.add(geglu(13, 45, true, 0));
        cases.add(geglu(13, 48, true, 2));
        cases.add(add(2, 48 * 5, 320, true, true, true, 0));
        cases.add(add(1, 100, 64, true, false, false, 0));
        cases.add(add(3, 13, 64, false, true, false, 0));
        cases.add(add(1, 15, 64, true, false, true, 0));
        cases.add(add(2, 13, 45, true, true, true, 0));
        cases.add(add(2, 13, 48, false, false, true, 2));
        cases.add(upsample(2, 12, 20, 64, 0));
        cases.add(upsample(1, 3, 5, 45, 0));
        cases.add(upsample(1, 3, 5, 48, 2));
        cases.add(concat(240, 320, 640, 0));
        cases.add(concat(13, 45, 8, 0));
        cases.add(concat(13, 16, 24, 2));
        cases.add(timestep(320));
        cases.add(timestep(33));
        cases.add(tokens(2, 77, 768, 0));
        cases.add(tokens(2, 9, 45, 0));
        cases.add(tokens(1, 9, 48, 2));
        return cases;
    }

    /** A launch from one array to another. */
    private interface Launch {
        void run(Bench bench, long x, long y);
    }

    private static String shifted(int shift) {
        return shift == 0 ? "" : shift == OUTPUT_SHIFTED ? ", output shifted"
                : shift >= ONE_SHIFTED ? ", array " + (shift - ONE_SHIFTED) + " shifted" : ", shifted";
    }

    private static KernelCase map(String name, int n, int shift, DoubleUnaryOperator function, Launch launch) {
        return new KernelCase(name + ", " + n + shifted(shift), bench -> {
            float[] x = Bench.random(new Random(n), n, 0, 4);
            // Where exp(-x) overflows, and where it vanishes.
            x[0] = -200;
            x[1] = 200;
            double[] expected = new double[n];
            for (int i = 0; i < n; i++) {
                expected[i] = function.applyAsDouble(x[i]);
            }
            long input = bench.halves(x, shift(shift, 0));
            long out = bench.output(2L * n, outputShift(shift, 1));
            launch.run(bench, input, out);
            // Signs of changes hide behind a value of 200 among small ones, so the two outliers are compared by themselves.
            float[] actual = bench.readHalves(out, n);
            Bench.require(actual[0] == 0 && actual[1] == 200, "far out: " + actual[0] + ", " + actual[1]);
            expected[1] = 0;
            actual[1] = 0;
            Bench.close(name, expected, actual, TOLERANCE);
            perfect(bench, shift == 0 && n > 1000, 2L * n, 2L * n);
            launch.run(bench, input, input);
            Bench.require(bench.readHalves(input, n)[2] == actual[2], name + " in place");
        });
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
            Pointwise pointwise = new Pointwise(bench.library());
            long input = bench.floats(x);
            long half = bench.output(2L * n);
            pointwise.floatToHalf(input, half, n, null);
            perfect(bench, n > 1000, 4L * n, 2L * n);
            long back = bench.output(4L * n);
            pointwise.halfToFloat(half, back, n, null);
            perfect(bench, n > 1000, 2L * n, 4L * n);
            float[] expected = new float[n];
            for (int i = 0; i < n; i++) {
                expected[i] = Bench.half(x[i]);
            }
            Assertions.assertArrayEquals(expected, bench.readHalves(half, n));
            Assertions.assertArrayEquals(expected, bench.readFloats(back, n));
            // The same with either side at an address that allows no vectors, and a whole four left.
            if (n > 8) {
                long out = bench.output(2L * n, 2);
                pointwise.floatToHalf(input + 4, out - 2, n - 1, null);
                Assertions.assertArrayEquals(java.util.Arrays.copyOfRange(expected, 1, n), bench.readHalves(out - 2, n - 1));
                pointwise.floatToHalf(input, out, n, null);
                Assertions.assertArrayEquals(expected, bench.readHalves(out, n));
                long outBack = bench.output(4L * n, 4);
                pointwise.halfToFloat(half + 2, outBack - 4, n - 1, null);
                Assertions.assertArrayEquals(java.util.Arrays.copyOfRange(expected, 1, n),
                        bench.readFloats(outBack - 4, n - 1));
                pointwise.halfToFloat(half, outBack, n, null);
                Assertions.assertArrayEquals(expected, bench.readFloats(outBack, n));
            }
        });
    }

    private static KernelCase picture(int n, int shift) {
        return new KernelCase("pictures, " + n + shifted(shift), bench -> {
            Random random = new Random(n);
            byte[] picture = new byte[n];
            random.nextBytes(picture);
            picture[0] = 0;
            picture[1] = (byte) 255;
            double[] expected = new double[n];
            for (int i = 0; i < n; i++) {
                expected[i] = (picture[i] & 255) / 127.5 - 1;
            }
            Pointwise pointwise = new Pointwise(bench.library());
            long half = bench.output(2L * n, outputShift(shift, 1));
            pointwise.pictureToHalf(bench.bytes(picture, shift(shift, 0)), half, n, null);
            Bench.close("picture to half", expected, bench.readHalves(half, n), TOLERANCE);
            perfect(bench, shift == 0 && n > 1000, n, 2L * n);
            // There and back changes nothing.
            long back = bench.output(n, shift(shift, 0));
            pointwise.halfToPicture(half, back, n, null);
            perfect(bench, shift == 0 && n > 1000, 2L * n, n);
            Assertions.assertArrayEquals(picture, bench.readBytes(back, n));

            float[] x = Bench.random(random, n, 0, 0.8);
            x[0] = Float.NaN;
            x[1] = -1.7f;
            x[2] = 9;
            byte[] rounded = new byte[n];
            for (int i = 0; i < n; i++) {
                rounded[i] = (byte) Math.rint(Math.clamp(Bench.half(x[i]) * 127.5 + 127.5, 0, 255));
            }
            rounded[0] = 0;
            long other = bench.output(n, outputShift(shift, 1));
            pointwise.halfToPicture(bench.halves(x, shift(shift, 0)), other, n, null);
            Assertions.assertArrayEquals(rounded, bench.readBytes(other, n));
        });
    }

    private static double[] ddimExpected(float[] x, float[] negative, float[] prompt, double guidance, double from,
                                         double to) {
        double[] expected = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            double eps = negative == null ? prompt[i] : negative[i] + guidance * (prompt[i] - negative[i]);
            double start = (x[i] - Math.sqrt(1 - from) * eps) / Math.sqrt(from);
            expected[i] = Math.sqrt(to) * start + Math.sqrt(1 - to) * eps;
        }
        return expected;
    }

    private static KernelCase ddim(int n, boolean guided, boolean copy) {
        return new KernelCase("DDIM step, float16, " + n + (guided ? ", guided" : "") + (copy ? ", second copy" : ""),
                bench -> {
            Random random = new Random(n);
            float[] x = Bench.random(random, n, 0, 1);
            float[] negative = guided ? Bench.random(random, n, 0, 1) : null;
            float[] prompt = Bench.random(random, n, 0, 1);
            double[] expected = ddimExpected(x, negative, prompt, 7.5, 0.3, 0.34);
            long out = bench.output(4L * n);
            long half = copy ? bench.output(2L * n) : 0;
            new Sampling(bench.library()).ddimStep(bench.floats(x), guided ? bench.halves(negative) : 0,
                    bench.halves(prompt), Sampling.Precision.HALF, out, half, n, 7.5f,
                    Sampling.Coefficients.of(0.3, 0.34), null);
            Bench.close("latent", expected, bench.readFloats(out, n), FLOAT_TOLERANCE);
            if (copy) {
                Bench.close("copy", expected, bench.readHalves(half, n), TOLERANCE);
            }
            perfect(bench, n > 1000, (guided ? 8L : 6L) * n, (copy ? 6L : 4L) * n);
            // Where one of the float16 arrays is not aligned to its vectors.
            for (int which = 0; which < 3; which++) {
                long other = bench.output(4L * n);
                long shifted = copy ? bench.output(2L * n, shift(ONE_SHIFTED + which, 2)) : 0;
                new Sampling(bench.library()).ddimStep(bench.floats(x),
                        guided ? bench.halves(negative, shift(ONE_SHIFTED + which, 0)) : 0,
                        bench.halves(prompt, shift(ONE_SHIFTED + which, 1)), Sampling.Precision.HALF, other, shifted, n, 7.5f,
                        Sampling.Coefficients.of(0.3, 0.34), null);
                Bench.close("latent, shifted", expected, bench.readFloats(other, n), FLOAT_TOLERANCE);
            }
        });
    }

    private static KernelCase ddimFloat(int n, boolean guided, boolean copy) {
        return new KernelCase("DDIM step, float32, " + n + (guided ? ", guided" : "") + (copy ? ", second copy" : ""),
                bench -> {
            Random random = new Random(n);
            float[] x = Bench.random(random, n, 0, 1);
            float[] negative = guided ? Bench.random(random, n, 0, 1) : null;
            float[] prompt = Bench.random(random, n, 0, 1);
            // Upwards in time, as the inversion goes, in place and with a second copy.
            double[] expected = ddimExpected(x, negative, prompt, 1.7, 0.5, 0.45);
            long latent = bench.floats(x);
            long half = copy ? bench.output(2L * n) : 0;
            new Sampling(bench.library()).ddimStep(latent, guided ? bench.floats(negative) : 0, bench.floats(prompt),
                    Sampling.Precision.FLOAT, latent, half, n, 1.7f, Sampling.Coefficients.of(0.5, 0.45), null);
            Bench.close("latent", expected, bench.readFloats(latent, n), FLOAT_TOLERANCE);
            if (copy) {
                Bench.close("copy", expected, bench.readHalves(half, n), TOLERANCE);
            }
            perfect(bench, n > 1000, (guided ? 12L : 8L) * n, (copy ? 6L : 4L) * n);
            if (copy) {
                long other = bench.output(4L * n);
                long shifted = bench.output(2L * n, 2);
                new Sampling(bench.library()).ddimStep(bench.floats(x), guided ? bench.floats(negative) : 0,
                        bench.floats(prompt), Sampling.Precision.FLOAT, other, shifted, n, 1.7f,
                        Sampling.Coefficients.of(0.5, 0.45), null);
                Bench.close("copy, shifted", expected, bench.readHalves(shifted, n), TOLERANCE);
            }
        });
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

    private static KernelCase geglu(int rows, int channels, boolean withBias, int shift) {
        return new KernelCase("GEGLU, " + rows + " x " + channels + (withBias ? ", bias" : "") + shifted(shift), bench -> {
            Random random = new Random(rows);
            float[] x = Bench.random(random, rows * channels * 2, 0, 1.5);
            float[] bias = Bench.random(random, channels * 2, 0, 0.5);
            double[] expected = new double[rows * channels];
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < channels; c++) {
                    double a = x[r * channels * 2 + c] + (withBias ? bias[c] : 0);
                    double b = x[r * channels * 2 + channels + c] + (withBias ? bias[channels + c] : 0);
                    expected[r * channels + c] = a * b * 0.5 * (1 + erf(b / Math.sqrt(2)));
                }
            }
            long out = bench.output(2L * expected.length, outputShift(shift, 2));
            new Pointwise(bench.library()).geglu(bench.halves(x, shift(shift, 0)),
                    withBias ? bench.halves(bias, shift(shift, 1)) : 0, out, rows, channels, null);
            Bench.close("GEGLU", expected, bench.readHalves(out, expected.length), TOLERANCE);
            perfect(bench, shift == 0 && channels % 8 == 0, 2L * x.length + (withBias ? 4L * channels : 0),
                    2L * expected.length);
        });
    }

    private static KernelCase add(int images, int pixels, int channels, boolean withBias, boolean withTime,
                                  boolean withResidual, int shift) {
        return new KernelCase("add, " + images + " x " + pixels + " x " + channels + (withBias ? ", bias" : "")
                + (withTime ? ", time" : "") + (withResidual ? ", residual" : "") + shifted(shift), bench -> {
            Random random = new Random(pixels);
            int n = images * pixels * channels;
            float[] x = Bench.random(random, n, 0, 1);
            float[] bias = Bench.random(random, channels, 0, 1);
            float[] time = Bench.random(random, images * channels, 0, 1);
            float[] residual = Bench.random(random, n, 0, 1);
            double[] expected = new double[n];
            for (int i = 0; i < n; i++) {
                expected[i] = x[i] + (withBias ? bias[i % channels] : 0)
                        + (withTime ? time[i / channels / pixels * channels + i % channels] : 0)
                        + (withResidual ? residual[i] : 0);
            }
            long input = bench.halves(x, shift(shift, 0));
            long out = bench.output(2L * n, outputShift(shift, 4));
            long biases = withBias ? bench.halves(bias, shift(shift, 1)) : 0;
            long times = withTime ? bench.halves(time, shift(shift, 2)) : 0;
            long residuals = withResidual ? bench.halves(residual, shift(shift, 3)) : 0;
            Pointwise pointwise = new Pointwise(bench.library());
            pointwise.add(input, biases, times, residuals, out, images, pixels, channels, null);
            Bench.close("add", expected, bench.readHalves(out, n), TOLERANCE);
            // Bands of 8 rows each read bias and time: their share is a fixed one where bands are full.
            perfect(bench, shift == 0 && channels % 8 == 0 && pixels >= 100, 2L * n * (withResidual ? 2 : 1)
                    + (withBias ? 2L * channels : 0) + (withTime ? 2L * channels * images : 0), 2L * n);
            if (withResidual) {
                pointwise.add(input, biases, times, residuals, residuals, images, pixels, channels, null);
                Bench.close("add in place", expected, bench.readHalves(residuals, n), TOLERANCE);
                bench.counted(launches -> { });
            }
        });
    }

    private static KernelCase upsample(int images, int height, int width, int channels, int shift) {
        return new KernelCase("upsample, " + images + " x " + height + " x " + width + " x " + channels + shifted(shift),
                bench -> {
            float[] x = Bench.random(new Random(width), images * height * width * channels, 0, 1);
            float[] expected = new float[x.length * 4];
            int i = 0;
            for (int row = 0; row < images * height * 2; row++) {
                for (int column = 0; column < width * 2; column++) {
                    for (int c = 0; c < channels; c++) {
                        expected[i++] = x[(row / 2 * width + column / 2) * channels + c];
                    }
                }
            }
            long out = bench.output(2L * expected.length, outputShift(shift, 1));
            new Pointwise(bench.library()).upsample(bench.halves(x, shift(shift, 0)), out, images, height, width, channels, null);
            Assertions.assertArrayEquals(expected, bench.readHalves(out, expected.length));
            perfect(bench, shift == 0 && channels % 8 == 0, 2L * x.length, 2L * expected.length);
        });
    }

    private static KernelCase concat(int rows, int channelsA, int channelsB, int shift) {
        return new KernelCase("concat, " + rows + " x (" + channelsA + " + " + channelsB + ")" + shifted(shift), bench -> {
            Random random = new Random(rows);
            float[] a = Bench.random(random, rows * channelsA, 0, 1);
            float[] b = Bench.random(random, rows * channelsB, 0, 1);
            float[] expected = new float[a.length + b.length];
            for (int r = 0; r < rows; r++) {
                System.arraycopy(a, r * channelsA, expected, r * (channelsA + channelsB), channelsA);
                System.arraycopy(b, r * channelsB, expected, r * (channelsA + channelsB) + channelsA, channelsB);
            }
            long out = bench.output(2L * expected.length, outputShift(shift, 2));
            new Pointwise(bench.library()).concat(bench.halves(a, shift(shift, 0)), bench.halves(b, shift(shift, 1)), out,
                    rows, channelsA, channelsB, null);
            Assertions.assertArrayEquals(expected, bench.readHalves(out, expected.length));
            perfect(bench, shift == 0 && rows > 100, 2L * expected.length, 2L * expected.length);
        });
    }

    private static KernelCase timestep(int dim) {
        return new KernelCase("timestep embedding, " + dim, bench -> {
            float[] t = {981, 0, 1, 333.5f, 999};
            int half = dim / 2;
            double[] expected = new double[t.length * dim];
            for (int n = 0; n < t.length; n++) {
                for (int i = 0; i < half; i++) {
                    double angle = t[n] * Math.pow(10000, -(double) i / half);
                    expected[n * dim + i] = Math.cos(angle);
                    expected[n * dim + half + i] = Math.sin(angle);
                }
            }
            long out = bench.output(4L * expected.length);
            new Embeddings(bench.library()).timestep(bench.floats(t), out, t.length, dim, null);
            float[] actual = bench.readFloats(out, expected.length);
            // Absolute: 1e-4 is what an angle of 1000 radians is worth in float32.
            for (int i = 0; i < actual.length; i++) {
                Bench.require(Math.abs(actual[i] - expected[i]) <= 1.5e-4,
                        "timestep embedding: value " + i + " is " + actual[i] + ", expected " + expected[i]);
                Bench.require(dim % 2 == 0 || i % dim != dim - 1 || actual[i] == 0, "an odd end is " + actual[i]);
            }
        });
    }

    private static KernelCase tokens(int batch, int length, int channels, int shift) {
        return new KernelCase("token embedding, " + batch + " x " + length + " x " + channels + shifted(shift), bench -> {
            Random random = new Random(channels);
            int vocabulary = 50;
            float[] table = Bench.random(random, vocabulary * channels, 0, 1);
            float[] position = Bench.random(random, (length + 1) * channels, 0, 1);
            int[] id = random.ints((long) batch * length, 0, vocabulary).toArray();
            id[0] = vocabulary - 1;
            id[1] = 0;
            double[] expected = new double[id.length * channels];
            for (int r = 0; r < id.length; r++) {
                for (int c = 0; c < channels; c++) {
                    expected[r * channels + c] = (double) table[id[r] * channels + c] + position[r % length * channels + c];
                }
            }
            long tables = bench.halves(table, shift(shift, 0));
            long positions = bench.halves(position, shift(shift, 1));
            long out = bench.output(2L * expected.length, outputShift(shift, 2));
            Embeddings embeddings = new Embeddings(bench.library());
            embeddings.tokens(bench.ints(id), tables, positions, out, batch, length, channels, vocabulary, null);
            Bench.close("token embedding", expected, bench.readHalves(out, expected.length), TOLERANCE);
            perfect(bench, shift == 0 && channels % 8 == 0, 4L * expected.length + 4L * id.length, 2L * expected.length);
            // Ids beyond both ends of the table.
            id[0] = vocabulary;
            id[1] = -1;
            long marked = bench.output(2L * expected.length);
            embeddings.tokens(bench.ints(id), tables, positions, marked, batch, length, channels, vocabulary, null);
            float[] actual = bench.readHalves(marked, expected.length);
            for (int i = 0; i < actual.length; i++) {
                Bench.require(Float.isNaN(actual[i]) == i < 2 * channels, "value " + i + " is " + actual[i]);
            }
        });
    }
}
