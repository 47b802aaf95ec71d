package io.invadapter.kernels.cuda.ptx;

/** {@code setp}, {@code set}, {@code selp} and {@code slct}. */
final class CompareOps {
    private static final int LANES = Warp.LANES;

    /** Fills {@code w.less}, {@code w.equal} and {@code w.greater}; unordered lanes are in none of them. */
    @FunctionalInterface
    private interface Ordering {
        void compare(Warp w);
    }

    private CompareOps() { }

    static Op decode(Statement s, Rows rows) {
        return switch (s.name()) {
            case "setp" -> setp(s, rows);
            case "set" -> set(s, rows);
            case "selp" -> selp(s, rows);
            default -> slct(s, rows);
        };
    }

    private static void allowComparison(Statement s) {
        Decoder.allow(s, "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu",
                "geu", "num", "nan", "ftz", "and", "or", "xor");
    }

    private static Op setp(Statement s, Rows rows) {
        allowComparison(s);
        Type type = s.type();
        Operand first = s.operand(0);
        Operand second = null;
        if (first instanceof Operand.Pair pair) {
            first = pair.first();
            second = pair.second();
        }
        int p = rows.predicateTarget(s, first);
        int q = second == null ? -1 : rows.predicateTarget(s, second);
        int combine = s.operands().size() > 3 ? rows.predicate(s, s.operand(3)) : -1;
        int flip = combine < 0 ? 0 : Rows.flip(s.operand(3));
        boolean and = s.has("and");
        boolean or = s.has("or");
        Alu.MaskRow test = test(s, type, ordering(s, rows, type, 1, 0));
        if (q < 0 && combine < 0) {
            return new Alu.MaskOp(p, test);
        }
        // Of packed halves, p gets the low and q the high comparison; else q gets the negated one.
        Alu.MaskRow other = HalfOps.handles(type) && type.bytes == 4 && q >= 0
                ? test(s, type, ordering(s, rows, type, 1, 16)) : null;
        return new Op() {
            @Override
            void run(Warp w, int mask) {
                int a = test.compute(w);
                int b = other == null ? ~a : other.compute(w);
                if (combine >= 0) {
                    int c = w.p[combine] ^ flip;
                    a = and ? a & c : or ? a | c : a ^ c;
                    b = and ? b & c : or ? b | c : b ^ c;
                }
                Alu.mergePredicate(w, p, mask, a);
                if (q >= 0) {
                    Alu.mergePredicate(w, q, mask, b);
                }
            }
        };
    }

