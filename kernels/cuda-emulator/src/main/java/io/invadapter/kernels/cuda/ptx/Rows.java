package io.invadapter.kernels.cuda.ptx;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Turns operands into register rows. Constants, special registers and addresses of variables get rows of their own,
 * filled in before a warp starts, so that every instruction reads nothing but rows.
 */
final class Rows {
    private final Source source;
    private final Map<String, Variable> module;
    private final Map<Integer, Integer> words = new HashMap<>();
    private final Map<Long, Integer> longs = new HashMap<>();
    private final List<Kernel.Relocation> relocations = new ArrayList<>();
    private final Map<String, Integer> specialWords = new LinkedHashMap<>();
    private final Map<String, Integer> specialLongs = new LinkedHashMap<>();
    private final int dynamicSharedOffset;
    private Operand.Register wordSink;
    private Operand.Register longSink;
    private Operand.Register predicateSink;

    Rows(Source source, Map<String, Variable> module) {
        this.source = source;
        this.module = module;
        // Shared variables of the module belong to the kernels that use them; dynamic shared memory comes last.
        for (Statement s : source.statements) {
            s.operands().forEach(this::placeShared);
        }
        int align = 16;
        for (Variable v : module.values()) {
            if (v.space().equals("shared") && v.bytes() == 0) {
                align = Math.max(align, v.align());
            }
        }
        dynamicSharedOffset = (int) Variable.roundUp(source.sharedBytes, align);
    }

    private void placeShared(Operand operand) {
        switch (operand) {
            case Operand.Address a -> placeShared(a.base());
            case Operand.Symbol symbol -> {
                Variable v = module.get(symbol.name());
                if (v != null && v.space().equals("shared") && v.bytes() > 0
                        && !source.variables.containsKey(v.name())) {
                    source.place(v);
                }
            }
            default -> { }
        }
    }

    int dynamicSharedOffset() {
        return dynamicSharedOffset;
    }

    /** Row to value. */
    Map<Integer, Integer> wordConstants() {
        Map<Integer, Integer> byRow = new HashMap<>();
        words.forEach((value, row) -> byRow.put(row, value));
        return byRow;
    }

    /** Row to value. */
    Map<Integer, Long> longConstants() {
        Map<Integer, Long> byRow = new HashMap<>();
        longs.forEach((value, row) -> byRow.put(row, value));
        return byRow;
    }

    List<Kernel.Relocation> relocations() {
        return List.copyOf(relocations);
    }

    Map<String, Integer> specialWords() {
        return Collections.unmodifiableMap(specialWords);
    }

    Map<String, Integer> specialLongs() {
        return Collections.unmodifiableMap(specialLongs);
    }

    // ---- sources -----------------------------------------------------------------------------------------------

    /** The row of a source of at most 32 bits; {@code type} says how to read a literal. */
    int word(Statement s, int operand, Type type) {
        return word(s, s.operand(operand), type);
    }

    int word(Statement s, Operand operand, Type type) {
        return switch (operand) {
            case Operand.Register r when r.type() != Type.PRED && !r.type().isLong() -> r.row();
            case Operand.Literal l -> constant(wordBits(l, type));
            case Operand.Special special -> specialWords.computeIfAbsent(special.name(),
                    k -> source.register(k, Type.B32).row());
            case Operand.Symbol symbol -> constant((int) spaceOffset(s, symbol));
            default -> throw s.unknown("operand " + operand + " is not a 32-bit source");
        };
    }

    /** The row of a 64-bit source. */
    int longRow(Statement s, int operand) {
        return longRow(s, s.operand(operand));
    }

    int longRow(Statement s, Operand operand) {
        return switch (operand) {
            case Operand.Register r when r.type().isLong() -> r.row();
            case Operand.Literal l -> longConstant(l.real() ? Double.doubleToRawLongBits(l.value()) : l.bits());
            case Operand.Special special -> specialLongs.computeIfAbsent(special.name(),
                    k -> source.register(k, Type.B64).row());
            case Operand.Symbol symbol -> {
                Variable v = module.get(symbol.name());
                if (v != null && !v.space().equals("shared")) {
                    int row = source.register(symbol.name(), Type.B64).row();
                    relocations.add(new Kernel.Relocation(row, symbol.name(), symbol.offset()));
                    yield row;
                }
                yield longConstant(spaceOffset(s, symbol));
            }
            default -> throw s.unknown("operand " + operand + " is not a 64-bit source");
        };
    }

