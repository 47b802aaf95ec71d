package io.invadapter.kernels.cuda.ptx;

import java.util.List;

/** Warp-wide matrix instructions in the fragment layouts of the PTX ISA. */
final class MatrixOps {
    private static final int LANES = Warp.LANES;

    private MatrixOps() { }

    /** An instruction that needs all 32 lanes. */
    private abstract static class FullWarpOp extends SyncOp {
        @Override
        int members(Warp w, int lane) {
            return -1;
        }

        @Override
        int uniformMembers(Warp w, int active) {
            return -1;
        }

        @Override
        int meet(Warp w, int mask, int pc) {
            if (mask != -1) {
                int missing = Integer.numberOfTrailingZeros(~mask);
                throw w.fault(PtxFault.Kind.WARP_SYNC, "lane " + missing + " is missing (active lanes 0x"
                        + Integer.toHexString(mask) + ")", this, Integer.numberOfTrailingZeros(mask));
            }
            return super.meet(w, mask, pc);
        }
    }

    static Op decode(Statement s, Rows rows) {
        return switch (s.name()) {
            case "mma" -> multiply(s, rows);
            case "movmatrix" -> move(s, rows);
            default -> exchange(s, rows);
        };
    }

    // ---- ldmatrix, stmatrix, movmatrix -------------------------------------------------------------------------

    /** 8x8 matrices of 16-bit elements between shared memory and registers; a row is 16 bytes at a lane's address. */
    private static Op exchange(Statement s, Rows rows) {
        Decoder.allow(s, "sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta");
        if (s.type() != Type.B16) {
            throw s.unknown("only 16-bit elements are known");
        }
        boolean load = s.name().equals("ldmatrix");
        MemoryOps.Place place = MemoryOps.Place.of(s, rows, load ? 1 : 0, Space.of(s));
        List<Operand> registers = Rows.elements(s.operand(load ? 0 : 1));
        int count = s.has("x4") ? 4 : s.has("x2") ? 2 : 1;
        if (registers.size() != count) {
            throw s.unknown(registers.size() + " registers for " + count + " matrices");
        }
        int[] r = registers.stream().mapToInt(e -> load ? rows.wordTarget(s, e) : rows.word(s, e, Type.B32)).toArray();
        boolean trans = s.has("trans");
        int addressing = count == 4 ? -1 : (1 << 8 * count) - 1;
        Op op = load ? new FullWarpOp() {
            @Override
            void run(Warp w, int mask) {
                place.resolve(this, w, addressing, 16, access);
                // A target may be the address register, so addresses are all read by now.
                for (int k = 0; k < count; k++) {
                    int target = r[k];
                    for (int lane = 0; lane < LANES; lane++) {
                        int row = 8 * k + (trans ? (lane & 3) * 2 : lane >> 2);
                        int column = trans ? (lane >> 2) * 2 : (lane & 3) * 4;
                        w.r[target + lane] = trans
                                ? Bytes.getShort(w.memory[row], w.offset[row] + column) & 0xffff
                                | Bytes.getShort(w.memory[row + 1], w.offset[row + 1] + column) << 16
                                : Bytes.getInt(w.memory[row], w.offset[row] + column);
                    }
                }
            }
        } : new FullWarpOp() {
            @Override
            void run(Warp w, int mask) {
                place.resolve(this, w, addressing, 16, access);
                for (int k = 0; k < count; k++) {
                    for (int lane = 0; lane < LANES; lane++) {
                        int row = 8 * k + (trans ? (lane & 3) * 2 : lane >> 2);
                        int column = trans ? (lane >> 2) * 2 : (lane & 3) * 4;
                        int v = w.r[r[k] + lane];
                        if (trans) {
                            Bytes.putShort(w.memory[row], w.offset[row] + column, (short) v);
                            Bytes.putShort(w.memory[row + 1], w.offset[row + 1] + column, (short) (v >>> 16));
                        } else {
                            Bytes.putInt(w.memory[row], w.offset[row] + column, v);
                        }
                    }
                }
            }
        };
        op.access = (load ? Access.READ : Access.WRITE) | Access.COLLECTIVE;
        return op;
    }