    private static Op set(Statement s, Rows rows) {
        allowComparison(s);
        if (s.operands().size() > 3) {
            throw s.unknown("combining with a predicate is not known here");
        }
        Type result = s.type(0);
        Type type = s.type(1);
        int target = rows.wordTarget(s, s.operand(0));
        Alu.MaskRow low = test(s, type, ordering(s, rows, type, 1, 0));
        if (result == Type.F16X2 || result == Type.BF16X2 || HalfOps.handles(type) && type.bytes == 4) {
            Alu.MaskRow high = test(s, type, ordering(s, rows, type, 1, 16));
            int one = result == Type.F16X2 ? 0x3c00 : result == Type.BF16X2 ? 0x3f80 : 0xffff;
            return new Alu.WordOp(target, (w, out, o) -> {
                int a = low.compute(w);
                int b = high.compute(w);
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = (a >>> i & 1) * one | (b >>> i & 1) * one << 16;
                }
            });
        }
        int one = switch (result) {
            case F32 -> Float.floatToRawIntBits(1);
            case F16 -> 0x3c00;
            case BF16 -> 0x3f80;
            case U16, S16 -> 0xffff;
            default -> -1;
        };
        return new Alu.WordOp(target, (w, out, o) -> {
            int a = low.compute(w);
            for (int i = 0; i < LANES; i++) {
                out[o + i] = (a >>> i & 1) * one;
            }
        });
    }

    private static Alu.MaskRow test(Statement s, Type type, Ordering order) {
        for (String m : s.modifiers()) {
            Alu.MaskRow row = switch (m) {
                case "eq" -> w -> {
                    order.compare(w);
                    return w.equal;
                };
                case "ne" -> w -> {
                    order.compare(w);
                    return w.less | w.greater;
                };
                case "lt", "lo" -> w -> {
                    order.compare(w);
                    return w.less;
                };
                case "le", "ls" -> w -> {
                    order.compare(w);
                    return w.less | w.equal;
                };
                case "gt", "hi" -> w -> {
                    order.compare(w);
                    return w.greater;
                };
                case "ge", "hs" -> w -> {
                    order.compare(w);
                    return w.greater | w.equal;
                };
                case "equ" -> w -> {
                    order.compare(w);
                    return ~(w.less | w.greater);
                };
                case "neu" -> w -> {
                    order.compare(w);
                    return ~w.equal;
                };
                case "ltu" -> w -> {
                    order.compare(w);
                    return ~(w.equal | w.greater);
                };
                case "leu" -> w -> {
                    order.compare(w);
                    return ~w.greater;
                };
                case "gtu" -> w -> {
                    order.compare(w);
                    return ~(w.equal | w.less);
                };
                case "geu" -> w -> {
                    order.compare(w);
                    return ~w.less;
                };
                case "num" -> w -> {
                    order.compare(w);
                    return w.less | w.equal | w.greater;
                };
                case "nan" -> w -> {
                    order.compare(w);
                    return ~(w.less | w.equal | w.greater);
                };
                default -> null;
            };
            if (row != null) {
                return row;
            }
        }
        throw s.unknown("the comparison is missing");
    }

    private static Ordering ordering(Statement s, Rows rows, Type type, int operand, int shift) {
        if (type.isLong()) {
            return longOrdering(type, rows.longRow(s, operand), rows.longRow(s, operand + 1));
        }
        int a = rows.word(s, operand, type);
        int b = rows.word(s, operand + 1, type);
        boolean ftz = s.has("ftz");
        if (type == Type.F32) {
            return w -> {
                int less = 0;
                int equal = 0;
                int greater = 0;
                for (int i = 0; i < LANES; i++) {
                    float x = Float.intBitsToFloat(w.r[a + i]);
                    float y = Float.intBitsToFloat(w.r[b + i]);
                    if (ftz) {
                        x = Rounding.flush(x);
                        y = Rounding.flush(y);
                    }
                    less |= (x < y ? 1 : 0) << i;
                    equal |= (x == y ? 1 : 0) << i;
                    greater |= (x > y ? 1 : 0) << i;
                }
                w.less = less;
                w.equal = equal;
                w.greater = greater;
            };
        }
        if (HalfOps.handles(type)) {
            boolean bfloat = HalfOps.isBfloat(type);
            return w -> {
                w.less = 0;
                w.equal = 0;
                w.greater = 0;
                for (int i = 0; i < LANES; i++) {
                    order(w, i, HalfOps.value(bfloat, w.r[a + i] >>> shift),
                            HalfOps.value(bfloat, w.r[b + i] >>> shift));
                }
            };
        }
        return wordOrdering(type, a, b);
    }

    private static Ordering wordOrdering(Type type, int a, int b) {
        boolean signed = type.isSigned();
        boolean narrow = type.bytes == 2;
        // Unsigned words are compared as signed ones with their order turned around.
        int flip = signed || narrow ? 0 : Integer.MIN_VALUE;
        return w -> {
            int less = 0;
            int equal = 0;
            for (int i = 0; i < LANES; i++) {
                int x = w.r[a + i] ^ flip;
                int y = w.r[b + i] ^ flip;
                if (narrow) {
                    x = signed ? (short) x : x & 0xffff;
                    y = signed ? (short) y : y & 0xffff;
                }
                less |= (x < y ? 1 : 0) << i;
                equal |= (x == y ? 1 : 0) << i;
            }
            w.less = less;
            w.equal = equal;
            w.greater = ~(less | equal);
        };
    }

    private static Ordering longOrdering(Type type, int a, int b) {
        if (type == Type.F64) {
            return w -> {
                w.less = 0;
                w.equal = 0;
                w.greater = 0;
                for (int i = 0; i < LANES; i++) {
                    order(w, i, Double.longBitsToDouble(w.d[a + i]), Double.longBitsToDouble(w.d[b + i]));
                }
            };
        }
        long flip = type.isSigned() ? 0 : Long.MIN_VALUE;
        return w -> {
            int less = 0;
            int equal = 0;
            for (int i = 0; i < LANES; i++) {
                long x = w.d[a + i] ^ flip;
                long y = w.d[b + i] ^ flip;
                less |= (x < y ? 1 : 0) << i;
                equal |= (x == y ? 1 : 0) << i;
            }
            w.less = less;
            w.equal = equal;
            w.greater = ~(less | equal);
        };
    }

    private static void order(Warp w, int lane, double x, double y) {
        w.less |= (x < y ? 1 : 0) << lane;
        w.equal |= (x == y ? 1 : 0) << lane;
        w.greater |= (x > y ? 1 : 0) << lane;
    }

    private static Op selp(Statement s, Rows rows) {
        Decoder.allow(s);
        int p = rows.predicate(s, s.operand(3));
        int flip = Rows.flip(s.operand(3));
        if (s.type().isLong()) {
            int a = rows.longRow(s, 1);
            int b = rows.longRow(s, 2);
            return new Alu.LongOp(rows.longTarget(s, s.operand(0)), (w, out, o) -> {
                int take = w.p[p] ^ flip;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = (take >>> i & 1) != 0 ? w.d[a + i] : w.d[b + i];
                }
            });
        }
        int a = rows.word(s, 1, s.type());
        int b = rows.word(s, 2, s.type());
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
            int[] r = w.r;
            int take = w.p[p] ^ flip;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = (take >>> i & 1) != 0 ? r[a + i] : r[b + i];
            }
        });
    }

    /** {@code slct}: the first source where the third is not negative. */
    private static Op slct(Statement s, Rows rows) {
        Decoder.allow(s, "ftz");
        Type type = s.type(0);
        if (type.isLong()) {
            throw s.unknown("only words are known here");
        }
        boolean real = s.type(1) == Type.F32;
        int a = rows.word(s, 1, type);
        int b = rows.word(s, 2, type);
        int c = rows.word(s, 3, s.type(1));
        return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                boolean first = real ? Float.intBitsToFloat(r[c + i]) >= 0 : r[c + i] >= 0;
                out[o + i] = first ? r[a + i] : r[b + i];
            }
        });
    }
}
