package io.invadapter.kernels.cuda.ptx;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Turns PTX text into kernels whose instructions refer to numbered registers. */
final class Parser {
    private static final Set<String> SPECIAL = Set.of("%tid", "%ntid", "%ctaid", "%nctaid", "%laneid", "%warpid",
            "%nwarpid", "%smid", "%nsmid", "%gridid", "%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge",
            "%lanemask_gt", "%clock", "%clock_hi", "%clock64", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi",
            "%dynamic_smem_size", "%total_smem_size");

    private final String text;
    private final List<Lexer.Token> tokens;
    private int next;

    /** Global, const and extern shared variables of the module. */
    final Map<String, Variable> variables = new LinkedHashMap<>();
    final List<Source> kernels = new ArrayList<>();

    private Source kernel;
    private final Deque<Map<String, Operand.Register>> scopes = new ArrayDeque<>();

    Parser(String text) {
        this.text = text;
        this.tokens = Lexer.tokens(text);
    }

    void parse() {
        while (next < tokens.size()) {
            switch (peek()) {
                case ".version", ".target", ".address_size" -> skipLine();
                case ".section" -> skipBlock();
                case ".visible", ".weak", ".common", ".extern" -> next++;
                case ".entry" -> entry();
                case ".func" -> skipFunction();
                case ".global", ".const", ".shared" -> {
                    Variable v = variable();
                    variables.put(v.name(), v);
                    expect(";");
                }
                default -> throw error("unexpected '" + peek() + "'");
            }
        }
    }

    // ---- module level ------------------------------------------------------------------------------------------

    private void entry() {
        expect(".entry");
        kernel = new Source(take());
        if (accept("(")) {
            while (!accept(")")) {
                kernel.place(variable());
                accept(",");
            }
        }
        while (!peek().equals("{")) {
            String directive = take();
            switch (directive) {
                case ".maxntid", ".reqntid" -> {
                    kernel.maxThreads = (int) integer();
                    while (accept(",")) {
                        kernel.maxThreads *= (int) integer();
                    }
                    kernel.exactThreads = directive.equals(".reqntid");
                }
                case ".minnctapersm", ".maxnctapersm", ".maxnreg" -> integer();
                default -> throw error("directive " + directive + " of a kernel is not known");
            }
        }
        body();
        kernels.add(kernel);
    }

    /** A declaration without its end: {@code .space .align n .type name[size] = {...}}. */
    private Variable variable() {
        String space = take().substring(1);
        int align = 0;
        Type type = null;
        while (peek().startsWith(".")) {
            String word = take().substring(1);
            switch (word) {
                case "align" -> {
                    // After a type it is the alignment of what a pointer parameter points to.
                    int bytes = (int) integer();
                    align = type == null ? bytes : align;
                }
                case "ptr", "global", "shared", "const", "local", "volatile" -> { }
                default -> {
                    type = Type.named(word);
                    if (type == null) {
                        throw error("variable type ." + word + " is not known");
                    }
                }
            }
        }
        if (type == null) {
            throw error("a variable without a type");
        }
        String name = take();
        long count = 1;
        boolean open = false;
        while (accept("[")) {
            if (accept("]")) {
                open = true;
            } else {
                count *= integer();
                expect("]");
            }
        }
        byte[] content = null;
        if (accept("=")) {
            List<Operand.Literal> values = new ArrayList<>();
            initializer(values);
            if (open) {
                count = values.size();
                open = false;
            }
            content = bytes(values, type, (int) (count * type.bytes));
        }
        return new Variable(name, space, 0, open ? 0 : count * type.bytes, align == 0 ? type.bytes : align, content);
    }

    private void initializer(List<Operand.Literal> values) {
        if (accept("{")) {
            while (!accept("}")) {
                initializer(values);
                accept(",");
            }
        } else {
            boolean minus = accept("-");
            values.add(number(take(), minus));
        }
    }

