package io.invadapter.kernels.cuda.ptx;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** PTX text, parsed and decoded. Immutable; its kernels can be launched on any number of emulators. */
public final class PtxModule {
    private final Map<String, Kernel> kernels = new LinkedHashMap<>();
    private final Map<String, Variable> variables;

    private PtxModule(Parser parser) {
        variables = parser.variables;
        for (Source source : parser.kernels) {
            kernels.put(source.name, new Decoder(this, source, variables).decode());
        }
    }

    /**
     * Parses and decodes.
     *
     * @throws PtxException when the text is malformed or has an instruction that the emulator does not know; the
     *                      message gives the line and the instruction
     */
    public static PtxModule parse(String ptx) {
        Parser parser = new Parser(ptx);
        parser.parse();
        return new PtxModule(parser);
    }

    /** The kernel of that name, as it is written in the PTX. */
    public Kernel kernel(String name) {
        Kernel k = kernels.get(name);
        if (k == null) {
            throw new PtxException("no kernel " + name + "; there are " + new TreeSet<>(kernels.keySet()));
        }
        return k;
    }

    /** The names of all kernels, in the order of the text. */
    public Set<String> kernels() {
        return java.util.Collections.unmodifiableSet(kernels.keySet());
    }

    /** The variables of the module that live in device memory. */
    Collection<Variable> deviceVariables() {
        Collection<Variable> found = new ArrayList<>();
        for (Variable v : variables.values()) {
            if (!v.space().equals("shared")) {
                found.add(v);
            }
        }
        return found;
    }
}
