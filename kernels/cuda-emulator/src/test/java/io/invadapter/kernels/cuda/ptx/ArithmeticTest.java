package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

/** Batteries of operations, compiled by nvcc, against Java and exact arithmetic. */
class ArithmeticTest {
    private static final int N = 1 << 12;
    private static final Dim BLOCK = new Dim(128);
    private static final Dim GRID = new Dim(N / 128);
    private static final int[] EDGES = {0, 1, -1, Integer.MIN_VALUE, Integer.MAX_VALUE, 2, 31, 32, 0xffff, 0x8000, 7};

    private final Random random = new Random(1);

    @FunctionalInterface
    private interface Ints {
        int apply(int x, int y, int z);
    }

    @FunctionalInterface
    private interface Floats {
        float apply(float x, float y, float z);
    }

    @FunctionalInterface
    private interface Longs {
        long apply(long x, long y);
    }

    /** A difference modulo 2^32, for any two ints. */
    private static int distance(int x, int y) {
        return Math.max(x, y) - Math.min(x, y);
    }

    private static int unsignedDistance(int x, int y) {
        return Integer.compareUnsigned(x, y) > 0 ? x - y : y - x;
    }

    private static int dot(int x, int y, int z) {
        for (int k = 0; k < 32; k += 8) {
            z += (byte) (x >> k) * (byte) (y >> k);
        }
        return z;
    }

    private static int bytePermute(int x, int y, int selector) {
        int result = 0;
        for (int k = 0; k < 4; k++) {
            int pick = selector >> 4 * k & 7;
            int value = (pick < 4 ? x >> 8 * pick : y >> 8 * (pick - 4)) & 0xff;
            result |= value << 8 * k;
        }
        return result;
    }

    private static int clamp(long v) {
        return (int) Math.max(Integer.MIN_VALUE, Math.min(Integer.MAX_VALUE, v));
    }

    @Test
    void integers() {
        List<Ints> expected = List.of(
                (x, y, z) -> x + y,
                (x, y, z) -> x - y,
                (x, y, z) -> x * y + z,
                (x, y, z) -> (int) ((long) x * y >> 32),
                (x, y, z) -> (int) ((x & 0xffffffffL) * (y & 0xffffffffL) >>> 32),
                (x, y, z) -> x / (y | 1),
                (x, y, z) -> x % (y | 1),
                (x, y, z) -> Integer.divideUnsigned(x, y | 1),
                (x, y, z) -> Integer.remainderUnsigned(x, y | 1),
                (x, y, z) -> x << y,
                (x, y, z) -> x >> y,
                (x, y, z) -> x >>> y,
                (x, y, z) -> x & y | ~x & z,
                (x, y, z) -> x ^ y ^ z,
                (x, y, z) -> Integer.bitCount(x),
                (x, y, z) -> Integer.numberOfLeadingZeros(x),
                (x, y, z) -> Integer.reverse(x),
                (x, y, z) -> x == 0 ? 0 : Integer.numberOfTrailingZeros(x) + 1,
                ArithmeticTest::bytePermute,
                (x, y, z) -> (int) (((long) y << 32 | x & 0xffffffffL) << (z & 31) >>> 32),
                (x, y, z) -> (int) (((long) y << 32 | x & 0xffffffffL) >>> Math.min(z & 63, 32)),
                (x, y, z) -> Math.min(x, y),
                (x, y, z) -> Math.max(x, y),
                (x, y, z) -> Integer.compareUnsigned(x, y) < 0 ? x : y,
                (x, y, z) -> Integer.compareUnsigned(x, y) > 0 ? x : y,
                (x, y, z) -> Math.abs(x),
                (x, y, z) -> distance(x, y) + z,
                (x, y, z) -> unsignedDistance(x, y) + z,
                ArithmeticTest::dot,
                (x, y, z) -> (int) ((long) (x << 8 >> 8) * (y << 8 >> 8)),
                (x, y, z) -> x >> 5 & 0x3ff,
                (x, y, z) -> x << 7 >> 20,
                (x, y, z) -> x < y ? z : -z,
                (x, y, z) -> (short) x * (short) y,
                (x, y, z) -> (byte) x + (y & 0xff),
                (x, y, z) -> (x & 0xffff) / ((y | 1) & 0xffff),
                (x, y, z) -> x % 7 + Integer.remainderUnsigned(x, 10),
                (x, y, z) -> x << 12 >> 23,
                (x, y, z) -> y & ~(0x1fff << 5) | (x & 0x1fff) << 5,
                (x, y, z) -> clamp((long) x + y));
        int[] a = ints();
        int[] b = ints();
        int[] c = ints();
        try (Programs p = new Programs()) {
            long out = p.allocate(4L * N * expected.size());
            p.run(Programs.kernel("arithmetic", "integers"), GRID, BLOCK, 0, p.upload(a), p.upload(b), p.upload(c), out, N);
            int[] got = p.ints(out, N * expected.size());
            for (int k = 0; k < expected.size(); k++) {
                for (int i = 0; i < N; i++) {
                    int at = i;
                    int operation = k;
                    assertEquals(expected.get(k).apply(a[i], b[i], c[i]), got[k * N + i], () -> "operation " + operation
                            + " of " + a[at] + ", " + b[at] + ", " + c[at]);
                }
            }
        }
    }

