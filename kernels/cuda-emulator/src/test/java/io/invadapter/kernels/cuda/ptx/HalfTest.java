package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** f16 and bf16: every value, every rounding, against an independent search in the table of all values. */
class HalfTest {
    private static final int ALL = 1 << 16;
    private static final Dim BLOCK = new Dim(256);
    private static final Dim GRID = new Dim(ALL / 256);

    /** The value of a number with {@code exponentBits} and {@code fractionBits}, from the definition of the format. */
    private static double decode(int bits, int exponentBits, int fractionBits) {
        int sign = bits >> 15;
        int exponent = bits >> fractionBits & (1 << exponentBits) - 1;
        int fraction = bits & (1 << fractionBits) - 1;
        int bias = (1 << exponentBits - 1) - 1;
        double magnitude;
        if (exponent == (1 << exponentBits) - 1) {
            magnitude = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
        } else if (exponent == 0) {
            magnitude = fraction * Math.pow(2, 1 - bias - fractionBits);
        } else {
            magnitude = (1 + fraction * Math.pow(2, -fractionBits)) * Math.pow(2, exponent - bias);
        }
        return sign == 0 ? magnitude : -magnitude;
    }

    private static double half(int bits) {
        return decode(bits & 0xffff, 5, 10);
    }

    private static double bfloat(int bits) {
        return decode(bits & 0xffff, 8, 7);
    }

    @Test
    void everyValue() {
        short[] all = new short[ALL];
        for (int i = 0; i < ALL; i++) {
            all[i] = (short) i;
        }
        try (Programs p = new Programs()) {
            long h = p.allocate(4 * ALL);
            long b = p.allocate(4 * ALL);
            p.run(Programs.kernel("half", "halves_to_floats"), GRID, BLOCK, 0, p.upload(all), h, b, ALL);
            float[] halves = p.floats(h, ALL);
            float[] bfloats = p.floats(b, ALL);
            for (int i = 0; i < ALL; i++) {
                assertEquals((float) half(i), halves[i], "f16 " + i);
                assertEquals((float) bfloat(i), bfloats[i], "bf16 " + i);
            }
        }
    }

    private enum Mode { NEAREST, ZERO, DOWN, UP }

