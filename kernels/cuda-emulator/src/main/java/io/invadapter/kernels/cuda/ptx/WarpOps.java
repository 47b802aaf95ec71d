package io.invadapter.kernels.cuda.ptx;

/** Shuffles, votes, reductions and matches over the lanes of a warp, and {@code bar.warp.sync}. */
final class WarpOps {
    private static final int LANES = Warp.LANES;

    private WarpOps() { }

    /** An instruction whose last operand is the member mask. */
    private abstract static class MemberOp extends SyncOp {
        private final int members;

        MemberOp(int members) {
            this.members = members;
        }

        @Override
        int members(Warp w, int lane) {
            return w.r[members + lane];
        }
    }

    static Op decode(Statement s, Rows rows) {
        Decoder.allow(s, "sync", "warp", "up", "down", "bfly", "idx", "all", "any", "uni", "ballot", "add", "min", "max",
                "and", "or", "xor", "aligned");
        if (s.name().equals("activemask")) {
            return activeMask(s, rows);
        }
        if (!s.has("sync")) {
            throw s.unknown("only the .sync forms are known");
        }
        int members = rows.word(s, s.operands().size() - 1, Type.B32);
        return switch (s.name()) {
            case "shfl" -> shuffle(s, rows, members);
            case "vote" -> vote(s, rows, members);
            case "redux" -> reduce(s, rows, members);
            case "match" -> match(s, rows, members);
            case "elect" -> elect(s, rows, members);
            default -> barrier(members);
        };
    }

    private static Op activeMask(Statement s, Rows rows) {
        int target = rows.wordTarget(s, s.operand(0));
        return new Op() {
            @Override
            void run(Warp w, int mask) {
                spread(w, target, mask, mask);
            }
        };
    }

    /** {@code bar.warp.sync}: orders the accesses of the warp's lanes. */
    private static Op barrier(int members) {
        return new MemberOp(members) {
            @Override
            void run(Warp w, int mask) {
                w.tick(this);
            }
        };
    }

    private static void spread(Warp w, int target, int mask, int value) {
        for (int m = mask; m != 0; m &= m - 1) {
            w.r[target + Integer.numberOfTrailingZeros(m)] = value;
        }
    }

