package io.invadapter.kernels.cuda.ptx;

import java.util.List;

/** One operand of a parsed instruction. */
sealed interface Operand {
    /** A register; {@code row} is the offset of its first lane in the file of its class (predicates: its index). */
    record Register(String name, Type type, int row) implements Operand { }

    /** A special register such as {@code %tid.x}. */
    record Special(String name) implements Operand { }

    /** A number; {@code real} when it was written as a floating-point constant, whose value is {@code value}. */
    record Literal(long bits, boolean real, double value) implements Operand { }

    /** A variable or a label, with a constant offset. */
    record Symbol(String name, long offset) implements Operand { }

    /** {@code [base + offset]}. */
    record Address(Operand base, long offset) implements Operand { }

    /** {@code {a, b, ...}}. */
    record Vector(List<Operand> elements) implements Operand { }

    /** {@code p|q}. */
    record Pair(Operand first, Operand second) implements Operand { }

    /** {@code !p}. */
    record Negated(Operand operand) implements Operand { }

    /** {@code _}: the result is thrown away. */
    record Sink() implements Operand { }
}