    private int[] ints() {
        int[] v = random.ints(N).toArray();
        for (int i = 0; i < N / 2; i++) {
            v[i] = random.nextBoolean() ? EDGES[random.nextInt(EDGES.length)] : v[i] >> random.nextInt(31);
        }
        return v;
    }

    @Test
    void longs() {
        List<Longs> expected = List.of(
                (x, y) -> x + y,
                (x, y) -> x * y,
                (x, y) -> big(x).multiply(big(y)).shiftRight(64).longValue(),
                (x, y) -> unsigned(x).multiply(unsigned(y)).shiftRight(64).longValue(),
                (x, y) -> x / (y | 1),
                (x, y) -> Long.remainderUnsigned(x, y | 1),
                (x, y) -> x << y,
                (x, y) -> x >> y,
                (x, y) -> x >>> y,
                (x, y) -> Long.bitCount(x) * 100 + Long.numberOfLeadingZeros(x),
                (x, y) -> Long.reverse(x),
                (x, y) -> Math.min(x, y),
                (x, y) -> Long.compareUnsigned(x, y) > 0 ? x : y,
                (x, y) -> x < y ? 1 : Long.compareUnsigned(x, y) < 0 ? 2 : 3,
                (x, y) -> (long) (int) x * (int) y,
                (x, y) -> (x & 0xffffffffL) * (y & 0xffffffffL) + x,
                (x, y) -> x >> 13 & 0xfffff);
        long[] a = random.longs(N).map(x -> x >> random.nextInt(63)).toArray();
        long[] b = random.longs(N).map(x -> x >> random.nextInt(63)).toArray();
        a[0] = Long.MIN_VALUE;
        b[0] = -1;
        try (Programs p = new Programs()) {
            long out = p.allocate(8L * N * expected.size());
            p.run(Programs.kernel("arithmetic", "longs"), GRID, BLOCK, 0, p.upload(a), p.upload(b), out, N);
            long[] got = p.longs(out, N * expected.size());
            for (int k = 0; k < expected.size(); k++) {
                for (int i = 0; i < N; i++) {
                    assertEquals(expected.get(k).apply(a[i], b[i]), got[k * N + i],
                            "operation " + k + " of " + a[i] + ", " + b[i]);
                }
            }
        }
    }

    private static BigInteger big(long x) {
        return BigInteger.valueOf(x);
    }

    private static BigInteger unsigned(long x) {
        return new BigInteger(Long.toUnsignedString(x));
    }

