package io.invadapter.kernels.cuda.ptx;

/** {@code cp.async} and its groups. */
final class AsyncOps {
    private AsyncOps() { }

    static Op decode(Statement s, Rows rows) {
        Decoder.allow(s, "async", "ca", "cg", "shared", "shared::cta", "global", "commit_group", "wait_group", "wait_all",
                "L2::64B", "L2::128B", "L2::256B", "L2::cache_hint");
        if (s.has("commit_group")) {
            return new Op() {
                @Override
                void run(Warp w, int mask) {
                    w.copies.commit(mask);
                }
            };
        }
        if (s.has("wait_all")) {
            return new Op() {
                @Override
                void run(Warp w, int mask) {
                    w.copies.awaitAll(w, mask);
                }
            };
        }
        if (s.has("wait_group")) {
            int latest = Rows.literal(s, 0);
            return new Op() {
                @Override
                void run(Warp w, int mask) {
                    w.copies.await(w, mask, latest);
                }
            };
        }
        return copy(s, rows);
    }

    private static Op copy(Statement s, Rows rows) {
        MemoryOps.Place to = MemoryOps.Place.of(s, rows, 0, Space.SHARED);
        MemoryOps.Place from = MemoryOps.Place.of(s, rows, 1, Space.GLOBAL);
        int size = Rows.literal(s, 2);
        if (size != 16 && (s.has("cg") || size != 4 && size != 8)) {
            throw s.unknown("a copy of " + size + " bytes");
        }
        int operands = s.operands().size() - (s.has("L2::cache_hint") ? 1 : 0);
        boolean third = operands > 3;
        boolean ignore = third && Rows.isPredicate(s.operand(3));
        int predicate = ignore ? rows.predicate(s, s.operand(3)) : -1;
        int flip = ignore ? Rows.flip(s.operand(3)) : 0;
        int length = third && !ignore ? rows.word(s, 3, Type.U32) : rows.constant(size);
        Op op = new Op() {
            @Override
            void run(Warp w, int mask) {
                int[] target = w.wordResult;
                to.compute(w);
                w.cta.shared.beginAsync(this, w, mask, size);
                System.arraycopy(w.offset, 0, target, 0, Warp.LANES);
                int skipped = ignore ? w.p[predicate] ^ flip : 0;
                from.compute(w);
                int partial = 0;
                int full = 0;
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    int n = (skipped >>> lane & 1) != 0 ? 0 : w.r[length + lane];
                    if (Integer.compareUnsigned(n, size) > 0) {
                        throw w.fault(PtxFault.Kind.OUT_OF_BOUNDS, "a source of " + n + " bytes for a copy of " + size,
                                this, lane);
                    }
                    if (n == size) {
                        full |= 1 << lane;
                    } else if (n > 0) {
                        partial |= 1 << lane;
                    } else {
                        w.copies.add(lane, target[lane], size, null, 0, 0);
                    }
                }
                if (full != 0) {
                    w.cta.global.resolve(this, w, full, size, access);
                    for (int m = full; m != 0; m &= m - 1) {
                        int lane = Integer.numberOfTrailingZeros(m);
                        w.copies.add(lane, target[lane], size, w.memory[lane], w.offset[lane], size);
                    }
                }
                if (partial != 0) {
                    copyPart(w, partial, target);
                }
            }

            /** Sources shorter than the copy: byte by byte, since only those bytes may be touched. */
            private void copyPart(Warp w, int mask, int[] target) {
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    if ((w.address[lane] & size - 1) != 0) {
                        throw w.fault(PtxFault.Kind.MISALIGNED, w.cta.global.describe(w.address[lane], size), this,
                                lane);
                    }
                    int n = w.r[length + lane];
                    long start = w.address[lane];
                    byte[] bytes = new byte[n];
                    for (int i = 0; i < n; i++) {
                        w.address[lane] = start + i;
                        w.cta.global.resolve(this, w, 1 << lane, 1, access);
                        bytes[i] = w.memory[lane][w.offset[lane]];
                    }
                    w.copies.add(lane, target[lane], size, bytes, 0, n);
                }
            }
        };
        op.access = Access.READ;
        return op;
    }
}
