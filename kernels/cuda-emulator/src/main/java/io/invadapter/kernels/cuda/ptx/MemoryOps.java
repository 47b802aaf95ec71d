package io.invadapter.kernels.cuda.ptx;

import java.util.List;

/** Loads and stores in all spaces, and the instructions on addresses. */
final class MemoryOps {
    private static final String[] MODIFIERS = {"global", "shared", "shared::cta", "local", "const", "param",
        "param::entry", "weak", "volatile", "relaxed", "acquire", "release", "cta", "cluster", "gpu", "sys", "ca", "cg",
        "cs", "lu", "cv", "wb", "wt", "nc", "v2", "v4", "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first",
        "L1::evict_last", "L1::no_allocate", "L2::cache_hint", "L2::64B", "L2::128B", "L2::256B", "L2::evict_first",
        "L2::evict_last", "L2::evict_normal"};

    private MemoryOps() { }

    // ---- addresses ---------------------------------------------------------------------------------------------

    /** An address operand, decoded. */
    record Place(Space space, boolean wide, int row, long offset) {
        static Place of(Statement s, Rows rows, int operand, Space space) {
            if (!(s.operand(operand) instanceof Operand.Address a)) {
                throw s.unknown("operand " + operand + " is not an address");
            }
            boolean wide = !(a.base() instanceof Operand.Register r) || r.type().isLong();
            return new Place(space, wide, wide ? rows.longRow(s, a.base()) : rows.word(s, a.base(), Type.B32),
                    a.offset());
        }

        /** Puts the address of each lane into {@code w.address}. */
        void compute(Warp w) {
            long[] address = w.address;
            if (wide) {
                for (int i = 0; i < Warp.LANES; i++) {
                    address[i] = w.d[row + i] + offset;
                }
            } else {
                for (int i = 0; i < Warp.LANES; i++) {
                    address[i] = (w.r[row + i] & 0xffffffffL) + offset;
                }
            }
        }

        /** Checks the accesses of the active lanes and leaves where they go in {@code w.memory} and {@code w.offset}. */
        void resolve(Op op, Warp w, int mask, int size, int access) {
            compute(w);
            if (space != Space.GENERIC) {
                resolve(space, op, w, mask, size, access);
                return;
            }
            int left = mask;
            while (left != 0) {
                Space found = Space.of(w.address[Integer.numberOfTrailingZeros(left)]);
                int same = 0;
                for (int m = left; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    if (Space.of(w.address[lane]) == found) {
                        same |= 1 << lane;
                        w.address[lane] -= found.window;
                    }
                }
                resolve(found, op, w, same, size, access);
                left &= ~same;
            }
        }

        private static void resolve(Space space, Op op, Warp w, int mask, int size, int access) {
            switch (space) {
                case GLOBAL, CONST -> w.cta.global.resolve(op, w, mask, size, access);
                case SHARED -> w.cta.shared.resolve(op, w, mask, size, access);
                case LOCAL -> resolveLocal(op, w, mask, size, access);
                default -> resolveParameter(op, w, mask, size, access);
            }
        }
    }

