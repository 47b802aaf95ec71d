package io.invadapter.kernels.cuda.ptx;

/** Integer arithmetic, logic, shifts and bit fields. */
final class IntegerOps {
    private static final int LANES = Warp.LANES;

    /** One lane of an operation on words; unused operands are zero. */
    @FunctionalInterface
    private interface WordLane {
        int apply(int a, int b, int c);
    }

    /** One lane of an operation on longs. */
    @FunctionalInterface
    private interface LongLane {
        long apply(long a, long b, long c);
    }

    private IntegerOps() { }

    static Op decode(Statement s, Rows rows) {
        Type type = s.type();
        if (type == null) {
            throw s.unknown("it has no type");
        }
        switch (s.name()) {
            case "mul", "mad", "mul24", "mad24" -> Decoder.allow(s, "lo", "hi", "wide");
            case "shf" -> Decoder.allow(s, "l", "r", "wrap", "clamp");
            case "bfind" -> Decoder.allow(s, "shiftamt");
            case "add", "sub" -> Decoder.allow(s, "sat");
            default -> Decoder.allow(s);
        }
        if (type == Type.PRED) {
            return predicate(s, rows);
        }
        if (s.has("wide")) {
            return wide(s, rows, type);
        }
        return switch (s.name()) {
            case "popc", "clz", "bfind" -> counting(s, rows, type);
            case "shl", "shr" -> type.isLong() ? longShift(s, rows, type) : wordOp(s, rows, type);
            case "bfe", "bfi" -> type.isLong() ? longField(s, rows, type) : wordOp(s, rows, type);
            default -> type.isLong() ? longOp(s, rows, type) : wordOp(s, rows, type);
        };
    }

    private static Op predicate(Statement s, Rows rows) {
        int target = rows.predicateTarget(s, s.operand(0));
        int a = rows.predicate(s, s.operand(1));
        int fa = Rows.flip(s.operand(1));
        if (s.name().equals("not")) {
            return new Alu.MaskOp(target, w -> ~(w.p[a] ^ fa));
        }
        int b = rows.predicate(s, s.operand(2));
        int fb = Rows.flip(s.operand(2));
        return new Alu.MaskOp(target, switch (s.name()) {
            case "and" -> w -> (w.p[a] ^ fa) & (w.p[b] ^ fb);
            case "or" -> w -> w.p[a] ^ fa | w.p[b] ^ fb;
            case "xor" -> w -> w.p[a] ^ fa ^ w.p[b] ^ fb;
            default -> throw s.unknown("predicates have no such operation");
        });
    }

    // ---- 32 and 16 bits ----------------------------------------------------------------------------------------