    private static byte[] bytes(List<Operand.Literal> values, Type type, int size) {
        ByteBuffer b = ByteBuffer.allocate(Math.max(size, values.size() * type.bytes)).order(ByteOrder.LITTLE_ENDIAN);
        for (Operand.Literal v : values) {
            switch (type.bytes) {
                case 1 -> b.put((byte) v.bits());
                case 2 -> b.putShort((short) v.bits());
                case 4 -> b.putInt(v.real() && type == Type.F32 ? Float.floatToRawIntBits((float) v.value())
                        : (int) v.bits());
                default -> b.putLong(v.real() ? Double.doubleToRawLongBits(v.value()) : v.bits());
            }
        }
        return b.array();
    }

    private void skipLine() {
        int line = tokens.get(next).line();
        while (next < tokens.size() && tokens.get(next).line() == line) {
            next++;
        }
    }

    /** Skips a device function: nvcc inlines them, and a kernel that does call one is refused at its call. */
    private void skipFunction() {
        while (!peek().equals("{")) {
            if (take().equals(";")) {
                return;
            }
        }
        skipBlock();
    }

    private void skipBlock() {
        while (!take().equals("{")) {
            // Up to the opening brace.
        }
        for (int depth = 1; depth > 0;) {
            switch (take()) {
                case "{" -> depth++;
                case "}" -> depth--;
                default -> { }
            }
        }
    }

    // ---- kernel bodies -----------------------------------------------------------------------------------------

    private void body() {
        expect("{");
        scopes.push(new HashMap<>());
        while (!scopes.isEmpty()) {
            String word = peek();
            switch (word) {
                case "{" -> {
                    next++;
                    scopes.push(new HashMap<>());
                }
                case "}" -> {
                    next++;
                    scopes.pop();
                }
                case ";" -> next++;
                case ".reg" -> registers();
                case ".shared", ".local" -> {
                    kernel.place(variable());
                    expect(";");
                }
                case ".pragma" -> {
                    while (!take().equals(";")) {
                        // The text of a pragma does not change what a kernel means.
                    }
                }
                default -> {
                    if (next + 1 < tokens.size() && tokens.get(next + 1).text().equals(":")) {
                        label();
                    } else {
                        instruction();
                    }
                }
            }
        }
    }

    private void registers() {
        expect(".reg");
        Type type = Type.named(take().substring(1));
        if (type == null) {
            next--;
            throw error("register type " + peek() + " is not known");
        }
        do {
            String name = take();
            if (accept("<")) {
                long count = integer();
                expect(">");
                for (int i = 0; i < count; i++) {
                    declare(name + i, type);
                }
            } else {
                declare(name, type);
            }
        } while (accept(","));
        expect(";");
    }

    private void declare(String name, Type type) {
        scopes.element().put(name, kernel.register(name, type));
    }

    private void label() {
        String name = take();
        expect(":");
        if (accept(".branchtargets")) {
            List<String> labels = new ArrayList<>();
            do {
                labels.add(take());
            } while (accept(","));
            expect(";");
            kernel.targets.put(name, labels);
        } else if (kernel.labels.put(name, kernel.statements.size()) != null) {
            throw error("label " + name + " is declared twice");
        }
    }

    private void instruction() {
        Lexer.Token first = tokens.get(next);
        Operand.Register guard = null;
        boolean negated = false;
        if (accept("@")) {
            negated = accept("!");
            String name = take();
            guard = lookup(name);
            if (guard == null || guard.type() != Type.PRED) {
                throw error(name + " is not a predicate");
            }
        }
        List<String> parts = List.of(take().split("\\."));
        List<Operand> operands = new ArrayList<>();
        while (!peek().equals(";")) {
            operands.add(operand());
            if (!accept(",") && !peek().equals(";")) {
                throw error("unexpected '" + peek() + "'");
            }
        }
        String written = text.substring(first.start(), tokens.get(next).start()).strip().replaceAll("\\s+", " ");
        expect(";");
        kernel.statements.add(new Statement(guard, negated, parts.get(0), parts.subList(1, parts.size()),
                List.copyOf(operands), first.line(), written));
    }

    private Operand operand() {
        Operand first = single();
        return accept("|") ? new Operand.Pair(first, single()) : first;
    }

