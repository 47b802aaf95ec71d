package io.invadapter.kernels.cuda.ptx;

/** Exact arithmetic in double and one correct rounding to a narrower format. */
final class Rounding {
    static final int NEAREST = 0;
    static final int ZERO = 1;
    static final int DOWN = 2;
    static final int UP = 3;
    /** To nearest, ties away from zero. */
    static final int AWAY = 4;

    private static final float F16_MAX = 65504;
    private static final float BF16_MAX = Float.intBitsToFloat(0x7f7f0000);

    private Rounding() { }

    /** The rounding mode that the modifiers name; nearest without one. */
    static int mode(Statement s) {
        for (String m : s.modifiers()) {
            switch (m) {
                case "rz", "rzi" -> {
                    return ZERO;
                }
                case "rm", "rmi" -> {
                    return DOWN;
                }
                case "rp", "rpi" -> {
                    return UP;
                }
                case "rna" -> {
                    return AWAY;
                }
                default -> { }
            }
        }
        return NEAREST;
    }

    /**
     * {@code a + b} rounded to odd: when the sum is not a double, its last bit is 1, so that a second rounding to a
     * narrower format gives what a single one would.
     */
    static double addToOdd(double a, double b) {
        double s = a + b;
        if (Double.isInfinite(s) || Double.isNaN(s)) {
            return s;
        }
        double t = s - a;
        double error = (a - (s - t)) + (b - t);
        return toOdd(s, error);
    }

    private static double toOdd(double s, double error) {
        if (error != 0 && (Double.doubleToRawLongBits(s) & 1) == 0) {
            return error > 0 ? Math.nextUp(s) : Math.nextDown(s);
        }
        return s;
    }

    /** {@code a / b} of two floats, rounded to odd. */
    static double divideToOdd(double a, double b) {
        double q = a / b;
        if (q == 0 || Double.isInfinite(q) || Double.isNaN(q)) {
            return q;
        }
        double remainder = Math.fma(-q, b, a);
        return toOdd(q, b > 0 ? remainder : -remainder);
    }

    /** The square root of a float, rounded to odd. */
    static double sqrtToOdd(double a) {
        double q = Math.sqrt(a);
        return q == 0 || Double.isInfinite(q) || Double.isNaN(q) ? q : toOdd(q, Math.fma(-q, q, a));
    }

    /**
     * Rounds to {@code fraction} bits behind the leading one, with the least exponent of the format's normal numbers.
     * The result is exact in double; overflow is left to the caller.
     */
    private static double quantize(double x, int fraction, int leastExponent, int mode) {
        if (x == 0 || Double.isInfinite(x) || Double.isNaN(x)) {
            return x;
        }
        int exponent = Math.max(Math.getExponent(x), leastExponent) - fraction;
        double scaled = Math.scalb(x, -exponent);
        double rounded = switch (mode) {
            case NEAREST -> Math.rint(scaled);
            case ZERO -> scaled < 0 ? Math.ceil(scaled) : Math.floor(scaled);
            case DOWN -> Math.floor(scaled);
            case UP -> Math.ceil(scaled);
            default -> Math.copySign(Math.floor(Math.abs(scaled) + 0.5), scaled);
        };
        return Math.copySign(Math.scalb(rounded, exponent), x);
    }

    /** What a value beyond the greatest finite one becomes. */
    private static double overflow(double x, double max, int mode) {
        if (Math.abs(x) <= max || Double.isNaN(x)) {
            return x;
        }
        boolean toMax = mode == ZERO || mode == DOWN && x > 0 || mode == UP && x < 0;
        return Math.copySign(toMax ? max : Double.POSITIVE_INFINITY, x);
    }

    static float toFloat(double x, int mode) {
        if (mode == NEAREST || Double.isInfinite(x)) {
            return (float) x;
        }
        return (float) overflow(quantize(x, 23, -126, mode), Float.MAX_VALUE, mode);
    }

    static short toHalf(double x, int mode) {
        if (Double.isNaN(x)) {
            return 0x7fff;
        }
        if (Double.isInfinite(x)) {
            return Float.floatToFloat16((float) x);
        }
        return Float.floatToFloat16((float) overflow(quantize(x, 10, -14, mode), F16_MAX, mode));
    }

    static short toBfloat16(double x, int mode) {
        if (Double.isNaN(x)) {
            return 0x7fff;
        }
        double r = Double.isInfinite(x) ? x : overflow(quantize(x, 7, -126, mode), BF16_MAX, mode);
        return (short) (Float.floatToRawIntBits((float) r) >>> 16);
    }

    /** To 10 fraction bits, with float's exponents. */
    static float toTf32(float x, int mode) {
        return (float) quantize(x, 10, -126, mode);
    }

    static float bfloat16(int bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** Subnormal numbers become zeros of the same sign. */
    static float flush(float x) {
        return Math.abs(x) < Float.MIN_NORMAL ? Math.copySign(0f, x) : x;
    }

    /** To [0, 1], NaN to 0. */
    static float saturate(float x) {
        return x > 0 ? Math.min(x, 1f) : 0f;
    }

    static double unsignedToDouble(long x) {
        if (x >= 0) {
            return x;
        }
        // The bit shifted out stays as a sticky bit, so that the rounding is right.
        return (double) (x >>> 1 | x & 1) * 2;
    }

    static float unsignedToFloat(long x) {
        if (x >= 0) {
            return x;
        }
        return (float) (x >>> 1 | x & 1) * 2;
    }
}
