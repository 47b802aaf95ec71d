package io.invadapter.kernels.cuda.ptx;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A parsed kernel, before decoding. */
final class Source {
    final String name;
    final List<Variable> parameters = new ArrayList<>();
    final Map<String, Variable> variables = new LinkedHashMap<>();
    final List<Statement> statements = new ArrayList<>();
    /** Label to index of the next statement. */
    final Map<String, Integer> labels = new HashMap<>();
    /** Name of a {@code .branchtargets} list to its labels. */
    final Map<String, List<String>> targets = new HashMap<>();
    int parameterBytes;
    int sharedBytes;
    int localBytes;
    int maxThreads = 1024;
    boolean exactThreads;

    /** Rows handed out so far: words and longs count in lanes, predicates in rows. */
    int words;
    int longs;
    int predicates;

    Source(String name) {
        this.name = name;
    }

    Operand.Register register(String registerName, Type type) {
        int row;
        if (type == Type.PRED) {
            row = predicates++;
        } else if (type.isLong()) {
            row = longs;
            longs += Warp.LANES;
        } else {
            row = words;
            words += Warp.LANES;
        }
        return new Operand.Register(registerName, type, row);
    }

    Variable place(Variable v) {
        switch (v.space()) {
            case "param" -> {
                v = v.at(Variable.roundUp(parameterBytes, v.align()));
                parameterBytes = (int) (v.offset() + v.bytes());
                parameters.add(v);
            }
            case "shared" -> {
                v = v.at(Variable.roundUp(sharedBytes, v.align()));
                sharedBytes = (int) (v.offset() + v.bytes());
            }
            case "local" -> {
                v = v.at(Variable.roundUp(localBytes, v.align()));
                localBytes = (int) (v.offset() + v.bytes());
            }
            default -> throw new PtxException("." + v.space() + " variable " + v.name() + " inside a kernel");
        }
        variables.put(v.name(), v);
        return v;
    }
}
