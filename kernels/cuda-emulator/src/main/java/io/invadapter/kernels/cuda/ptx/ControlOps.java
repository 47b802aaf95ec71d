package io.invadapter.kernels.cuda.ptx;

import java.util.List;

/** Branches, exits, barriers, fences. */
final class ControlOps {
    private ControlOps() { }

    static Op decode(Statement s, Rows rows) {
        return switch (s.name()) {
            case "bra" -> {
                Decoder.allow(s, "uni");
                yield new Branch(rows.label(s, s.operand(0)), s.has("uni"));
            }
            case "brx" -> indirect(s, rows);
            case "ret", "exit" -> {
                Decoder.allow(s, "uni");
                yield new Exit();
            }
            case "trap" -> new Op() {
                @Override
                void run(Warp w, int mask) {
                    throw w.fault(PtxFault.Kind.TRAP, "the kernel trapped", this, Integer.numberOfTrailingZeros(mask));
                }
            };
            case "membar", "fence" -> new Op() {
                @Override
                void run(Warp w, int mask) {
                    w.cta.synchronizesGlobally = true;
                }
            };
            default -> new Op() {
                @Override
                void run(Warp w, int mask) {
                    // nanosleep and griddepcontrol: time does not pass here, and launches do not overlap.
                }
            };
        };
    }

    static Op barrier(Statement s, Rows rows) {
        Decoder.allow(s, "sync", "arrive", "red", "popc", "and", "or", "aligned", "cta");
        // bar is the older spelling of barrier.aligned.
        boolean aligned = s.name().equals("bar") || s.has("aligned");
        int operands = s.operands().size();
        if (s.has("red")) {
            // d, a {, b}, {!}c
            Operand source = s.operand(operands - 1);
            BarrierOp.Reduction reduction = s.has("popc") ? BarrierOp.Reduction.POPC
                    : s.has("and") ? BarrierOp.Reduction.AND : BarrierOp.Reduction.OR;
            int target = s.has("popc") ? rows.wordTarget(s, s.operand(0)) : rows.predicateTarget(s, s.operand(0));
            return new BarrierOp(aligned, true, rows.word(s, 1, Type.U32),
                    operands > 3 ? rows.word(s, 2, Type.U32) : -1, reduction, rows.predicate(s, source),
                    source instanceof Operand.Negated, target);
        }
        if (!s.has("sync") && !s.has("arrive")) {
            throw s.unknown("the barrier operation is not known");
        }
        return new BarrierOp(aligned, s.has("sync"), rows.word(s, 0, Type.U32),
                operands > 1 ? rows.word(s, 1, Type.U32) : -1, BarrierOp.Reduction.NONE, -1, false, -1);
    }

    /** {@code bra}; its guard says which lanes take it. */
    private static final class Branch extends Op {
        private final int target;
        private final boolean uniform;

        Branch(int target, boolean uniform) {
            this.target = target;
            this.uniform = uniform;
        }

        @Override
        int step(Warp w, int mask, int active, int pc) {
            if (active == 0) {
                return pc + 1;
            }
            if (active == mask) {
                if (target <= pc && w.turnIsOver(this, mask)) {
                    w.resume(mask, target);
                    return RESCHEDULE;
                }
                return target;
            }
            if (uniform) {
                throw w.fault(PtxFault.Kind.WARP_SYNC, "the uniform branch diverges", this,
                        Integer.numberOfTrailingZeros(active));
            }
            if (target <= pc) {
                w.turnIsOver(this, mask);
            }
            w.resume(active, target);
            w.resume(mask & ~active, pc + 1);
            return RESCHEDULE;
        }

        @Override
        void run(Warp w, int mask) {
            throw new IllegalStateException("branches are stepped, not run");
        }
    }

    /** {@code brx.idx index, list}. */
    private static Op indirect(Statement s, Rows rows) {
        Decoder.allow(s, "idx", "uni");
        int selector = rows.word(s, 0, Type.U32);
        List<String> labels = rows.branchTargets(s, s.operand(1));
        int[] targets = labels.stream().mapToInt(l -> rows.label(s, new Operand.Symbol(l, 0))).toArray();
        return new Op() {
            @Override
            int step(Warp w, int mask, int active, int pc) {
                w.resume(mask & ~active, pc + 1);
                for (int m = active; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    int i = w.r[selector + lane];
                    if (i < 0 || i >= targets.length) {
                        throw w.fault(PtxFault.Kind.OUT_OF_BOUNDS, "target " + i + " of " + targets.length, this, lane);
                    }
                    w.resume(1 << lane, targets[i]);
                }
                if (active != 0) {
                    w.turnIsOver(this, mask);
                }
                return RESCHEDULE;
            }

            @Override
            void run(Warp w, int mask) {
                throw new IllegalStateException("branches are stepped, not run");
            }
        };
    }

    /** {@code exit} and {@code ret}, which are the same in a kernel. */
    static final class Exit extends Op {
        @Override
        int step(Warp w, int mask, int active, int pc) {
            w.exit(active);
            // The others must not go on with the mask that still has the lanes that left.
            w.resume(mask & ~active, pc + 1);
            return RESCHEDULE;
        }

        @Override
        void run(Warp w, int mask) {
            throw new IllegalStateException("exits are stepped, not run");
        }
    }
}