    /** Whether an operand is a 64-bit register. */
    static boolean isLong(Operand operand) {
        return operand instanceof Operand.Register r && r.type().isLong();
    }

    static boolean isPredicate(Operand operand) {
        return operand instanceof Operand.Register r && r.type() == Type.PRED
                || operand instanceof Operand.Negated n && isPredicate(n.operand());
    }

    /** The row of a predicate source, without its negation. */
    int predicate(Statement s, Operand operand) {
        return switch (operand) {
            case Operand.Register r when r.type() == Type.PRED -> r.row();
            case Operand.Negated n -> predicate(s, n.operand());
            default -> throw s.unknown("operand " + operand + " is not a predicate");
        };
    }

    /** All ones for a negated predicate, else 0. */
    static int flip(Operand operand) {
        return operand instanceof Operand.Negated ? -1 : 0;
    }

    /** The value of a literal that must be known when the kernel is loaded. */
    static int literal(Statement s, int operand) {
        if (s.operand(operand) instanceof Operand.Literal l && !l.real()) {
            return (int) l.bits();
        }
        throw s.unknown("operand " + operand + " must be a constant");
    }

    int constant(int value) {
        return words.computeIfAbsent(value, v -> source.register("constant", Type.B32).row());
    }

    int longConstant(long value) {
        return longs.computeIfAbsent(value, v -> source.register("constant", Type.B64).row());
    }

    private static int wordBits(Operand.Literal l, Type type) {
        if (l.real()) {
            return switch (type) {
                case F16 -> Float.floatToFloat16((float) l.value()) & 0xffff;
                case BF16 -> Rounding.toBfloat16(l.value(), Rounding.NEAREST) & 0xffff;
                default -> Float.floatToRawIntBits((float) l.value());
            };
        }
        return type.bytes == 2 ? (int) l.bits() & 0xffff : (int) l.bits();
    }

    /** The address of a shared, local or parameter variable in its own space. */
    private long spaceOffset(Statement s, Operand.Symbol symbol) {
        Variable v = source.variables.get(symbol.name());
        if (v != null) {
            return v.offset() + symbol.offset();
        }
        v = module.get(symbol.name());
        if (v != null && v.space().equals("shared")) {
            return dynamicSharedOffset + symbol.offset();
        }
        throw s.unknown(symbol.name() + " is not declared");
    }

    // ---- targets -----------------------------------------------------------------------------------------------

    int wordTarget(Statement s, Operand operand) {
        return switch (operand) {
            case Operand.Register r when r.type() != Type.PRED && !r.type().isLong() -> r.row();
            case Operand.Sink sink -> {
                wordSink = wordSink == null ? source.register("_", Type.B32) : wordSink;
                yield wordSink.row();
            }
            default -> throw s.unknown("operand " + operand + " is not a 32-bit register");
        };
    }

    int longTarget(Statement s, Operand operand) {
        return switch (operand) {
            case Operand.Register r when r.type().isLong() -> r.row();
            case Operand.Sink sink -> {
                longSink = longSink == null ? source.register("_", Type.B64) : longSink;
                yield longSink.row();
            }
            default -> throw s.unknown("operand " + operand + " is not a 64-bit register");
        };
    }

    int predicateTarget(Statement s, Operand operand) {
        return switch (operand) {
            case Operand.Register r when r.type() == Type.PRED -> r.row();
            case Operand.Sink sink -> {
                predicateSink = predicateSink == null ? source.register("_", Type.PRED) : predicateSink;
                yield predicateSink.row();
            }
            default -> throw s.unknown("operand " + operand + " is not a predicate register");
        };
    }

    /** The registers of {@code {a, b}}, or the one register. */
    static List<Operand> elements(Operand operand) {
        return operand instanceof Operand.Vector v ? v.elements() : List.of(operand);
    }

    /** The label's place in the kernel. */
    int label(Statement s, Operand operand) {
        Integer place = operand instanceof Operand.Symbol symbol ? source.labels.get(symbol.name()) : null;
        if (place == null) {
            throw s.unknown("label " + operand + " is not declared");
        }
        return place;
    }

    List<String> branchTargets(Statement s, Operand operand) {
        List<String> list = operand instanceof Operand.Symbol symbol ? source.targets.get(symbol.name()) : null;
        if (list == null) {
            throw s.unknown("the list of targets is not declared");
        }
        return list;
    }
}
