package io.invadapter.kernels.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A kernel with one instruction changed.
 *
 * @param line   the instruction's line in its file, from 1
 * @param kind   what sort of change
 * @param before the line as it is
 * @param after  the line as it becomes; empty when the instruction goes
 */
record Mutant(int line, String kind, String before, String after) {
    private static final Map<String, String> OPPOSITES = Map.ofEntries(
            Map.entry("add.s32", "sub.s32"), Map.entry("sub.s32", "add.s32"), Map.entry("add.s64", "sub.s64"),
            Map.entry("sub.s64", "add.s64"), Map.entry("add.f32", "sub.f32"), Map.entry("sub.f32", "add.f32"),
            Map.entry("max.f32", "min.f32"), Map.entry("min.f32", "max.f32"), Map.entry("max.s32", "min.s32"),
            Map.entry("min.s32", "max.s32"), Map.entry("and.b32", "or.b32"), Map.entry("or.b32", "and.b32"),
            Map.entry("xor.b32", "or.b32"), Map.entry("and.pred", "or.pred"), Map.entry("or.pred", "and.pred"),
            Map.entry("shl.b32", "shr.u32"), Map.entry("shr.u32", "shl.b32"), Map.entry("mul.f32", "add.f32"),
            Map.entry("neg.f32", "mov.f32"), Map.entry("neg.s32", "mov.b32"));
    private static final Map<String, String> COMPARISONS = Map.of("lt", "le", "le", "lt", "gt", "ge", "ge", "gt", "eq",
            "ne", "ne", "eq", "ltu", "geu", "leu", "gtu", "gtu", "leu", "neu", "equ");
    private static final List<String> REMOVABLE = List.of("bar.sync", "cp.async.wait_group", "cp.async.commit_group",
            "cp.async.cg", "st.", "mma.", "atom.");
    private static final List<String> ORDERED =
            List.of("sub.", "setp.lt", "setp.gt", "setp.le", "setp.ge", "selp.", "shl.", "shr.", "div.", "rem.");

    private static final Pattern INSTRUCTION = Pattern.compile("(\\s*)(@!?%p\\d+\\s+)?([a-z][\\w.]*)(\\s+)?([^;]*);.*");
    private static final Pattern SETP = Pattern.compile("setp\\.(\\w+)\\.(.*)");
    private static final Pattern INTEGER = Pattern.compile("(?<![\\w%$.])(-?\\d+)(?![\\w.])");
    private static final Pattern FLOAT = Pattern.compile("0f([0-9A-F]{8})");

    /** Every change that this knows for the lines {@code from} (inclusive) to {@code to} of a file, by kind. */
    static Map<String, List<Mutant>> all(List<String> lines, int from, int to) {
        Map<String, List<Mutant>> byKind = new TreeMap<>();
        for (int i = from; i < to; i++) {
            Matcher m = INSTRUCTION.matcher(lines.get(i));
            if (m.matches()) {
                for (Mutant mutant : of(i + 1, lines.get(i), m)) {
                    byKind.computeIfAbsent(mutant.kind, k -> new ArrayList<>()).add(mutant);
                }
            }
        }
        return byKind;
    }

