package io.invadapter.kernels.cuda.ptx;

/** {@code cvt}, between all types. */
final class ConvertOps {
    private static final int LANES = Warp.LANES;

    /** Reads one lane of a source as an integer, extended as its type says. */
    @FunctionalInterface
    private interface IntegerSource {
        long get(Warp w, int lane);
    }

    /** Reads one lane of a source as a floating-point number. */
    @FunctionalInterface
    private interface RealSource {
        double get(Warp w, int lane);
    }

    private ConvertOps() { }

    static Op decode(Statement s, Rows rows) {
        Decoder.allow(s, "rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "ftz", "sat", "relu", "satfinite",
                "pack");
        if (s.has("pack")) {
            return pack(s, rows);
        }
        Type to = s.type(0);
        Type from = s.type(1);
        if (to == Type.F16X2 || to == Type.BF16X2) {
            return halves(s, rows, to);
        }
        Alu.WordRow fast = fastRow(s, rows, to, from);
        if (fast != null) {
            return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), fast);
        }
        if (from.isFloat()) {
            RealSource source = realSource(s, rows, from);
            return to.isFloat() ? fromRealToReal(s, rows, source, to) : fromRealToInteger(s, rows, source, to);
        }
        IntegerSource source = integerSource(s, rows, from);
        return to.isFloat() ? fromIntegerToReal(s, rows, source, to, from)
                : fromIntegerToInteger(s, rows, source, to, from);
    }

    /** Frequent conversions with loops of their own. */
    private static Alu.WordRow fastRow(Statement s, Rows rows, Type to, Type from) {
        if (s.has("sat") || s.has("ftz") || from.isLong() || to.isLong()) {
            return null;
        }
        int mode = Rounding.mode(s);
        if (to == Type.F32 && from == Type.F16) {
            int a = rows.word(s, 1, from);
            return (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = Float.floatToRawIntBits(Float.float16ToFloat((short) r[a + i]));
                }
            };
        }
        if (to == Type.F16 && from == Type.F32 && mode == Rounding.NEAREST && !s.has("relu")) {
            int a = rows.word(s, 1, from);
            return (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = Float.floatToFloat16(Float.intBitsToFloat(r[a + i])) & 0xffff;
                }
            };
        }
        if (to == Type.F32 && from == Type.S32 && mode == Rounding.NEAREST) {
            int a = rows.word(s, 1, from);
            return (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = Float.floatToRawIntBits((float) r[a + i]);
                }
            };
        }
        return null;
    }

    // ---- sources -----------------------------------------------------------------------------------------------

    private static IntegerSource integerSource(Statement s, Rows rows, Type from) {
        if (Rows.isLong(s.operand(1)) || from.isLong()) {
            int a = rows.longRow(s, 1);
            int unused = 64 - from.bytes * 8;
            return from.isSigned() ? (w, i) -> w.d[a + i] << unused >> unused
                    : (w, i) -> w.d[a + i] << unused >>> unused;
        }
        int a = rows.word(s, 1, from);
        int unused = 64 - from.bytes * 8;
        return from.isSigned() ? (w, i) -> (long) w.r[a + i] << unused >> unused
                : (w, i) -> (long) w.r[a + i] << unused >>> unused;
    }

    private static RealSource realSource(Statement s, Rows rows, Type from) {
        if (from == Type.F64) {
            int a = rows.longRow(s, 1);
            return (w, i) -> Double.longBitsToDouble(w.d[a + i]);
        }
        int a = rows.word(s, 1, from);
        boolean ftz = s.has("ftz");
        return switch (from) {
            case F32 -> (w, i) -> {
                float x = Float.intBitsToFloat(w.r[a + i]);
                return ftz ? Rounding.flush(x) : x;
            };
            case F16, BF16 -> {
                boolean bfloat = from == Type.BF16;
                yield (w, i) -> HalfOps.value(bfloat, w.r[a + i]);
            }
            default -> throw s.unknown("the source type is not known");
        };
    }

    // ---- targets -----------------------------------------------------------------------------------------------

    private static Op fromIntegerToInteger(Statement s, Rows rows, IntegerSource source, Type to, Type from) {
        boolean sat = s.has("sat");
        boolean unsignedLong = from.isLong() && !from.isSigned();
        return storeInteger(s, rows, to, (w, i) -> {
            long v = source.get(w, i);
            return sat ? clamp(v, unsignedLong, to) : v;
        });
    }

    private static long clamp(long v, boolean unsignedLong, Type to) {
        if (to.isLong()) {
            return to.isSigned() ? (unsignedLong && v < 0 ? Long.MAX_VALUE : v) : !unsignedLong && v < 0 ? 0 : v;
        }
        long least = to.isSigned() ? -1L << to.bytes * 8 - 1 : 0;
        long most = to.isSigned() ? ~least : (1L << to.bytes * 8) - 1;
        return unsignedLong && v < 0 ? most : Math.max(least, Math.min(most, v));
    }

    private static Op fromRealToInteger(Statement s, Rows rows, RealSource source, Type to) {
        int mode = Rounding.mode(s);
        boolean toNearest = s.has("rni");
        if (!toNearest && mode == Rounding.NEAREST) {
            throw s.unknown("a conversion to an integer needs a rounding mode");
        }
        return storeInteger(s, rows, to, (w, i) -> {
            double x = integral(source.get(w, i), mode);
            if (to == Type.U64) {
                return x >= 0x1p63 ? x >= 0x1p64 ? -1L : (long) (x - 0x1p63) ^ Long.MIN_VALUE
                        : (long) Math.max(x, 0);
            }
            // Java's casts saturate and send NaN to 0, as PTX does.
            return clamp((long) x, false, to);
        });
    }

    private static double integral(double x, int mode) {
        return switch (mode) {
            case Rounding.NEAREST -> Math.rint(x);
            case Rounding.ZERO -> x < 0 ? Math.ceil(x) : Math.floor(x);
            case Rounding.DOWN -> Math.floor(x);
            default -> Math.ceil(x);
        };
    }

    private static Op storeInteger(Statement s, Rows rows, Type to, IntegerSource value) {
        int unused = 64 - to.bytes * 8;
        boolean signed = to.isSigned();
        if (Rows.isLong(s.operand(0))) {
            return new Alu.LongOp(rows.longTarget(s, s.operand(0)), (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    long v = value.get(w, i) << unused;
                    out[o + i] = signed ? v >> unused : v >>> unused;
                }
            });
        }
        boolean half = s.operand(0) instanceof Operand.Register r && r.type().bytes == 2;
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                long v = value.get(w, i) << unused;
                int x = (int) (signed ? v >> unused : v >>> unused);
                out[o + i] = half ? x & 0xffff : x;
            }
        });
    }

    private static Op fromIntegerToReal(Statement s, Rows rows, IntegerSource source, Type to, Type from) {
        boolean unsignedLong = from.isLong() && !from.isSigned();
        int mode = Rounding.mode(s);
        if (from.isLong() && mode != Rounding.NEAREST) {
            throw s.unknown("64-bit integers are rounded to nearest only");
        }
        if (to == Type.F32 && from.isLong()) {
            // Straight to float: through double it would be rounded twice.
            return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    long v = source.get(w, i);
                    out[o + i] = Float.floatToRawIntBits(unsignedLong ? Rounding.unsignedToFloat(v) : (float) v);
                }
            });
        }
        return storeReal(s, rows, to, (w, i) -> {
            long v = source.get(w, i);
            return unsignedLong ? Rounding.unsignedToDouble(v) : (double) v;
        });
    }

    private static Op fromRealToReal(Statement s, Rows rows, RealSource source, Type to) {
        boolean integral = s.modifiers().stream().anyMatch(m -> m.equals("rni") || m.equals("rzi") || m.equals("rmi")
                || m.equals("rpi"));
        int mode = Rounding.mode(s);
        return storeReal(s, rows, to, integral ? (w, i) -> integral(source.get(w, i), mode) : source);
    }

    private static Op storeReal(Statement s, Rows rows, Type to, RealSource source) {
        int mode = Rounding.mode(s);
        boolean sat = s.has("sat");
        boolean relu = s.has("relu");
        boolean ftz = s.has("ftz");
        RealSource value = !sat && !relu ? source : (w, i) -> {
            double x = source.get(w, i);
            x = sat ? x > 0 ? Math.min(x, 1) : 0 : x;
            return relu && x <= 0 ? 0 : x;
        };
        if (to == Type.F64) {
            return new Alu.LongOp(rows.longTarget(s, s.operand(0)), (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = Double.doubleToRawLongBits(value.get(w, i));
                }
            });
        }
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                double x = value.get(w, i);
                out[o + i] = switch (to) {
                    case F16 -> Rounding.toHalf(x, mode) & 0xffff;
                    case BF16 -> Rounding.toBfloat16(x, mode) & 0xffff;
                    case TF32 -> Float.floatToRawIntBits(Rounding.toTf32((float) x, mode));
                    default -> {
                        float f = Rounding.toFloat(x, mode);
                        yield Float.floatToRawIntBits(ftz ? Rounding.flush(f) : f);
                    }
                };
            }
        });
    }

    /** {@code cvt.rn.f16x2.f32 d, a, b}: a becomes the high half, b the low half. */
    private static Op halves(Statement s, Rows rows, Type to) {
        if (s.type(1) != Type.F32 || s.operands().size() != 3) {
            throw s.unknown("only two f32 make a pair of halves");
        }
        boolean bfloat = to == Type.BF16X2;
        int mode = Rounding.mode(s);
        boolean relu = s.has("relu");
        boolean fast = !bfloat && mode == Rounding.NEAREST && !relu;
        int a = rows.word(s, 1, Type.F32);
        int b = rows.word(s, 2, Type.F32);
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), fast ? (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = Float.floatToFloat16(Float.intBitsToFloat(r[a + i])) << 16
                        | Float.floatToFloat16(Float.intBitsToFloat(r[b + i])) & 0xffff;
            }
        } : (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                out[o + i] = half(w.r[a + i], bfloat, mode, relu) << 16
                        | half(w.r[b + i], bfloat, mode, relu) & 0xffff;
            }
        });
    }

    private static int half(int bits, boolean bfloat, int mode, boolean relu) {
        float x = Float.intBitsToFloat(bits);
        x = relu && x <= 0 ? 0 : x;
        return bfloat ? Rounding.toBfloat16(x, mode) : Rounding.toHalf(x, mode);
    }

    /** {@code cvt.pack.sat.u8.s32.b32 d, a, b, c}: saturated a above b, above the low bits of c. */
    private static Op pack(Statement s, Rows rows) {
        Type to = s.type(0);
        int width = to.bytes * 8;
        int a = rows.word(s, 1, Type.S32);
        int b = rows.word(s, 2, Type.S32);
        int c = s.operands().size() > 3 ? rows.word(s, 3, Type.B32) : rows.constant(0);
        int mask = (1 << width) - 1;
        if (width > 16) {
            throw s.unknown("only 8 and 16 bits can be packed");
        }
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                int x = (int) clamp(w.r[a + i], false, to) & mask;
                int y = (int) clamp(w.r[b + i], false, to) & mask;
                out[o + i] = x << width | y | (2 * width == 32 ? 0 : w.r[c + i] << 2 * width);
            }
        });
    }
}
