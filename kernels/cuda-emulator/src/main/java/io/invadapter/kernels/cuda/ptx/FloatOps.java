package io.invadapter.kernels.cuda.ptx;

/** Arithmetic in f32 and f64, and the approximations, which are computed in double and rounded once. */
final class FloatOps {
    private static final int LANES = Warp.LANES;

    @FunctionalInterface
    private interface FloatLane {
        float apply(float a, float b, float c);
    }

    @FunctionalInterface
    private interface DoubleLane {
        double apply(double a, double b, double c);
    }

    private FloatOps() { }

    static Op decode(Statement s, Rows rows) {
        Decoder.allow(s, "rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full", "NaN", "finite", "infinite", "number",
                "notanumber", "normal", "subnormal");
        Type type = s.type();
        if (s.name().equals("testp")) {
            return test(s, rows, type);
        }
        if (type == Type.F64) {
            return doubleOp(s, rows);
        }
        if (type != Type.F32) {
            throw s.unknown("the type is not known here");
        }
        int n = s.operands().size();
        int a = rows.word(s, 1, type);
        int b = n > 2 ? rows.word(s, 2, type) : a;
        int c = n > 3 ? rows.word(s, 3, type) : a;
        boolean plain = Rounding.mode(s) == Rounding.NEAREST && !s.has("sat");
        Alu.WordRow fast = !plain ? null : s.has("ftz") ? flushingRow(s.name(), a, b, c) : fastRow(s.name(), a, b, c);
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), fast != null ? fast : row(lane(s), s, a, b, c));
    }

    private static float f(int bits) {
        return Float.intBitsToFloat(bits);
    }

    private static int bits(float x) {
        return Float.floatToRawIntBits(x);
    }

    private static Alu.WordRow fastRow(String name, int a, int b, int c) {
        return switch (name) {
            case "add" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(f(r[a + i]) + f(r[b + i]));
                }
            };
            case "sub" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(f(r[a + i]) - f(r[b + i]));
                }
            };
            case "mul" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(f(r[a + i]) * f(r[b + i]));
                }
            };
            case "fma", "mad" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(Math.fma(f(r[a + i]), f(r[b + i]), f(r[c + i])));
                }
            };
            case "max" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(max(f(r[a + i]), f(r[b + i])));
                }
            };
            default -> null;
        };
    }

    private static Alu.WordRow flushingRow(String name, int a, int b, int c) {
        return switch (name) {
            case "add" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(Rounding.flush(Rounding.flush(f(r[a + i])) + Rounding.flush(f(r[b + i]))));
                }
            };
            case "sub" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(Rounding.flush(Rounding.flush(f(r[a + i])) - Rounding.flush(f(r[b + i]))));
                }
            };
            case "mul" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(Rounding.flush(Rounding.flush(f(r[a + i])) * Rounding.flush(f(r[b + i]))));
                }
            };
            case "fma", "mad" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = bits(Rounding.flush(Math.fma(Rounding.flush(f(r[a + i])),
                            Rounding.flush(f(r[b + i])), Rounding.flush(f(r[c + i])))));
                }
            };
            default -> null;
        };
    }

    private static Alu.WordRow row(FloatLane lane, Statement s, int a, int b, int c) {
        boolean ftz = s.has("ftz");
        boolean sat = s.has("sat");
        return (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                float x = f(r[a + i]);
                float y = f(r[b + i]);
                float z = f(r[c + i]);
                float result = ftz
                        ? Rounding.flush(lane.apply(Rounding.flush(x), Rounding.flush(y), Rounding.flush(z)))
                        : lane.apply(x, y, z);
                out[o + i] = bits(sat ? Rounding.saturate(result) : result);
            }
        };
    }

    static float max(float a, float b) {
        return a != a ? b : b != b ? a : Math.max(a, b);
    }

    static float min(float a, float b) {
        return a != a ? b : b != b ? a : Math.min(a, b);
    }

    private static FloatLane lane(Statement s) {
        int mode = Rounding.mode(s);
        boolean nan = s.has("NaN");
        return switch (s.name()) {
            // A product of two floats is exact in double.
            case "add" -> (a, b, c) -> Rounding.toFloat(Rounding.addToOdd(a, b), mode);
            case "sub" -> (a, b, c) -> Rounding.toFloat(Rounding.addToOdd(a, -b), mode);
            case "mul" -> (a, b, c) -> Rounding.toFloat((double) a * b, mode);
            case "fma", "mad" -> mode == Rounding.NEAREST ? Math::fma
                    : (a, b, c) -> Rounding.toFloat(Rounding.addToOdd((double) a * b, c), mode);
            case "div" -> (a, b, c) -> Rounding.toFloat(Rounding.divideToOdd(a, b), mode);
            case "rcp" -> (a, b, c) -> Rounding.toFloat(Rounding.divideToOdd(1, a), mode);
            case "sqrt" -> (a, b, c) -> Rounding.toFloat(Rounding.sqrtToOdd(a), mode);
            case "rsqrt" -> (a, b, c) -> (float) (1 / Math.sqrt(a));
            case "sin" -> (a, b, c) -> (float) Math.sin(a);
            case "cos" -> (a, b, c) -> (float) Math.cos(a);
            case "lg2" -> (a, b, c) -> (float) lg2(a);
            case "ex2" -> (a, b, c) -> (float) ex2(a);
            case "tanh" -> (a, b, c) -> (float) Math.tanh(a);
            case "min" -> nan ? (a, b, c) -> Math.min(a, b) : (a, b, c) -> min(a, b);
            case "max" -> nan ? (a, b, c) -> Math.max(a, b) : (a, b, c) -> max(a, b);
            case "neg" -> (a, b, c) -> -a;
            case "abs" -> (a, b, c) -> Math.abs(a);
            case "copysign" -> (a, b, c) -> Math.copySign(b, a);
            default -> throw s.unknown("f32 has no such operation");
        };
    }

    static double ex2(double x) {
        return Math.pow(2, x);
    }

    private static double lg2(double x) {
        // Exact at powers of two, as the hardware is.
        int e = Math.getExponent(x);
        return e <= Double.MAX_EXPONENT && x == Math.scalb(1.0, e) ? e : Math.log(x) / Math.log(2);
    }

    private static Op doubleOp(Statement s, Rows rows) {
        if (Rounding.mode(s) != Rounding.NEAREST) {
            throw s.unknown("f64 is rounded to nearest only");
        }
        int n = s.operands().size();
        int a = rows.longRow(s, 1);
        int b = n > 2 ? rows.longRow(s, 2) : a;
        int c = n > 3 ? rows.longRow(s, 3) : a;
        DoubleLane lane = switch (s.name()) {
            case "add" -> (x, y, z) -> x + y;
            case "sub" -> (x, y, z) -> x - y;
            case "mul" -> (x, y, z) -> x * y;
            case "fma", "mad" -> Math::fma;
            case "div" -> (x, y, z) -> x / y;
            case "rcp" -> (x, y, z) -> 1 / x;
            case "sqrt" -> (x, y, z) -> Math.sqrt(x);
            case "rsqrt" -> (x, y, z) -> 1 / Math.sqrt(x);
            case "min" -> (x, y, z) -> x != x ? y : y != y ? x : Math.min(x, y);
            case "max" -> (x, y, z) -> x != x ? y : y != y ? x : Math.max(x, y);
            case "neg" -> (x, y, z) -> -x;
            case "abs" -> (x, y, z) -> Math.abs(x);
            case "copysign" -> (x, y, z) -> Math.copySign(y, x);
            default -> throw s.unknown("f64 has no such operation");
        };
        return new Alu.LongOp(rows.longTarget(s, s.operand(0)), (w, out, o) -> {
            long[] d = w.d;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = Double.doubleToRawLongBits(lane.apply(Double.longBitsToDouble(d[a + i]),
                        Double.longBitsToDouble(d[b + i]), Double.longBitsToDouble(d[c + i])));
            }
        });
    }

    private static Op test(Statement s, Rows rows, Type type) {
        boolean isDouble = type == Type.F64;
        int a = isDouble ? rows.longRow(s, 1) : rows.word(s, 1, type);
        double least = isDouble ? Double.MIN_NORMAL : Float.MIN_NORMAL;
        java.util.function.DoublePredicate p = switch (s.modifiers().get(0)) {
            case "finite" -> Double::isFinite;
            case "infinite" -> Double::isInfinite;
            case "number" -> x -> !Double.isNaN(x);
            case "notanumber" -> Double::isNaN;
            case "normal" -> x -> Double.isFinite(x) && Math.abs(x) >= least;
            case "subnormal" -> x -> x != 0 && Math.abs(x) < least;
            default -> throw s.unknown("the test is not known");
        };
        return new Alu.MaskOp(rows.predicateTarget(s, s.operand(0)), w -> {
            int mask = 0;
            for (int i = 0; i < LANES; i++) {
                double x = isDouble ? Double.longBitsToDouble(w.d[a + i]) : f(w.r[a + i]);
                mask |= p.test(x) ? 1 << i : 0;
            }
            return mask;
        });
    }
}
