package io.invadapter.kernels.cuda.ptx;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** Turns the statements of a kernel into instructions; each family of opcodes has a class of its own. */
final class Decoder {
    private final PtxModule module;
    private final Source source;
    private final Rows rows;

    Decoder(PtxModule module, Source source, Map<String, Variable> variables) {
        this.module = module;
        this.source = source;
        this.rows = new Rows(source, variables);
    }

    Kernel decode() {
        List<Statement> statements = source.statements;
        // The end of the body is an exit.
        Op[] ops = new Op[statements.size() + 1];
        for (int i = 0; i < statements.size(); i++) {
            Statement s = statements.get(i);
            try {
                ops[i] = decode(s);
            } catch (PtxException e) {
                throw new PtxException("kernel " + source.name + ": " + e.getMessage());
            }
            ops[i].line = s.line();
            ops[i].text = s.text();
            if (s.guard() != null) {
                ops[i].guard = s.guard().row();
                ops[i].guardFlip = s.negated() ? -1 : 0;
            }
        }
        Op end = new ControlOps.Exit();
        end.line = statements.isEmpty() ? 0 : statements.getLast().line();
        end.text = "(end of kernel)";
        ops[statements.size()] = end;
        for (int i = 0; i < ops.length; i++) {
            ops[i].index = i;
        }
        return new Kernel(module, source, ops, rows);
    }

    private Op decode(Statement s) {
        Type type = s.type();
        return switch (s.name()) {
            case "mov" -> MoveOps.mov(s, rows);
            case "add", "sub", "mul", "fma", "mad", "div", "min", "max", "neg", "abs" -> {
                if (type == null || !type.isFloat()) {
                    yield IntegerOps.decode(s, rows);
                }
                yield HalfOps.handles(type) ? HalfOps.decode(s, rows) : FloatOps.decode(s, rows);
            }
            case "rem", "sad", "and", "or", "xor", "not", "cnot", "shl", "shr", "shf", "bfe", "bfi", "bfind", "brev",
                    "popc", "clz", "prmt", "lop3", "mul24", "mad24", "dp4a" -> IntegerOps.decode(s, rows);
            case "rcp", "sqrt", "rsqrt", "sin", "cos", "lg2", "copysign", "testp" -> FloatOps.decode(s, rows);
            case "ex2", "tanh" -> HalfOps.handles(type) ? HalfOps.decode(s, rows) : FloatOps.decode(s, rows);
            case "setp", "set", "selp", "slct" -> CompareOps.decode(s, rows);
            case "cvt" -> ConvertOps.decode(s, rows);
            case "ld", "ldu" -> MemoryOps.load(s, rows);
            case "st" -> MemoryOps.store(s, rows);
            case "atom", "red" -> AtomicOps.decode(s, rows);
            case "cvta", "isspacep", "prefetch", "prefetchu", "createpolicy" -> MemoryOps.address(s, rows);
            case "cp" -> AsyncOps.decode(s, rows);
            case "ldmatrix", "stmatrix", "movmatrix", "mma" -> MatrixOps.decode(s, rows);
            case "shfl", "vote", "redux", "match", "activemask", "elect" -> WarpOps.decode(s, rows);
            case "bar", "barrier" -> s.has("warp") ? WarpOps.decode(s, rows) : ControlOps.barrier(s, rows);
            case "bra", "brx", "ret", "exit", "trap", "membar", "fence", "nanosleep", "griddepcontrol" ->
                    ControlOps.decode(s, rows);
            default -> throw s.unknown("the instruction is not known");
        };
    }

    /** Refuses modifiers other than types and those that the instruction is known to have. */
    static void allow(Statement s, Set<String> modifiers) {
        for (String m : s.modifiers()) {
            if (Type.named(m) == null && !modifiers.contains(m)) {
                throw s.unknown("the modifier ." + m + " is not known");
            }
        }
    }

    static void allow(Statement s, String... modifiers) {
        allow(s, Set.of(modifiers));
    }
}