    /** Rounds an exact value to float: mode -1 down, 0 towards zero, 1 up. */
    private static float directed(BigDecimal exact, int mode) {
        float f = exact.floatValue();
        if (Float.isInfinite(f)) {
            f = Math.copySign(Float.MAX_VALUE, f);
        }
        int side = new BigDecimal(f).compareTo(exact);
        boolean down = mode < 0 || mode == 0 && exact.signum() > 0;
        if (down && side > 0) {
            return Math.nextDown(f);
        }
        return !down && side < 0 ? Math.nextUp(f) : f;
    }

    private static BigDecimal exact(float x) {
        return new BigDecimal(x);
    }

    private static boolean finite(float... values) {
        for (float v : values) {
            if (!Float.isFinite(v)) {
                return false;
            }
        }
        return true;
    }

    private static float flush(float x) {
        return Math.abs(x) < Float.MIN_NORMAL ? Math.copySign(0f, x) : x;
    }

    @Test
    void floats() {
        List<Floats> expected = List.of(
                (x, y, z) -> x + y,
                (x, y, z) -> x - y,
                (x, y, z) -> x * y,
                (x, y, z) -> Math.fma(x, y, z),
                (x, y, z) -> x / y,
                (x, y, z) -> (float) Math.sqrt(Math.abs(x)),
                (x, y, z) -> 1 / x,
                (x, y, z) -> Float.isNaN(x) ? y : Float.isNaN(y) ? x : Math.min(x, y),
                (x, y, z) -> Float.isNaN(x) ? y : Float.isNaN(y) ? x : Math.max(x, y),
                (x, y, z) -> -x,
                (x, y, z) -> Math.abs(x),
                (x, y, z) -> Math.copySign(x, y),
                (x, y, z) -> (float) Math.floor(x),
                (x, y, z) -> (float) Math.ceil(x),
                (x, y, z) -> (float) (x < 0 ? Math.ceil(x) : Math.floor(x)),
                (x, y, z) -> (float) Math.rint(x),
                (x, y, z) -> x < y ? 1 : x == y ? 2 : x > y ? 3 : 4,
                (x, y, z) -> x < y ? 0 : 1,
                (x, y, z) -> x > 0 ? Math.min(x, 1) : 0,
                (x, y, z) -> !finite(x, y) ? x + y : directed(exact(x).add(exact(y)), 0),
                (x, y, z) -> !finite(x, y) ? x + y : directed(exact(x).add(exact(y)), 1),
                (x, y, z) -> !finite(x, y) ? x * y : directed(exact(x).multiply(exact(y)), -1),
                (x, y, z) -> !finite(x, y, z) ? Math.fma(x, y, z)
                        : directed(exact(x).multiply(exact(y)).add(exact(z)), 1),
                (x, y, z) -> !finite(x, y) || x == 0 || y == 0 ? x / y : quotientTowardsZero(x, y),
                (x, y, z) -> rootUp(Math.abs(x)),
                (x, y, z) -> flush(flush(x) + flush(y)),
                (x, y, z) -> flush(flush(x) * flush(y)),
                (x, y, z) -> flush(Math.fma(flush(x), flush(y), flush(z))));
        float[] a = floatArray();
        float[] b = floatArray();
        float[] c = floatArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(4L * N * expected.size());
            p.run(Programs.kernel("arithmetic", "floats"), GRID, BLOCK, 0, p.upload(a), p.upload(b), p.upload(c), out, N);
            float[] got = p.floats(out, N * expected.size());
            for (int k = 0; k < expected.size(); k++) {
                for (int i = 0; i < N; i++) {
                    float want = expected.get(k).apply(a[i], b[i], c[i]);
                    float have = got[k * N + i];
                    // Exact zeros of directed sums have a sign of their own; values are what is compared there.
                    if (!(want == 0 && have == 0 && k >= 19 && k < 25)) {
                        assertEquals(want, have, "operation " + k + " of " + a[i] + ", " + b[i] + ", " + c[i]);
                    }
                }
            }
        }
    }

    private static float quotientTowardsZero(float x, float y) {
        float f = (float) ((double) x / y);
        if (Float.isInfinite(f)) {
            f = Math.copySign(Float.MAX_VALUE, f);
        }
        // |f| <= |x / y|, compared without dividing.
        boolean above = exact(Math.abs(f)).multiply(exact(Math.abs(y))).compareTo(exact(Math.abs(x))) > 0;
        return above ? Math.copySign(Math.nextDown(Math.abs(f)), f) : f;
    }

    private static float rootUp(float x) {
        float f = (float) Math.sqrt(x);
        return finite(x) && exact(f).multiply(exact(f)).compareTo(exact(x)) < 0 ? Math.nextUp(f) : f;
    }

    private float[] floatArray() {
        float[] special = {0f, -0f, 1f, -1f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0.5f, 2.5f,
            Float.MIN_VALUE, Float.MIN_NORMAL, Float.MAX_VALUE, -Float.MAX_VALUE, 1e-40f};
        float[] v = new float[N];
        for (int i = 0; i < N; i++) {
            v[i] = switch (i & 3) {
                case 0 -> Float.intBitsToFloat(random.nextInt());
                case 1 -> special[random.nextInt(special.length)];
                default -> (float) random.nextGaussian() * (1 << random.nextInt(12));
            };
        }
        return v;
    }

    @Test
    void conversions() {
        List<java.util.function.BiFunction<Float, Integer, Integer>> expected = List.of(
                (x, k) -> (int) (float) x,
                (x, k) -> (int) Math.rint(x),
                (x, k) -> (int) Math.floor(x),
                (x, k) -> (int) Math.max(0, Math.min(0xffffffffL, (long) (float) x)),
                (x, k) -> (int) ((long) (float) x >> 3),
                (x, k) -> (int) (unsignedLong(x) >>> 5),
                (x, k) -> Float.floatToRawIntBits((float) (int) k),
                (x, k) -> Float.floatToRawIntBits(directed(BigDecimal.valueOf(k), 0)),
                (x, k) -> Float.floatToRawIntBits((float) (k & 0xffffffffL)),
                (x, k) -> Float.floatToRawIntBits(directed(BigDecimal.valueOf(k & 0xffffffffL), 1)),
                (x, k) -> Float.floatToRawIntBits((float) (k * 0x12345677L)),
                (x, k) -> Float.floatToRawIntBits(new BigDecimal(unsigned((long) k * 0x12345677L)).floatValue()),
                (x, k) -> Float.floatToRawIntBits((float) ((double) x * 1.1)),
                (x, k) -> (int) (byte) (int) k,
                (x, k) -> k & 0xffff,
                (x, k) -> Math.max(0, Math.min(255, k)),
                (x, k) -> Float.isNaN(x) ? 0 : (int) Math.min(Math.max(x, 0), 255),
                (x, k) -> (int) Math.rint(k / 3.0));
        float[] a = floatArray();
        int[] b = ints();
        try (Programs p = new Programs()) {
            long out = p.allocate(4L * N * expected.size());
            p.run(Programs.kernel("arithmetic", "conversions"), GRID, BLOCK, 0, p.upload(a), p.upload(b), out, N);
            int[] got = p.ints(out, N * expected.size());
            for (int k = 0; k < expected.size(); k++) {
                for (int i = 0; i < N; i++) {
                    int want = expected.get(k).apply(a[i], b[i]);
                    int have = got[k * N + i];
                    boolean bothNan = k == 12 && Float.isNaN(Float.intBitsToFloat(want))
                            && Float.isNaN(Float.intBitsToFloat(have));
                    if (!bothNan) {
                        assertEquals(want, have, "operation " + k + " of " + a[i] + ", " + b[i]);
                    }
                }
            }
        }
    }

    private static long unsignedLong(float x) {
        if (Float.isNaN(x) || x <= 0) {
            return 0;
        }
        return x >= 0x1p64f ? -1L : new BigDecimal(x).toBigInteger().longValue();
    }

    @Test
    void doubles() {
        List<DoubleBinaryOperator> expected = List.of(
                (x, y) -> x + y,
                (x, y) -> x * y,
                (x, y) -> Math.fma(x, y, x),
                (x, y) -> x / y,
                (x, y) -> Math.sqrt(Math.abs(x)),
                Math::min,
                (x, y) -> x > y ? 1 : 0,
                (x, y) -> Math.floor(x));
        double[] a = random.doubles(N, -1e3, 1e3).toArray();
        double[] b = random.doubles(N, -1e-3, 1e3).toArray();
        try (Programs p = new Programs()) {
            long out = p.allocate(8L * N * expected.size());
            p.run(Programs.kernel("arithmetic", "doubles"), GRID, BLOCK, 0, p.upload(a), p.upload(b), out, N);
            double[] got = p.doubles(out, N * expected.size());
            for (int k = 0; k < expected.size(); k++) {
                for (int i = 0; i < N; i++) {
                    assertEquals(expected.get(k).applyAsDouble(a[i], b[i]), got[k * N + i], "operation " + k);
                }
            }
        }
    }

    @Test
    void libraryFunctionsAreWithinAFewUlps() {
        List<DoubleUnaryOperator> expected = List.of(
                Math::exp,
                x -> Math.log(Math.abs(x)),
                Math::sin,
                x -> Math.cos((float) x * 100000f),
                Math::tanh,
                ArithmeticTest::erf,
                x -> Math.pow(Math.abs(x), 1.7f),
                x -> 1 / Math.sqrt(Math.abs(x)),
                x -> Math.pow(2, x),
                x -> Math.log(Math.abs(x)) / Math.log(2));
        compare("arithmetic", "functions", expected, 5e-7, 2e-7);
    }

    @Test
    void approximations() {
        List<DoubleUnaryOperator> expected = List.of(
                Math::exp,
                x -> Math.log(Math.abs(x)),
                Math::sin,
                Math::cos,
                x -> 1 / x,
                x -> 1 / Math.sqrt(Math.abs(x)),
                x -> Math.sqrt(Math.abs(x)),
                Math::tanh,
                x -> Math.pow(2, x),
                x -> Math.log(Math.abs(x)) / Math.log(2));
        compare("fast_math", "approximations", expected, 2e-6, 2e-7);
    }

    private void compare(String module, String kernel, List<DoubleUnaryOperator> expected, double relative,
                         double absolute) {
        float[] a = new float[N];
        for (int i = 0; i < N; i++) {
            a[i] = (float) (random.nextGaussian() * 5);
        }
        try (Programs p = new Programs()) {
            long out = p.allocate(4L * N * expected.size());
            p.run(Programs.kernel(module, kernel), GRID, BLOCK, 0, p.upload(a), out, N);
            float[] got = p.floats(out, N * expected.size());
            for (int k = 0; k < expected.size(); k++) {
                for (int i = 0; i < N; i++) {
                    double want = expected.get(k).applyAsDouble(a[i]);
                    assertEquals(want, got[k * N + i], Math.abs(want) * relative + absolute,
                            "function " + k + " of " + a[i]);
                }
            }
        }
    }

    /** The error function by its series; beyond 4 it is 1 to 2e-8. */
    private static double erf(double x) {
        if (Math.abs(x) > 4) {
            return Math.signum(x);
        }
        double sum = 0;
        double term = x;
        for (int n = 0; n < 200; n++) {
            sum += term / (2 * n + 1);
            term *= -x * x / (n + 1);
        }
        return sum * 2 / Math.sqrt(Math.PI);
    }
}