    private static void resolveLocal(Op op, Warp w, int mask, int size, int access) {
        int perLane = w.local.length / Warp.LANES;
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            long address = w.address[lane];
            checkRange(op, w, lane, address, size, perLane, "local memory");
            int offset = lane * perLane + (int) address;
            if ((access & Access.READ) != 0 && !Bytes.allHave(w.localInitialized, offset, size, 1)) {
                throw w.fault(PtxFault.Kind.UNINITIALIZED, "read of " + size + " bytes of local memory at offset "
                        + address, op, lane);
            }
            if ((access & Access.WRITE) != 0) {
                Bytes.mark(w.localInitialized, offset, size, 1);
            }
            w.memory[lane] = w.local;
            w.offset[lane] = offset;
        }
    }

    private static void resolveParameter(Op op, Warp w, int mask, int size, int access) {
        for (int m = mask; m != 0; m &= m - 1) {
            int lane = Integer.numberOfTrailingZeros(m);
            if ((access & Access.WRITE) != 0) {
                throw w.fault(PtxFault.Kind.READ_ONLY, "store to a parameter", op, lane);
            }
            checkRange(op, w, lane, w.address[lane], size, w.cta.parameters.length, "parameters");
            w.memory[lane] = w.cta.parameters;
            w.offset[lane] = (int) w.address[lane];
        }
    }

    private static void checkRange(Op op, Warp w, int lane, long address, int size, int bytes, String what) {
        if ((address & size - 1) != 0) {
            throw w.fault(PtxFault.Kind.MISALIGNED, size + " bytes of " + what + " at offset " + address, op, lane);
        }
        if (address < 0 || address + size > bytes) {
            throw w.fault(PtxFault.Kind.OUT_OF_BOUNDS, size + " bytes of " + what + " at offset " + address + " of "
                    + bytes, op, lane);
        }
    }

    // ---- loads and stores --------------------------------------------------------------------------------------

    private static int access(Statement s, int base) {
        boolean strong = s.has("volatile") || s.has("relaxed") || s.has("acquire") || s.has("release");
        return base | (strong ? Access.STRONG : 0) | (s.has("nc") ? Access.NON_COHERENT : 0);
    }

    static Op load(Statement s, Rows rows) {
        Decoder.allow(s, MODIFIERS);
        Type type = s.type();
        List<Operand> elements = Rows.elements(s.operand(0));
        Load op = new Load(Place.of(s, rows, 1, Space.of(s)), type, elements.size());
        for (int k = 0; k < elements.size(); k++) {
            Operand e = elements.get(k);
            op.wide[k] = Rows.isLong(e) || e instanceof Operand.Sink && type.isLong();
            op.targets[k] = op.wide[k] ? rows.longTarget(s, e) : rows.wordTarget(s, e);
            op.halfTarget |= e instanceof Operand.Register r && r.type().bytes == 2;
        }
        op.access = access(s, Access.READ);
        return op;
    }

    private static final class Load extends Op {
        private final Place place;
        private final int bytes;
        private final boolean signed;
        private final int[] targets;
        private final boolean[] wide;
        private boolean halfTarget;

        Load(Place place, Type type, int elements) {
            this.place = place;
            this.bytes = type.bytes;
            this.signed = type.isSigned();
            this.targets = new int[elements];
            this.wide = new boolean[elements];
        }

        @Override
        void run(Warp w, int mask) {
            place.resolve(this, w, mask, bytes * targets.length, access);
            for (int k = 0; k < targets.length; k++) {
                if (bytes == 4 && !wide[k]) {
                    words(w, mask, targets[k], 4 * k);
                } else {
                    others(w, mask, k);
                }
            }
        }

        private static void words(Warp w, int mask, int target, int at) {
            int[] r = w.r;
            if (mask == -1) {
                for (int i = 0; i < Warp.LANES; i++) {
                    r[target + i] = Bytes.getInt(w.memory[i], w.offset[i] + at);
                }
                return;
            }
            for (int m = mask; m != 0; m &= m - 1) {
                int lane = Integer.numberOfTrailingZeros(m);
                r[target + lane] = Bytes.getInt(w.memory[lane], w.offset[lane] + at);
            }
        }

        private void others(Warp w, int mask, int k) {
            int at = k * bytes;
            for (int m = mask; m != 0; m &= m - 1) {
                int lane = Integer.numberOfTrailingZeros(m);
                byte[] memory = w.memory[lane];
                int offset = w.offset[lane] + at;
                long v = switch (bytes) {
                    case 1 -> signed ? memory[offset] : memory[offset] & 0xff;
                    case 2 -> signed ? Bytes.getShort(memory, offset) : Bytes.getShort(memory, offset) & 0xffff;
                    case 4 -> signed ? Bytes.getInt(memory, offset) : Bytes.getInt(memory, offset) & 0xffffffffL;
                    default -> Bytes.getLong(memory, offset);
                };
                if (wide[k]) {
                    w.d[targets[k] + lane] = v;
                } else {
                    w.r[targets[k] + lane] = halfTarget ? (int) v & 0xffff : (int) v;
                }
            }
        }
    }

    static Op store(Statement s, Rows rows) {
        Decoder.allow(s, MODIFIERS);
        Type type = s.type();
        List<Operand> elements = Rows.elements(s.operand(1));
        Store op = new Store(Place.of(s, rows, 0, Space.of(s)), type.bytes, elements.size());
        for (int k = 0; k < elements.size(); k++) {
            Operand e = elements.get(k);
            op.wide[k] = Rows.isLong(e) || type.isLong();
            op.sources[k] = op.wide[k] ? rows.longRow(s, e) : rows.word(s, e, type);
        }
        op.access = access(s, Access.WRITE);
        return op;
    }

    private static final class Store extends Op {
        private final Place place;
        private final int bytes;
        private final int[] sources;
        private final boolean[] wide;

        Store(Place place, int bytes, int elements) {
            this.place = place;
            this.bytes = bytes;
            this.sources = new int[elements];
            this.wide = new boolean[elements];
        }

        @Override
        void run(Warp w, int mask) {
            place.resolve(this, w, mask, bytes * sources.length, access);
            for (int k = 0; k < sources.length; k++) {
                int at = k * bytes;
                for (int m = mask; m != 0; m &= m - 1) {
                    int lane = Integer.numberOfTrailingZeros(m);
                    byte[] memory = w.memory[lane];
                    int offset = w.offset[lane] + at;
                    long v = value(w, k, lane);
                    switch (bytes) {
                        case 1 -> memory[offset] = (byte) v;
                        case 2 -> Bytes.putShort(memory, offset, (short) v);
                        case 4 -> Bytes.putInt(memory, offset, (int) v);
                        default -> Bytes.putLong(memory, offset, v);
                    }
                }
            }
        }

        private long value(Warp w, int k, int lane) {
            return wide[k] ? w.d[sources[k] + lane] : w.r[sources[k] + lane];
        }

        @Override
        boolean storesSame(Warp w, int lane, int other) {
            for (int k = 0; k < sources.length; k++) {
                if (value(w, k, lane) != value(w, k, other)) {
                    return false;
                }
            }
            return true;
        }
    }

    // ---- instructions on addresses -----------------------------------------------------------------------------

    static Op address(Statement s, Rows rows) {
        return switch (s.name()) {
            case "cvta" -> convert(s, rows);
            case "isspacep" -> isSpace(s, rows);
            // Cache policies have no effect here.
            case "createpolicy" -> new Alu.LongOp(rows.longTarget(s, s.operand(0)),
                    (w, out, o) -> java.util.Arrays.fill(out, o, o + Warp.LANES, 0));
            default -> new Op() {
                @Override
                void run(Warp w, int mask) {
                    // A prefetch may name any address and changes nothing.
                }
            };
        };
    }

    private static Op convert(Statement s, Rows rows) {
        Decoder.allow(s, "to", "global", "shared", "shared::cta", "local", "const", "param", "param::entry");
        if (!s.type().isLong()) {
            throw s.unknown("generic addresses have 64 bits");
        }
        long window = Space.of(s).window;
        long add = s.has("to") ? -window : window;
        int a = rows.longRow(s, 1);
        return new Alu.LongOp(rows.longTarget(s, s.operand(0)), (w, out, o) -> {
            for (int i = 0; i < Warp.LANES; i++) {
                out[o + i] = w.d[a + i] + add;
            }
        });
    }

    private static Op isSpace(Statement s, Rows rows) {
        Space space = Space.of(s);
        int a = rows.longRow(s, 1);
        return new Alu.MaskOp(rows.predicateTarget(s, s.operand(0)), w -> {
            int mask = 0;
            for (int i = 0; i < Warp.LANES; i++) {
                mask |= (Space.of(w.d[a + i]) == space ? 1 : 0) << i;
            }
            return mask;
        });
    }
}