    private static Op shuffle(Statement s, Rows rows, int members) {
        Operand to = s.operand(0);
        int p = to instanceof Operand.Pair pair ? rows.predicateTarget(s, pair.second()) : -1;
        int target = rows.wordTarget(s, to instanceof Operand.Pair pair ? pair.first() : to);
        int a = rows.word(s, 1, Type.B32);
        int b = rows.word(s, 2, Type.B32);
        int c = rows.word(s, 3, Type.B32);
        String mode = s.modifiers().stream().filter(m -> m.equals("up") || m.equals("down") || m.equals("bfly")
                || m.equals("idx")).findFirst().orElseThrow(() -> s.unknown("the mode is missing"));
        boolean up = mode.equals("up");
        boolean down = mode.equals("down");
        boolean butterfly = mode.equals("bfly");
        return new MemberOp(members) {
            @Override
            void run(Warp w, int mask) {
                int[] out = w.wordResult;
                int inRange = 0;
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    int by = w.r[b + lane] & 31;
                    int clamp = w.r[c + lane] & 31;
                    int segment = w.r[c + lane] >> 8 & 31;
                    int last = lane & segment | clamp & ~segment;
                    int from = up ? lane - by : down ? lane + by : butterfly ? lane ^ by
                            : lane & segment | by & ~segment;
                    boolean inside = up ? from >= last : from <= last;
                    if (inside) {
                        inRange |= 1 << lane;
                    } else {
                        from = lane;
                    }
                    if ((mask >>> from & 1) == 0) {
                        throw w.fault(PtxFault.Kind.WARP_SYNC, "lane " + lane + " reads lane " + from
                                + ", which does not take part (lanes 0x" + Integer.toHexString(mask) + ")", this, lane);
                    }
                    out[lane] = w.r[a + from];
                }
                Alu.merge(w, target, mask, out);
                if (p >= 0) {
                    Alu.mergePredicate(w, p, mask, inRange);
                }
            }
        };
    }

    private static Op vote(Statement s, Rows rows, int members) {
        int p = rows.predicate(s, s.operand(1));
        int flip = Rows.flip(s.operand(1));
        if (s.has("ballot")) {
            int target = rows.wordTarget(s, s.operand(0));
            return new MemberOp(members) {
                @Override
                void run(Warp w, int mask) {
                    spread(w, target, mask, (w.p[p] ^ flip) & mask);
                }
            };
        }
        int target = rows.predicateTarget(s, s.operand(0));
        boolean all = s.has("all");
        boolean any = s.has("any");
        return new MemberOp(members) {
            @Override
            void run(Warp w, int mask) {
                int votes = (w.p[p] ^ flip) & mask;
                boolean result = all ? votes == mask : any ? votes != 0 : votes == mask || votes == 0;
                Alu.mergePredicate(w, target, mask, result ? -1 : 0);
            }
        };
    }

    private static Op reduce(Statement s, Rows rows, int members) {
        int target = rows.wordTarget(s, s.operand(0));
        int a = rows.word(s, 1, s.type());
        boolean signed = s.type() == Type.S32;
        java.util.function.IntBinaryOperator f = switch (s.modifiers().get(1)) {
            case "add" -> Integer::sum;
            case "min" -> signed ? Math::min : (x, y) -> Integer.compareUnsigned(x, y) <= 0 ? x : y;
            case "max" -> signed ? Math::max : (x, y) -> Integer.compareUnsigned(x, y) >= 0 ? x : y;
            case "and" -> (x, y) -> x & y;
            case "or" -> (x, y) -> x | y;
            case "xor" -> (x, y) -> x ^ y;
            default -> throw s.unknown("the operation is not known");
        };
        return new MemberOp(members) {
            @Override
            void run(Warp w, int mask) {
                int value = w.r[a + Integer.numberOfTrailingZeros(mask)];
                for (int m = mask & mask - 1; m != 0; m &= m - 1) {
                    value = f.applyAsInt(value, w.r[a + Integer.numberOfTrailingZeros(m)]);
                }
                spread(w, target, mask, value);
            }
        };
    }

    private static Op match(Statement s, Rows rows, int members) {
        Operand to = s.operand(0);
        int p = to instanceof Operand.Pair pair ? rows.predicateTarget(s, pair.second()) : -1;
        int target = rows.wordTarget(s, to instanceof Operand.Pair pair ? pair.first() : to);
        boolean wide = s.type().isLong();
        int a = wide ? rows.longRow(s, 1) : rows.word(s, 1, Type.B32);
        boolean all = s.has("all");
        return new MemberOp(members) {
            @Override
            void run(Warp w, int mask) {
                boolean equal = true;
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    int same = 0;
                    for (int n = mask; n != 0; n &= n - 1) {
                        int other = Integer.numberOfTrailingZeros(n);
                        boolean matches = wide ? w.d[a + lane] == w.d[a + other] : w.r[a + lane] == w.r[a + other];
                        same |= (matches ? 1 : 0) << other;
                    }
                    equal &= same == mask;
                    w.wordResult[lane] = same;
                }
                if (all) {
                    spread(w, target, mask, equal ? mask : 0);
                } else {
                    Alu.merge(w, target, mask, w.wordResult);
                }
                if (p >= 0) {
                    Alu.mergePredicate(w, p, mask, equal ? -1 : 0);
                }
            }
        };
    }

    /** {@code elect.sync d|p, mask}: the first lane is elected. */
    private static Op elect(Statement s, Rows rows, int members) {
        if (!(s.operand(0) instanceof Operand.Pair pair)) {
            throw s.unknown("it needs d|p");
        }
        int target = rows.wordTarget(s, pair.first());
        int p = rows.predicateTarget(s, pair.second());
        return new MemberOp(members) {
            @Override
            void run(Warp w, int mask) {
                int first = Integer.numberOfTrailingZeros(mask);
                spread(w, target, mask, first);
                Alu.mergePredicate(w, p, mask, 1 << first);
            }
        };
    }
}
