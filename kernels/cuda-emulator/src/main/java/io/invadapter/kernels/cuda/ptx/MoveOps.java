package io.invadapter.kernels.cuda.ptx;

import java.util.List;

/** {@code mov}: copies, addresses of variables, packing and unpacking. */
final class MoveOps {
    private static final int LANES = Warp.LANES;

    private MoveOps() { }

    static Op mov(Statement s, Rows rows) {
        Decoder.allow(s);
        Operand to = s.operand(0);
        Operand from = s.operand(1);
        Type type = s.type();
        if (to instanceof Operand.Vector v) {
            return unpack(s, rows, v.elements(), from);
        }
        if (from instanceof Operand.Vector v) {
            return pack(s, rows, to, v.elements(), type);
        }
        if (type == Type.PRED) {
            int row = from instanceof Operand.Literal ? -1 : rows.predicate(s, from);
            int flip = from instanceof Operand.Literal l ? (l.bits() != 0 ? -1 : 0) : Rows.flip(from);
            return new Alu.MaskOp(rows.predicateTarget(s, to), w -> row < 0 ? flip : w.p[row] ^ flip);
        }
        return copy(s, rows, to, from, type);
    }

    private static Op copy(Statement s, Rows rows, Operand to, Operand from, Type type) {
        if (type.isLong()) {
            int a = rows.longRow(s, from);
            return new Alu.LongOp(rows.longTarget(s, to), (w, out, o) -> System.arraycopy(w.d, a, out, o, LANES));
        }
        int a = rows.word(s, from, type);
        return new Alu.WordOp(rows.wordTarget(s, to), (w, out, o) -> System.arraycopy(w.r, a, out, o, LANES));
    }

    private static Op pack(Statement s, Rows rows, Operand to, List<Operand> parts, Type type) {
        if (!type.isLong()) {
            if (parts.size() != 2) {
                throw s.unknown("only two halves make a word");
            }
            int a = rows.word(s, parts.get(0), Type.B16);
            int b = rows.word(s, parts.get(1), Type.B16);
            return new Alu.WordOp(rows.wordTarget(s, to), (w, out, o) -> {
                int[] r = w.r;
                for (int i = 0; i < LANES; i++) {
                    out[o + i] = r[a + i] & 0xffff | r[b + i] << 16;
                }
            });
        }
        int width = 64 / parts.size();
        long mask = (1L << width) - 1;
        int[] sources = new int[parts.size()];
        for (int k = 0; k < sources.length; k++) {
            sources[k] = rows.word(s, parts.get(k), width == 16 ? Type.B16 : Type.B32);
        }
        return new Alu.LongOp(rows.longTarget(s, to), (w, out, o) -> {
            for (int i = 0; i < LANES; i++) {
                long v = 0;
                for (int k = 0; k < sources.length; k++) {
                    v |= (w.r[sources[k] + i] & mask) << k * width;
                }
                out[o + i] = v;
            }
        });
    }

    private static Op unpack(Statement s, Rows rows, List<Operand> parts, Operand from) {
        boolean isLong = s.type().isLong();
        int a = isLong ? rows.longRow(s, from) : rows.word(s, from, Type.B32);
        int[] targets = parts.stream().mapToInt(p -> rows.wordTarget(s, p)).toArray();
        int width = (isLong ? 64 : 32) / targets.length;
        int mask = width == 32 ? -1 : (1 << width) - 1;
        return new Op() {
            @Override
            void run(Warp w, int active) {
                for (int m = active; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    // Read before the first write: a target may be the source.
                    long v = isLong ? w.d[a + lane] : w.r[a + lane];
                    for (int k = 0; k < targets.length; k++) {
                        w.r[targets[k] + lane] = (int) (v >>> k * width) & mask;
                    }
                }
            }
        };
    }
}