    private Operand single() {
        if (accept("[")) {
            Operand base = single();
            long offset = 0;
            if (base instanceof Operand.Symbol symbol) {
                offset = symbol.offset();
                base = new Operand.Symbol(symbol.name(), 0);
            }
            offset += offset();
            expect("]");
            return new Operand.Address(base, offset);
        }
        if (accept("{")) {
            List<Operand> elements = new ArrayList<>();
            while (!accept("}")) {
                elements.add(single());
                accept(",");
            }
            return new Operand.Vector(List.copyOf(elements));
        }
        if (accept("!")) {
            return new Operand.Negated(single());
        }
        boolean minus = accept("-");
        String word = take();
        if (minus || Character.isDigit(word.charAt(0))) {
            return number(word, minus);
        }
        if (word.equals("_")) {
            return new Operand.Sink();
        }
        if (word.equals("WARP_SZ")) {
            return new Operand.Literal(Warp.LANES, false, 0);
        }
        Operand.Register register = lookup(word);
        if (register != null) {
            return register;
        }
        if (word.startsWith("%")) {
            int dot = word.indexOf('.');
            if (!SPECIAL.contains(dot < 0 ? word : word.substring(0, dot))) {
                throw error("register " + word + " is not declared");
            }
            return new Operand.Special(word);
        }
        return new Operand.Symbol(word, offset());
    }

    /** {@code + 4}, {@code + -4}, {@code - 4} or nothing. */
    private long offset() {
        if (accept("+")) {
            boolean minus = accept("-");
            long value = integer();
            return minus ? -value : value;
        }
        return accept("-") ? -integer() : 0;
    }

    private Operand.Register lookup(String name) {
        for (Map<String, Operand.Register> scope : scopes) {
            Operand.Register r = scope.get(name);
            if (r != null) {
                return r;
            }
        }
        return null;
    }

    // ---- tokens and numbers ------------------------------------------------------------------------------------

    private Operand.Literal number(String word, boolean minus) {
        String lower = word.toLowerCase(java.util.Locale.ROOT);
        try {
            if (lower.startsWith("0f") && lower.length() == 10) {
                int bits = Integer.parseUnsignedInt(lower.substring(2), 16) ^ (minus ? Integer.MIN_VALUE : 0);
                return new Operand.Literal(bits & 0xffffffffL, true, Float.intBitsToFloat(bits));
            }
            if (lower.startsWith("0d") && lower.length() == 18) {
                long bits = Long.parseUnsignedLong(lower.substring(2), 16) ^ (minus ? Long.MIN_VALUE : 0);
                return new Operand.Literal(bits, true, Double.longBitsToDouble(bits));
            }
            if (!lower.startsWith("0x") && (lower.contains(".") || lower.contains("e"))) {
                double value = minus ? -Double.parseDouble(word) : Double.parseDouble(word);
                return new Operand.Literal(Double.doubleToRawLongBits(value), true, value);
            }
            long value = parseInteger(lower);
            return new Operand.Literal(minus ? -value : value, false, 0);
        } catch (NumberFormatException e) {
            next--;
            throw error("'" + word + "' is not a number");
        }
    }

    private static long parseInteger(String lower) {
        String digits = lower.endsWith("u") ? lower.substring(0, lower.length() - 1) : lower;
        if (digits.startsWith("0x")) {
            return Long.parseUnsignedLong(digits.substring(2), 16);
        }
        if (digits.startsWith("0b")) {
            return Long.parseUnsignedLong(digits.substring(2), 2);
        }
        return digits.length() > 1 && digits.startsWith("0") ? Long.parseUnsignedLong(digits, 8)
                : Long.parseUnsignedLong(digits);
    }

    private long integer() {
        return number(take(), false).bits();
    }

    private String peek() {
        if (next >= tokens.size()) {
            throw new PtxException("the PTX text ends too early");
        }
        return tokens.get(next).text();
    }

    private String take() {
        String word = peek();
        next++;
        return word;
    }

    private boolean accept(String word) {
        if (next < tokens.size() && tokens.get(next).text().equals(word)) {
            next++;
            return true;
        }
        return false;
    }

    private void expect(String word) {
        if (!accept(word)) {
            throw error("'" + word + "' expected, '" + peek() + "' found");
        }
    }

    private PtxException error(String what) {
        int line = next < tokens.size() ? tokens.get(next).line() : 0;
        return new PtxException("line " + line + ": " + what);
    }
}
