package io.invadapter.kernels.cuda.ptx;

import java.util.List;

/**
 * One parsed instruction.
 *
 * @param guard    the guard predicate, or null
 * @param negated  whether the guard is {@code @!p}
 * @param name     the opcode without its modifiers
 * @param modifiers the modifiers in order, without dots
 */
record Statement(Operand.Register guard, boolean negated, String name, List<String> modifiers, List<Operand> operands,
                 int line, String text) {

    boolean has(String modifier) {
        return modifiers.contains(modifier);
    }

    /** The last modifier that names a type, or null. */
    Type type() {
        for (int i = modifiers.size() - 1; i >= 0; i--) {
            Type t = Type.named(modifiers.get(i));
            if (t != null) {
                return t;
            }
        }
        return null;
    }

    /** The n-th modifier that names a type. */
    Type type(int n) {
        for (String m : modifiers) {
            Type t = Type.named(m);
            if (t != null && n-- == 0) {
                return t;
            }
        }
        throw unknown("a type is missing");
    }

    Operand operand(int i) {
        if (i >= operands.size()) {
            throw unknown("operand " + i + " is missing");
        }
        return operands.get(i);
    }

    PtxException unknown(String why) {
        return new PtxException("line " + line + ": cannot emulate '" + text + "': " + why);
    }
}
