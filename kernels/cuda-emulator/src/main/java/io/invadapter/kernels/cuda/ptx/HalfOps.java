package io.invadapter.kernels.cuda.ptx;

/** Arithmetic in f16 and bf16 and pairs of them: each result is exact in double and rounded once. */
final class HalfOps {
    private static final int LANES = Warp.LANES;

    @FunctionalInterface
    interface Lane {
        double apply(double a, double b, double c);
    }

    private HalfOps() { }

    static boolean handles(Type type) {
        return type == Type.F16 || type == Type.F16X2 || type == Type.BF16 || type == Type.BF16X2;
    }

    static boolean isBfloat(Type type) {
        return type == Type.BF16 || type == Type.BF16X2;
    }

    /** The value of the 16 low bits. */
    static float value(boolean bfloat, int bits) {
        return bfloat ? Rounding.bfloat16(bits) : Float.float16ToFloat((short) bits);
    }

    /** The nearest 16-bit number, in the low bits. */
    static int round(boolean bfloat, double x) {
        return (bfloat ? Rounding.toBfloat16(x, Rounding.NEAREST) : half(x)) & 0xffff;
    }

    private static short half(double x) {
        float f = (float) x;
        // Through float where that is exact, which is nearly always and much faster.
        return f == x ? Float.floatToFloat16(f) : Rounding.toHalf(x, Rounding.NEAREST);
    }

    static Op decode(Statement s, Rows rows) {
        Decoder.allow(s, "rn", "ftz", "sat", "relu", "NaN", "approx");
        Type type = s.type();
        boolean bfloat = isBfloat(type);
        boolean pair = type.bytes == 4;
        int n = s.operands().size();
        int a = rows.word(s, 1, type);
        int b = n > 2 ? rows.word(s, 2, type) : a;
        int c = n > 3 ? rows.word(s, 3, type) : a;
        Lane arithmetic = lane(s);
        boolean sat = s.has("sat");
        boolean relu = s.has("relu");
        boolean ftz = s.has("ftz");
        boolean signOnly = s.name().equals("neg") || s.name().equals("abs");
        int target = rows.wordTarget(s, s.operand(0));
        if (signOnly && !ftz) {
            int sign = pair ? 0x80008000 : 0x8000;
            boolean neg = s.name().equals("neg");
            return new Alu.WordOp(target, (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = neg ? w.r[a + i] ^ sign : w.r[a + i] & ~sign;
                }
            });
        }
        return new Alu.WordOp(target, (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                int result = 0;
                for (int shift = 0; shift < (pair ? 32 : 16); shift += 16) {
                    double x = input(bfloat, ftz, r[a + i] >>> shift);
                    double y = input(bfloat, ftz, r[b + i] >>> shift);
                    double z = input(bfloat, ftz, r[c + i] >>> shift);
                    double v = arithmetic.apply(x, y, z);
                    if (sat) {
                        v = v > 0 ? Math.min(v, 1) : 0;
                    }
                    if (relu) {
                        v = v > 0 || Double.isNaN(v) ? v : 0;
                    }
                    int bits = round(bfloat, v);
                    result |= (ftz ? flush(bits) : bits) << shift;
                }
                out[o + i] = result;
            }
        });
    }

    private static double input(boolean bfloat, boolean ftz, int bits) {
        return value(bfloat, ftz ? flush(bits & 0xffff) : bits);
    }

    /** A subnormal f16 becomes zero; bf16 has no flushing forms. */
    private static int flush(int bits) {
        return (bits & 0x7c00) == 0 ? bits & 0x8000 : bits;
    }

    private static Lane lane(Statement s) {
        boolean nan = s.has("NaN");
        return switch (s.name()) {
            case "add" -> (a, b, c) -> Rounding.addToOdd(a, b);
            case "sub" -> (a, b, c) -> Rounding.addToOdd(a, -b);
            case "mul" -> (a, b, c) -> a * b;
            case "fma" -> (a, b, c) -> Rounding.addToOdd(a * b, c);
            case "min" -> nan ? (a, b, c) -> Math.min(a, b)
                    : (a, b, c) -> a != a ? b : b != b ? a : Math.min(a, b);
            case "max" -> nan ? (a, b, c) -> Math.max(a, b)
                    : (a, b, c) -> a != a ? b : b != b ? a : Math.max(a, b);
            case "neg" -> (a, b, c) -> -a;
            case "abs" -> (a, b, c) -> Math.abs(a);
            case "ex2" -> (a, b, c) -> FloatOps.ex2(a);
            case "tanh" -> (a, b, c) -> Math.tanh(a);
            default -> throw s.unknown("16-bit floats have no such operation");
        };
    }
}
