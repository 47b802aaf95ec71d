package io.invadapter.weights.model.naming;

import io.invadapter.weights.WeightException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;

/** Collects canonical names for the tensors of one part of a file, prefix by prefix. */
final class Renaming {

    private final String source;
    private final String outerPrefix;
    private final NavigableSet<String> left = new TreeSet<>();
    private final Map<String, String> originalNames = new LinkedHashMap<>();

    /**
     * @param source what messages call the file
     * @param names all names of the file
     * @param outerPrefix what the names of this part start with; it is left out of all other arguments and results here
     */
    Renaming(String source, Set<String> names, String outerPrefix) {
        this.source = source;
        this.outerPrefix = outerPrefix;
        for (String name : names) {
            if (name.startsWith(outerPrefix)) {
                left.add(name.substring(outerPrefix.length()));
            }
        }
    }

    /** Whether a tensor that has no canonical name yet starts with the prefix. */
    boolean has(String prefix) {
        String next = left.ceiling(prefix);
        return next != null && next.startsWith(prefix);
    }

    /** Gives all tensors under a prefix another prefix. */
    void move(String prefix, String canonicalPrefix) {
        for (String name : under(prefix)) {
            put(canonicalPrefix + name.substring(prefix.length()), name);
        }
    }

    /** Gives all tensors under a prefix another prefix, and the layers below it other names; unknown layers are left. */
    void move(String prefix, String canonicalPrefix, Map<String, String> layers) {
        layers.forEach((layer, canonical) -> move(prefix + layer + ".", canonicalPrefix + canonical + "."));
    }

    /** Gives a tensor several names, each that of a part of it. */
    void split(String name, List<String> canonical) {
        if (left.contains(name)) {
            canonical.forEach(part -> put(part, name));
        }
    }

    /** Leaves out what nobody needs. */
    void drop(String prefix) {
        left.removeAll(under(prefix));
    }

    /** The names in the file by canonical name; what was neither renamed nor dropped keeps its name. */
    Map<String, String> finish() {
        left.forEach(name -> originalNames.put(outerPrefix + name, outerPrefix + name));
        return originalNames;
    }

    private Set<String> under(String prefix) {
        return new TreeSet<>(left.subSet(prefix, prefix + Character.MAX_VALUE));
    }

    private void put(String canonical, String name) {
        String other = originalNames.put(canonical, outerPrefix + name);
        if (other != null) {
            throw new WeightException(source + ": the tensors '" + other + "' and '" + outerPrefix + name + "' are the same layer");
        }
        left.remove(name);
    }
}
