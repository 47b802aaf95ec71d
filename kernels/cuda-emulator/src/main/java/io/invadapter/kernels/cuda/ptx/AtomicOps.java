package io.invadapter.kernels.cuda.ptx;

import java.util.Set;

/** {@code atom} and {@code red}. Lanes take their turns in order; memory is locked for each. */
final class AtomicOps {
    private static final Set<String> OPERATIONS = Set.of("add", "min", "max", "inc", "dec", "and", "or", "xor", "exch",
            "cas");

    /** New from old and the operands; all values in their memory representation. */
    @FunctionalInterface
    private interface Update {
        long apply(long old, long b, long c);
    }

    private AtomicOps() { }

    static Op decode(Statement s, Rows rows) {
        Decoder.allow(s, "global", "shared", "shared::cta", "relaxed", "acquire", "release", "acq_rel", "cta", "cluster",
                "gpu", "sys", "noftz", "L2::cache_hint", "add", "min", "max", "inc", "dec", "and", "or", "xor", "exch",
                "cas");
        String operation = s.modifiers().stream().filter(OPERATIONS::contains).findFirst()
                .orElseThrow(() -> s.unknown("the operation is not known"));
        Type type = s.type();
        boolean returns = s.name().equals("atom");
        int first = returns ? 1 : 0;
        MemoryOps.Place place = MemoryOps.Place.of(s, rows, first, Space.of(s));
        boolean wide = type.isLong();
        int b = wide ? rows.longRow(s, first + 1) : rows.word(s, first + 1, type);
        boolean cas = operation.equals("cas");
        int c = !cas ? b : wide ? rows.longRow(s, first + 2) : rows.word(s, first + 2, type);
        int target = !returns ? -1 : wide ? rows.longTarget(s, s.operand(0)) : rows.wordTarget(s, s.operand(0));
        Update update = update(s, operation, type);
        Op op = new Op() {
            @Override
            void run(Warp w, int mask) {
                place.resolve(this, w, mask, type.bytes, access);
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    long y = wide ? w.d[b + lane] : w.r[b + lane];
                    long z = wide ? w.d[c + lane] : w.r[c + lane];
                    long old = exchange(w.memory[lane], w.offset[lane], type.bytes, update, y, z);
                    if (target >= 0 && wide) {
                        w.d[target + lane] = old;
                    } else if (target >= 0) {
                        w.r[target + lane] = (int) old;
                    }
                }
            }
        };
        op.access = Access.READ | Access.WRITE | Access.STRONG;
        return op;
    }

    private static long exchange(byte[] memory, int offset, int bytes, Update update, long b, long c) {
        synchronized (memory) {
            long old = switch (bytes) {
                case 2 -> Bytes.getShort(memory, offset) & 0xffff;
                case 4 -> Bytes.getInt(memory, offset);
                default -> Bytes.getLong(memory, offset);
            };
            long fresh = update.apply(old, b, c);
            switch (bytes) {
                case 2 -> Bytes.putShort(memory, offset, (short) fresh);
                case 4 -> Bytes.putInt(memory, offset, (int) fresh);
                default -> Bytes.putLong(memory, offset, fresh);
            }
            return old;
        }
    }

    private static Update update(Statement s, String operation, Type type) {
        boolean signed = type.isSigned();
        return switch (operation) {
            case "add" -> add(s, type);
            case "min" -> minimum(s, type, signed);
            case "max" -> {
                Update min = minimum(s, type, signed);
                yield (old, b, c) -> min.apply(old, b, c) == old ? b : old;
            }
            case "and" -> (old, b, c) -> old & b;
            case "or" -> (old, b, c) -> old | b;
            case "xor" -> (old, b, c) -> old ^ b;
            case "exch" -> (old, b, c) -> b;
            case "cas" -> type.bytes == 2 ? (old, b, c) -> old == (b & 0xffff) ? c : old
                    : (old, b, c) -> old == b ? c : old;
            case "inc" -> (old, b, c) -> Integer.compareUnsigned((int) old, (int) b) >= 0 ? 0 : old + 1;
            case "dec" -> (old, b, c) -> old == 0 || Integer.compareUnsigned((int) old, (int) b) > 0 ? b : old - 1;
            default -> throw s.unknown("the operation is not known");
        };
    }

    private static Update add(Statement s, Type type) {
        return switch (type) {
            case F32 -> (old, b, c) -> Float.floatToRawIntBits(Float.intBitsToFloat((int) old)
                    + Float.intBitsToFloat((int) b));
            case F64 -> (old, b, c) -> Double.doubleToRawLongBits(Double.longBitsToDouble(old)
                    + Double.longBitsToDouble(b));
            case F16, BF16 -> (old, b, c) -> addHalf(type == Type.BF16, (int) old, (int) b);
            case F16X2, BF16X2 -> (old, b, c) -> addHalf(type == Type.BF16X2, (int) old, (int) b)
                    | addHalf(type == Type.BF16X2, (int) old >>> 16, (int) b >>> 16) << 16;
            default -> {
                if (type.isFloat()) {
                    throw s.unknown("the type is not known here");
                }
                yield (old, b, c) -> old + b;
            }
        };
    }

    private static int addHalf(boolean bfloat, int a, int b) {
        return HalfOps.round(bfloat, Rounding.addToOdd(HalfOps.value(bfloat, a), HalfOps.value(bfloat, b)));
    }

    private static Update minimum(Statement s, Type type, boolean signed) {
        if (type.isFloat()) {
            throw s.unknown("the type is not known here");
        }
        if (signed) {
            return (old, b, c) -> Math.min(old, b);
        }
        return type.isLong() ? (old, b, c) -> Long.compareUnsigned(old, b) <= 0 ? old : b
                : (old, b, c) -> Integer.compareUnsigned((int) old, (int) b) <= 0 ? old : b;
    }
}