    /** The 16-bit number that an exact value is rounded to, by search; NaN is 0x7fff. */
    private static int round(BigDecimal exact, boolean isBfloat, Mode mode) {
        int largest = isBfloat ? 0x7f7f : 0x7bff;
        boolean negative = exact.signum() < 0;
        BigDecimal magnitude = exact.abs();
        int low = 0;
        int high = largest;
        while (low < high) {
            int middle = low + high + 1 >>> 1;
            if (new BigDecimal(isBfloat ? bfloat(middle) : half(middle)).compareTo(magnitude) <= 0) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        BigDecimal below = new BigDecimal(isBfloat ? bfloat(low) : half(low));
        int result = low;
        if (below.compareTo(magnitude) != 0) {
            // The number after the largest is infinity, which for rounding lies one step further.
            BigDecimal step = low == largest ? below.subtract(new BigDecimal(isBfloat ? bfloat(low - 1) : half(low - 1)))
                    : new BigDecimal(isBfloat ? bfloat(low + 1) : half(low + 1)).subtract(below);
            int side = magnitude.subtract(below).multiply(BigDecimal.TWO).compareTo(step);
            boolean away = switch (mode) {
                case NEAREST -> side > 0 || side == 0 && (low & 1) != 0;
                case ZERO -> false;
                case DOWN -> negative;
                case UP -> !negative;
            };
            result += away ? 1 : 0;
        }
        return result | (negative ? 0x8000 : 0);
    }

    private static int round(double x, boolean isBfloat, Mode mode) {
        if (Double.isNaN(x)) {
            return 0x7fff;
        }
        if (Double.isInfinite(x)) {
            return (isBfloat ? 0x7f80 : 0x7c00) | (x < 0 ? 0x8000 : 0);
        }
        return round(new BigDecimal(x), isBfloat, mode) | (x == 0 && 1 / x < 0 ? 0x8000 : 0);
    }

    @Test
    void roundings() {
        Random random = new Random(2);
        int n = 1 << 12;
        float[] a = new float[n];
        for (int i = 0; i < n; i++) {
            a[i] = switch (i & 3) {
                case 0 -> Float.intBitsToFloat(random.nextInt());
                case 1 -> (float) (half(random.nextInt(0x7c00)) + half(random.nextInt(0x7c00))) / 2;
                case 2 -> (float) (random.nextGaussian() * Math.pow(2, -20 + random.nextInt(37)));
                default -> Float.intBitsToFloat(random.nextInt() & 0xffff8000);
            };
            a[i] = Float.isNaN(a[i]) ? 1 : a[i];
        }
        try (Programs p = new Programs()) {
            long out = p.allocate(2L * 9 * n);
            p.run(Programs.kernel("half", "floats_to_halves"), new Dim(n / 256), BLOCK, 0, p.upload(a), out, n);
            short[] got = p.shorts(out, 9 * n);
            for (int i = 0; i < n; i++) {
                float x = a[i];
                int[] want = {round(x, false, Mode.NEAREST), round(x, false, Mode.ZERO), round(x, false, Mode.DOWN),
                    round(x, false, Mode.UP), round(x, true, Mode.NEAREST), round(x, true, Mode.ZERO),
                    round(x, false, Mode.NEAREST), round(-x, false, Mode.NEAREST), round(-x, true, Mode.NEAREST)};
                for (int k = 0; k < want.length; k++) {
                    assertEquals(want[k], got[k * n + i] & 0xffff, "conversion " + k + " of " + x);
                }
            }
        }
    }

    private static int fma(double x, double y, double z, boolean isBfloat) {
        double approximate = x * y + z;
        if (!Double.isFinite(x) || !Double.isFinite(y) || !Double.isFinite(z)) {
            return round(approximate, isBfloat, Mode.NEAREST);
        }
        BigDecimal exact = new BigDecimal(x).multiply(new BigDecimal(y)).add(new BigDecimal(z));
        return exact.signum() == 0 ? round(approximate, isBfloat, Mode.NEAREST)
                : round(exact, isBfloat, Mode.NEAREST);
    }

    private static double least(double x, double y) {
        return Double.isNaN(x) ? y : Double.isNaN(y) ? x : Math.min(x, y);
    }

    private static double most(double x, double y) {
        return Double.isNaN(x) ? y : Double.isNaN(y) ? x : Math.max(x, y);
    }

    @Test
    void arithmetic() {
        Random random = new Random(3);
        int n = 1 << 12;
        short[] a = new short[n];
        short[] b = new short[n];
        short[] c = new short[n];
        for (int i = 0; i < n; i++) {
            boolean near = (i & 1) == 0;
            a[i] = (short) (near ? 0x3000 + random.nextInt(0x1000) : random.nextInt(ALL));
            b[i] = (short) (near ? 0xb000 + random.nextInt(0x1000) : random.nextInt(ALL));
            c[i] = (short) (near ? 0x3000 + random.nextInt(0x1000) : random.nextInt(ALL));
        }
        try (Programs p = new Programs()) {
            long out = p.allocate(2L * 15 * n);
            p.run(Programs.kernel("half", "half_arithmetic"), new Dim(n / 256), BLOCK, 0, p.upload(a), p.upload(b),
                    p.upload(c), out, n);
            short[] got = p.shorts(out, 15 * n);
            for (int i = 0; i < n; i++) {
                double x = half(a[i]);
                double y = half(b[i]);
                double z = half(c[i]);
                int[] want = {
                    // Sums and products of two f16 are exact in double.
                    round(x + y, false, Mode.NEAREST), round(x - y, false, Mode.NEAREST),
                    round(x * y, false, Mode.NEAREST), fma(x, y, z, false), a[i] ^ 0x8000, a[i] & 0x7fff,
                    round(least(x, y), false, Mode.NEAREST), round(most(x, y), false, Mode.NEAREST),
                    x < y ? 1 : x == y ? 2 : x > y ? 3 : 4, fma(x, y, x, false), fma(y, z, y, false),
                    x >= y ? 0x3c00 : 0, y >= z ? 0x3c00 : 0, fma(bfloat(a[i]), bfloat(b[i]), bfloat(c[i]), true),
                    round(most(bfloat(a[i]), bfloat(b[i])), true, Mode.NEAREST)};
                for (int k = 0; k < want.length; k++) {
                    int have = got[k * n + i] & 0xffff;
                    boolean nan = k < 13 && k != 8 && Double.isNaN(half(have)) && Double.isNaN(half(want[k]));
                    if (!nan) {
                        assertEquals(want[k] & 0xffff, have, "operation " + k + " of " + x + ", " + y + ", " + z);
                    }
                }
            }
        }
    }
}