    private static List<Mutant> of(int line, String before, Matcher m) {
        String indent = m.group(1);
        String guard = m.group(2) == null ? "" : m.group(2);
        String opcode = m.group(3);
        String operands = m.group(5);
        List<Mutant> found = new ArrayList<>();
        if (!guard.isEmpty()) {
            String flipped = guard.startsWith("@!") ? "@" + guard.substring(2) : "@!" + guard.substring(1);
            found.add(new Mutant(line, "guard turned", before, indent + flipped + opcode + "\t" + operands + ";"));
        }
        String opposite = OPPOSITES.get(opcode);
        if (opposite != null) {
            found.add(new Mutant(line, "operation replaced", before, indent + guard + opposite + "\t" + operands + ";"));
        }
        Matcher setp = SETP.matcher(opcode);
        if (setp.matches() && COMPARISONS.containsKey(setp.group(1))) {
            found.add(new Mutant(line, "comparison replaced", before, indent + guard + "setp."
                    + COMPARISONS.get(setp.group(1)) + "." + setp.group(2) + "\t" + operands + ";"));
        }
        if (REMOVABLE.stream().anyMatch(opcode::startsWith)) {
            String kind = opcode.startsWith("bar") ? "barrier removed"
                    : opcode.startsWith("cp.async.wait") || opcode.startsWith("cp.async.commit") ? "wait or commit removed"
                    : "store, copy or product removed";
            // The tail of a guard's semicolon stays a valid, empty statement.
            found.add(new Mutant(line, kind, before, ""));
        }
        List<String> parts = split(operands);
        if (ORDERED.stream().anyMatch(opcode::startsWith) && parts.size() >= 3 && !parts.get(1).equals(parts.get(2))) {
            List<String> swapped = new ArrayList<>(parts);
            swapped.set(1, parts.get(2));
            swapped.set(2, parts.get(1));
            found.add(new Mutant(line, "operands exchanged", before, indent + guard + opcode + "\t"
                    + String.join(", ", swapped) + ";"));
        }
        if ((opcode.startsWith("mma.") || opcode.startsWith("ldmatrix.")) && parts.size() >= 2) {
            int which = opcode.startsWith("mma.") ? 1 : 0;
            List<String> registers = split(parts.get(which).substring(1, parts.get(which).length() - 1));
            List<String> exchanged = new ArrayList<>(registers);
            exchanged.set(0, registers.get(1));
            exchanged.set(1, registers.get(0));
            List<String> swapped = new ArrayList<>(parts);
            swapped.set(which, "{" + String.join(", ", exchanged) + "}");
            found.add(new Mutant(line, "fragment registers exchanged", before, indent + guard + opcode + "\t"
                    + String.join(", ", swapped) + ";"));
        }
        if (!opcode.startsWith("bar")) {
            Matcher integer = INTEGER.matcher(operands);
            while (integer.find()) {
                if (integer.group(1).equals("-1") && opcode.startsWith("shfl")) {
                    continue;
                }
                boolean address = integer.start() > 0 && operands.charAt(integer.start() - 1) == '+';
                long value = Long.parseLong(integer.group(1)) + (address ? 4 : 1);
                found.add(new Mutant(line, "immediate changed", before, indent + guard + opcode + "\t"
                        + operands.substring(0, integer.start()) + value + operands.substring(integer.end()) + ";"));
            }
            Matcher real = FLOAT.matcher(operands);
            while (real.find()) {
                int bits = (int) Long.parseLong(real.group(1), 16);
                // One for zero, zero for infinity, else twice or half of it.
                int other = bits == 0 ? 0x3f800000 : Float.isInfinite(Float.intBitsToFloat(bits)) ? 0 : bits ^ 0x00800000;
                found.add(new Mutant(line, "immediate changed", before, indent + guard + opcode + "\t"
                        + operands.substring(0, real.start()) + String.format("0f%08X", other)
                        + operands.substring(real.end()) + ";"));
            }
        }
        return found;
    }

    /** At the commas outside brackets. */
    private static List<String> split(String operands) {
        List<String> parts = new ArrayList<>();
        int depth = 0;
        int start = 0;
        for (int i = 0; i < operands.length(); i++) {
            char c = operands.charAt(i);
            if (c == '{' || c == '[') {
                depth++;
            } else if (c == '}' || c == ']') {
                depth--;
            } else if (c == ',' && depth == 0) {
                parts.add(operands.substring(start, i).strip());
                start = i + 1;
            }
        }
        parts.add(operands.substring(start).strip());
        return parts;
    }

    @Override
    public String toString() {
        return "line " + line + ": " + kind + ": " + before.strip() + " -> " + (after.isEmpty() ? "nothing" : after.strip());
    }
}