    /** {@code movmatrix.sync.aligned.m8n8.trans.b16}: transposes the matrix that the warp holds. */
    private static Op move(Statement s, Rows rows) {
        Decoder.allow(s, "sync", "aligned", "m8n8", "trans");
        int target = rows.wordTarget(s, s.operand(0));
        int source = rows.word(s, 1, Type.B32);
        return new FullWarpOp() {
            @Override
            void run(Warp w, int mask) {
                int[] out = w.wordResult;
                for (int lane = 0; lane < LANES; lane++) {
                    int column = lane >> 2;
                    int row = (lane & 3) * 2;
                    out[lane] = element(w, row, column) | element(w, row + 1, column) << 16;
                }
                Alu.merge(w, target, -1, out);
            }

            private int element(Warp w, int row, int column) {
                return w.r[source + row * 4 + column / 2] >>> (column & 1) * 16 & 0xffff;
            }
        };
    }

    // ---- mma ---------------------------------------------------------------------------------------------------

    /** D = A B + C, with A of 16 x k, B of k x 8 and C, D of 16 x 8 elements. */
    private static Op multiply(Statement s, Rows rows) {
        Decoder.allow(s, "sync", "aligned", "m16n8k4", "m16n8k8", "m16n8k16", "row", "col");
        Type accumulator = s.type(0);
        Type element = s.type(1);
        int k = s.has("m16n8k16") ? 16 : s.has("m16n8k8") ? 8 : 4;
        boolean half = element == Type.F16 || element == Type.BF16;
        boolean known = (half && k >= 8 || element == Type.TF32 && k <= 8) && s.type(2) == element
                && s.type(3) == accumulator && !(accumulator == Type.F16 && element != Type.F16)
                && (accumulator == Type.F32 || accumulator == Type.F16);
        if (!known || !s.has("row") || !s.has("col")) {
            throw s.unknown("this shape or type of mma is not known");
        }
        int perRegister = half ? 2 : 1;
        int[] d = targets(s, rows, 0, accumulator == Type.F16 ? 2 : 4);
        int[] a = sources(s, rows, 1, 16 * k / (LANES * perRegister));
        int[] b = sources(s, rows, 2, 8 * k / (LANES * perRegister));
        int[] c = sources(s, rows, 3, d.length);
        return new Multiply(element, accumulator, k, d, a, b, c);
    }

    private static int[] targets(Statement s, Rows rows, int operand, int count) {
        return checked(s, operand, count).stream().mapToInt(e -> rows.wordTarget(s, e)).toArray();
    }

    private static int[] sources(Statement s, Rows rows, int operand, int count) {
        return checked(s, operand, count).stream().mapToInt(e -> rows.word(s, e, Type.B32)).toArray();
    }

    private static List<Operand> checked(Statement s, int operand, int count) {
        List<Operand> elements = Rows.elements(s.operand(operand));
        if (elements.size() != count) {
            throw s.unknown("operand " + operand + " needs " + count + " registers");
        }
        return elements;
    }

    /**
     * Lane l holds, with g = l / 4 and t = l % 4: of A rows g and g + 8, of B column g, of C and D rows g and g + 8 in
     * columns 2t and 2t + 1. Of 16-bit elements a register holds two along k, at 2t and 2t + 1, the next ones at k + 8;
     * of 32-bit elements it holds one at t, the next at t + 4.
     */
    private static final class Multiply extends FullWarpOp {
        private final Type element;
        private final boolean halfAccumulator;
        private final int k;
        private final int[] d;
        private final int[] a;
        private final int[] b;
        private final int[] c;

        Multiply(Type element, Type accumulator, int k, int[] d, int[] a, int[] b, int[] c) {
            this.element = element;
            this.halfAccumulator = accumulator == Type.F16;
            this.k = k;
            this.d = d;
            this.a = a;
            this.b = b;
            this.c = c;
        }

        @Override
        void run(Warp w, int mask) {
            loadA(w);
            loadB(w);
            loadC(w);
            multiply(w.matrixA, w.matrixB, w.matrixC, k);
            storeD(w);
        }

        /** To [k][16]. */
        private void loadA(Warp w) {
            for (int i = 0; i < a.length; i++) {
                int rowOffset = (i & 1) * 8;
                int kOffset = i >> 1;
                int from = a[i];
                for (int lane = 0; lane < LANES; lane++) {
                    unpack(w.matrixA, w.r[from + lane], kOffset, lane & 3, 16, (lane >> 2) + rowOffset);
                }
            }
        }

        /** To [k][8]. */
        private void loadB(Warp w) {
            for (int i = 0; i < b.length; i++) {
                int from = b[i];
                for (int lane = 0; lane < LANES; lane++) {
                    unpack(w.matrixB, w.r[from + lane], i, lane & 3, 8, lane >> 2);
                }
            }
        }