    private static Op wordOp(Statement s, Rows rows, Type type) {
        int target = rows.wordTarget(s, s.operand(0));
        int n = s.operands().size();
        boolean five = s.name().equals("lop3") || s.name().equals("bfi");
        if (n > (five ? 5 : 4)) {
            throw s.unknown("it has too many operands");
        }
        // Shift counts, field positions and byte selectors are 32 bits wide whatever the type.
        Type second = s.name().equals("shl") || s.name().equals("shr") ? Type.U32 : type;
        int a = rows.word(s, 1, type);
        int b = n > 2 ? rows.word(s, 2, second) : a;
        int c = n > 3 ? rows.word(s, 3, type) : a;
        if (type.bytes == 2) {
            return new Alu.WordOp(target, narrow(lane(s, type, 16), type, a, b, c, second == Type.U32));
        }
        if (s.name().equals("bfi")) {
            int d = rows.word(s, 4, Type.U32);
            return new Alu.WordOp(target, (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = insert(w.r[a + i], w.r[b + i], w.r[c + i], w.r[d + i]);
                }
            });
        }
        Alu.WordRow fast = fastRow(s, type, a, b, c);
        return new Alu.WordOp(target, fast != null ? fast : row(lane(s, type, 32), a, b, c));
    }

    private static Alu.WordRow row(WordLane f, int a, int b, int c) {
        return (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = f.apply(r[a + i], r[b + i], r[c + i]);
            }
        };
    }

    /** 16-bit operands are extended, 16-bit results cut. */
    private static Alu.WordRow narrow(WordLane f, Type type, int a, int b, int c, boolean wideSecond) {
        boolean signed = type.isSigned();
        return (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                int x = signed ? (short) r[a + i] : r[a + i] & 0xffff;
                int y = wideSecond ? r[b + i] : signed ? (short) r[b + i] : r[b + i] & 0xffff;
                int z = signed ? (short) r[c + i] : r[c + i] & 0xffff;
                out[o + i] = f.apply(x, y, z) & 0xffff;
            }
        };
    }

    /** The most frequent operations on words, each with a loop of its own; null for the others. */
    private static Alu.WordRow fastRow(Statement s, Type type, int a, int b, int c) {
        if (s.has("sat") || s.has("hi")) {
            return null;
        }
        return switch (s.name()) {
            case "add" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] + r[b + i];
                }
            };
            case "sub" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] - r[b + i];
                }
            };
            case "mul" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] * r[b + i];
                }
            };
            case "mad" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] * r[b + i] + r[c + i];
                }
            };
            case "and" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] & r[b + i];
                }
            };
            case "or" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] | r[b + i];
                }
            };
            case "xor" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] ^ r[b + i];
                }
            };
            case "shl" -> (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    int n = r[b + i];
                    out[o + i] = (n & ~31) == 0 ? r[a + i] << n : 0;
                }
            };
            case "shr" -> type.isSigned() ? (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    int n = r[b + i];
                    out[o + i] = r[a + i] >> ((n & ~31) == 0 ? n : 31);
                }
            } : (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    int n = r[b + i];
                    out[o + i] = (n & ~31) == 0 ? r[a + i] >>> n : 0;
                }
            };
            default -> null;
        };
    }

    /** One lane of a word operation; 16-bit operands come extended, and {@code width} is 16 or 32. */
    private static WordLane lane(Statement s, Type type, int width) {
        boolean signed = type.isSigned();
        boolean hi = s.has("hi");
        return switch (s.name()) {
            case "add" -> s.has("sat") ? (a, b, c) -> clamp((long) a + b) : (a, b, c) -> a + b;
            case "sub" -> s.has("sat") ? (a, b, c) -> clamp((long) a - b) : (a, b, c) -> a - b;
            case "mul" -> hi ? high(signed, width) : (a, b, c) -> a * b;
            case "mad" -> {
                WordLane high = high(signed, width);
                yield hi ? (a, b, c) -> high.apply(a, b, 0) + c : (a, b, c) -> a * b + c;
            }
            case "mul24" -> (a, b, c) -> mul24(a, b, signed, hi);
            case "mad24" -> (a, b, c) -> mul24(a, b, signed, hi) + c;
            // The result of a division by zero is unspecified; all ones is what the hardware gives.
            case "div" -> signed ? (a, b, c) -> b == 0 ? -1 : a / b
                    : (a, b, c) -> b == 0 ? -1 : Integer.divideUnsigned(a, b);
            case "rem" -> signed ? (a, b, c) -> b == 0 ? a : a % b
                    : (a, b, c) -> b == 0 ? a : Integer.remainderUnsigned(a, b);
            case "min" -> signed ? (a, b, c) -> Math.min(a, b)
                    : (a, b, c) -> Integer.compareUnsigned(a, b) <= 0 ? a : b;
            case "max" -> signed ? (a, b, c) -> Math.max(a, b)
                    : (a, b, c) -> Integer.compareUnsigned(a, b) >= 0 ? a : b;
            case "sad" -> signed ? (a, b, c) -> c + Math.max(a, b) - Math.min(a, b)
                    : (a, b, c) -> c + (Integer.compareUnsigned(a, b) > 0 ? a - b : b - a);
            case "neg" -> (a, b, c) -> -a;
            case "abs" -> (a, b, c) -> Math.abs(a);
            case "and" -> (a, b, c) -> a & b;
            case "or" -> (a, b, c) -> a | b;
            case "xor" -> (a, b, c) -> a ^ b;
            case "not" -> (a, b, c) -> ~a;
            case "cnot" -> (a, b, c) -> a == 0 ? 1 : 0;
            case "shl" -> (a, b, c) -> Integer.compareUnsigned(b, width) < 0 ? a << b : 0;
            case "shr" -> signed ? (a, b, c) -> a >> (Integer.compareUnsigned(b, 31) < 0 ? b : 31)
                    : (a, b, c) -> Integer.compareUnsigned(b, width) < 0 ? a >>> b : 0;
            case "shf" -> funnel(s);
            case "bfe" -> (a, b, c) -> (int) extract(a, b, c, 32, signed);
            case "brev" -> (a, b, c) -> Integer.reverse(a);
            case "prmt" -> {
                if (s.modifiers().size() != 1) {
                    throw s.unknown("only the default mode is known");
                }
                yield IntegerOps::permute;
            }
            case "lop3" -> {
                int table = Rows.literal(s, 4);
                yield (a, b, c) -> lop3(a, b, c, table);
            }
            case "dp4a" -> dp4a(s);
            default -> throw s.unknown("words have no such operation");
        };
    }

    private static WordLane high(boolean signed, int width) {
        if (width == 16) {
            return (a, b, c) -> a * b >> 16;
        }
        return signed ? (a, b, c) -> (int) ((long) a * b >> 32)
                : (a, b, c) -> (int) ((a & 0xffffffffL) * (b & 0xffffffffL) >>> 32);
    }

    private static int mul24(int a, int b, boolean signed, boolean hi) {
        long x = signed ? a << 8 >> 8 : a & 0xffffff;
        long y = signed ? b << 8 >> 8 : b & 0xffffff;
        return (int) (hi ? x * y >> 16 : x * y);
    }

    private static int clamp(long v) {
        return (int) Math.max(Integer.MIN_VALUE, Math.min(Integer.MAX_VALUE, v));
    }

    private static WordLane funnel(Statement s) {
        boolean clamp = s.has("clamp");
        if (s.has("l")) {
            return (a, b, c) -> {
                int n = clamp ? (Integer.compareUnsigned(c, 32) < 0 ? c : 32) : c & 31;
                return (int) (((long) b << 32 | a & 0xffffffffL) << n >>> 32);
            };
        }
        return (a, b, c) -> {
            int n = clamp ? (Integer.compareUnsigned(c, 32) < 0 ? c : 32) : c & 31;
            return (int) (((long) b << 32 | a & 0xffffffffL) >>> n);
        };
    }

    private static int permute(int a, int b, int selector) {
        long bytes = (long) b << 32 | a & 0xffffffffL;
        int result = 0;
        for (int k = 0; k < 4; k++) {
            int pick = selector >> 4 * k & 15;
            int value = (int) (bytes >>> 8 * (pick & 7)) & 0xff;
            if ((pick & 8) != 0) {
                value = (value & 0x80) != 0 ? 0xff : 0;
            }
            result |= value << 8 * k;
        }
        return result;
    }

    private static int lop3(int a, int b, int c, int table) {
        int result = 0;
        for (int k = 0; k < 8; k++) {
            if ((table >> k & 1) != 0) {
                result |= ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
            }
        }
        return result;
    }

    private static WordLane dp4a(Statement s) {
        boolean signedA = s.type(0) == Type.S32;
        boolean signedB = s.type(1) == Type.S32;
        return (a, b, c) -> {
            int sum = c;
            for (int k = 0; k < 32; k += 8) {
                int x = signedA ? (byte) (a >> k) : a >> k & 0xff;
                int y = signedB ? (byte) (b >> k) : b >> k & 0xff;
                sum += x * y;
            }
            return sum;
        };
    }

    private static long extract(long a, int position, int length, int width, boolean signed) {
        int p = position & 0xff;
        int n = length & 0xff;
        if (n == 0) {
            return 0;
        }
        long value = width == 32 && !signed ? a & 0xffffffffL : a;
        if (signed) {
            int last = Math.min(p + n - 1, width - 1);
            long upToLast = value << 63 - last;
            int from = Math.min(p + 63 - last, 63);
            return upToLast >> from;
        }
        long shifted = p < width ? value >>> p : 0;
        return n >= 64 ? shifted : shifted & (1L << n) - 1;
    }

    private static int insert(int a, int b, int position, int length) {
        int p = position & 0xff;
        int n = Math.min(length & 0xff, 32);
        if (n == 0 || p >= 32) {
            return b;
        }
        int mask = (n == 32 ? -1 : (1 << n) - 1) << p;
        return b & ~mask | a << p & mask;
    }

    // ---- results of other widths -------------------------------------------------------------------------------

    /** {@code mul.wide} and {@code mad.wide}. */
    private static Op wide(Statement s, Rows rows, Type type) {
        int a = rows.word(s, 1, type);
        int b = rows.word(s, 2, type);
        boolean signed = type.isSigned();
        boolean mad = s.name().equals("mad");
        if (type.bytes == 2) {
            int c = mad ? rows.word(s, 3, Type.B32) : a;
            return new Alu.WordOp(rows.wordTarget(s, s.operand(0)), (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    int product = signed ? (short) r[a + i] * (short) r[b + i]
                            : (r[a + i] & 0xffff) * (r[b + i] & 0xffff);
                    out[o + i] = mad ? product + r[c + i] : product;
                }
            });
        }
        int target = rows.longTarget(s, s.operand(0));
        if (mad) {
            int c = rows.longRow(s, 3);
            return new Alu.LongOp(target, signed ? (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = (long) w.r[a + i] * w.r[b + i] + w.d[c + i];
                }
            } : (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = (w.r[a + i] & 0xffffffffL) * (w.r[b + i] & 0xffffffffL) + w.d[c + i];
                }
            });
        }
        return new Alu.LongOp(target, signed ? (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = (long) r[a + i] * r[b + i];
            }
        } : (w, out, o) -> {
            int[] r = w.r;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = (r[a + i] & 0xffffffffL) * (r[b + i] & 0xffffffffL);
            }
        });
    }

    /** {@code popc}, {@code clz} and {@code bfind}, whose results are 32 bits wide. */
    private static Op counting(Statement s, Rows rows, Type type) {
        int target = rows.wordTarget(s, s.operand(0));
        if (type.isLong()) {
            int a = rows.longRow(s, 1);
            LongLane f = switch (s.name()) {
                case "popc" -> (x, y, z) -> Long.bitCount(x);
                case "clz" -> (x, y, z) -> Long.numberOfLeadingZeros(x);
                default -> find(s, type, 64);
            };
            return new Alu.WordOp(target, (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = (int) f.apply(w.d[a + i], 0, 0);
                }
            });
        }
        int a = rows.word(s, 1, type);
        LongLane find = find(s, type, 32);
        return new Alu.WordOp(target, row(switch (s.name()) {
            case "popc" -> (x, y, z) -> Integer.bitCount(x);
            case "clz" -> (x, y, z) -> Integer.numberOfLeadingZeros(x);
            default -> (x, y, z) -> (int) find.apply(type.isSigned() ? x : x & 0xffffffffL, 0, 0);
        }, a, a, a));
    }

    private static LongLane find(Statement s, Type type, int width) {
        boolean shift = s.has("shiftamt");
        boolean signed = type.isSigned();
        return (x, y, z) -> {
            int position = 63 - Long.numberOfLeadingZeros(signed && x < 0 ? ~x : x);
            return position < 0 || !shift ? position : width - 1 - position;
        };
    }

    // ---- 64 bits -----------------------------------------------------------------------------------------------

    private static Op longOp(Statement s, Rows rows, Type type) {
        int target = rows.longTarget(s, s.operand(0));
        int n = s.operands().size();
        int a = rows.longRow(s, 1);
        int b = n > 2 ? rows.longRow(s, 2) : a;
        int c = n > 3 ? rows.longRow(s, 3) : a;
        Alu.LongRow fast = s.has("hi") || s.has("sat") ? null : switch (s.name()) {
            case "add" -> (w, out, o) -> {
                long[] d = w.d;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = d[a + i] + d[b + i];
                }
            };
            case "sub" -> (w, out, o) -> {
                long[] d = w.d;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = d[a + i] - d[b + i];
                }
            };
            case "mul" -> (w, out, o) -> {
                long[] d = w.d;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = d[a + i] * d[b + i];
                }
            };
            case "and" -> (w, out, o) -> {
                long[] d = w.d;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = d[a + i] & d[b + i];
                }
            };
            default -> null;
        };
        if (fast != null) {
            return new Alu.LongOp(target, fast);
        }
        LongLane f = longLane(s, type);
        return new Alu.LongOp(target, (w, out, o) -> {
            long[] d = w.d;
            for (int i = 0; i < LANES; i++) {
                out[o + i] = f.apply(d[a + i], d[b + i], d[c + i]);
            }
        });
    }

    private static LongLane longLane(Statement s, Type type) {
        boolean signed = type.isSigned();
        return switch (s.name()) {
            case "mul" -> signed ? (a, b, c) -> Math.multiplyHigh(a, b)
                    : (a, b, c) -> Math.unsignedMultiplyHigh(a, b);
            case "mad" -> !s.has("hi") ? (a, b, c) -> a * b + c
                    : signed ? (a, b, c) -> Math.multiplyHigh(a, b) + c
                    : (a, b, c) -> Math.unsignedMultiplyHigh(a, b) + c;
            case "div" -> signed ? (a, b, c) -> b == 0 ? -1 : a / b
                    : (a, b, c) -> b == 0 ? -1 : Long.divideUnsigned(a, b);
            case "rem" -> signed ? (a, b, c) -> b == 0 ? a : a % b
                    : (a, b, c) -> b == 0 ? a : Long.remainderUnsigned(a, b);
            case "min" -> signed ? (a, b, c) -> Math.min(a, b) : (a, b, c) -> Long.compareUnsigned(a, b) <= 0 ? a : b;
            case "max" -> signed ? (a, b, c) -> Math.max(a, b) : (a, b, c) -> Long.compareUnsigned(a, b) >= 0 ? a : b;
            case "sad" -> signed ? (a, b, c) -> c + Math.max(a, b) - Math.min(a, b)
                    : (a, b, c) -> c + (Long.compareUnsigned(a, b) > 0 ? a - b : b - a);
            case "neg" -> (a, b, c) -> -a;
            case "abs" -> (a, b, c) -> Math.abs(a);
            case "or" -> (a, b, c) -> a | b;
            case "xor" -> (a, b, c) -> a ^ b;
            case "not" -> (a, b, c) -> ~a;
            case "cnot" -> (a, b, c) -> a == 0 ? 1 : 0;
            case "brev" -> (a, b, c) -> Long.reverse(a);
            default -> throw s.unknown("64-bit integers have no such operation");
        };
    }

    private static Op longShift(Statement s, Rows rows, Type type) {
        int a = rows.longRow(s, 1);
        int b = rows.word(s, 2, Type.U32);
        boolean left = s.name().equals("shl");
        boolean signed = type.isSigned();
        return new Alu.LongOp(rows.longTarget(s, s.operand(0)), (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                long x = w.d[a + i];
                int n = w.r[b + i];
                boolean inside = (n & ~63) == 0;
                out[o + i] = left ? (inside ? x << n : 0) : signed ? x >> (inside ? n : 63) : inside ? x >>> n : 0;
            }
        });
    }

    private static Op longField(Statement s, Rows rows, Type type) {
        int target = rows.longTarget(s, s.operand(0));
        int a = rows.longRow(s, 1);
        boolean signed = type.isSigned();
        if (s.name().equals("bfe")) {
            int p = rows.word(s, 2, Type.U32);
            int n = rows.word(s, 3, Type.U32);
            return new Alu.LongOp(target, (w, out, o) -> {
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = extract(w.d[a + i], w.r[p + i], w.r[n + i], 64, signed);
                }
            });
        }
        int b = rows.longRow(s, 2);
        int p = rows.word(s, 3, Type.U32);
        int n = rows.word(s, 4, Type.U32);
        return new Alu.LongOp(target, (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                out[o + i] = insert(w.d[a + i], w.d[b + i], w.r[p + i], w.r[n + i]);
            }
        });
    }

    private static long insert(long a, long b, int position, int length) {
        int p = position & 0xff;
        int n = Math.min(length & 0xff, 64);
        if (n == 0 || p >= 64) {
            return b;
        }
        long mask = (n == 64 ? -1L : (1L << n) - 1) << p;
        return b & ~mask | a << p & mask;
    }
}