        private void unpack(double[] to, int bits, int block, int t, int width, int column) {
            if (element == Type.TF32) {
                // The hardware does not look at the lowest 13 bits.
                to[(block * 4 + t) * width + column] = Float.intBitsToFloat(bits & ~0x1fff);
                return;
            }
            int at = (block * 8 + 2 * t) * width + column;
            if (element == Type.F16) {
                to[at] = Float.float16ToFloat((short) bits);
                to[at + width] = Float.float16ToFloat((short) (bits >>> 16));
            } else {
                to[at] = Float.intBitsToFloat(bits << 16);
                to[at + width] = Float.intBitsToFloat(bits & 0xffff0000);
            }
        }

        private void loadC(Warp w) {
            float[] to = w.matrixC;
            for (int lane = 0; lane < LANES; lane++) {
                int at = (lane >> 2) * 8 + (lane & 3) * 2;
                for (int h = 0; h < 2; h++) {
                    if (halfAccumulator) {
                        int bits = w.r[c[h] + lane];
                        to[at + 64 * h] = Float.float16ToFloat((short) bits);
                        to[at + 64 * h + 1] = Float.float16ToFloat((short) (bits >>> 16));
                    } else {
                        to[at + 64 * h] = Float.intBitsToFloat(w.r[c[2 * h] + lane]);
                        to[at + 64 * h + 1] = Float.intBitsToFloat(w.r[c[2 * h + 1] + lane]);
                    }
                }
            }
        }

        /**
         * As tensor cores do it (Fasi, Higham, Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores, 2021): eight products
         * and what was there before are added up exactly, then cut to float, not rounded.
         */
        private static void multiply(double[] a, double[] b, float[] c, int k) {
            for (int i = 0; i < 16; i++) {
                int at = i * 8;
                double c0 = c[at];
                double c1 = c[at + 1];
                double c2 = c[at + 2];
                double c3 = c[at + 3];
                double c4 = c[at + 4];
                double c5 = c[at + 5];
                double c6 = c[at + 6];
                double c7 = c[at + 7];
                for (int j = 0; j < k; j++) {
                    double x = a[j * 16 + i];
                    int row = j * 8;
                    c0 = Math.fma(x, b[row], c0);
                    c1 = Math.fma(x, b[row + 1], c1);
                    c2 = Math.fma(x, b[row + 2], c2);
                    c3 = Math.fma(x, b[row + 3], c3);
                    c4 = Math.fma(x, b[row + 4], c4);
                    c5 = Math.fma(x, b[row + 5], c5);
                    c6 = Math.fma(x, b[row + 6], c6);
                    c7 = Math.fma(x, b[row + 7], c7);
                    if ((j & 7) == 7) {
                        c0 = cut(c0);
                        c1 = cut(c1);
                        c2 = cut(c2);
                        c3 = cut(c3);
                        c4 = cut(c4);
                        c5 = cut(c5);
                        c6 = cut(c6);
                        c7 = cut(c7);
                    }
                }
                c[at] = (float) cut(c0);
                c[at + 1] = (float) cut(c1);
                c[at + 2] = (float) cut(c2);
                c[at + 3] = (float) cut(c3);
                c[at + 4] = (float) cut(c4);
                c[at + 5] = (float) cut(c5);
                c[at + 6] = (float) cut(c6);
                c[at + 7] = (float) cut(c7);
            }
        }

        /** Toward zero, to as many digits as a float has. */
        private static double cut(double x) {
            return Double.longBitsToDouble(Double.doubleToRawLongBits(x) & -1L << 29);
        }

        private void storeD(Warp w) {
            float[] from = w.matrixC;
            for (int lane = 0; lane < LANES; lane++) {
                int at = (lane >> 2) * 8 + (lane & 3) * 2;
                for (int h = 0; h < 2; h++) {
                    float x = from[at + 64 * h];
                    float y = from[at + 64 * h + 1];
                    if (halfAccumulator) {
                        w.r[d[h] + lane] = Float.floatToFloat16(x) & 0xffff | Float.floatToFloat16(y) << 16;
                    } else {
                        w.r[d[2 * h] + lane] = Float.floatToRawIntBits(x);
                        w.r[d[2 * h + 1] + lane] = Float.floatToRawIntBits(y);
                    }
                }
            }
        }
    }
}
