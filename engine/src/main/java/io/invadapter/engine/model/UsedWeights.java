package io.invadapter.engine.model;

import io.invadapter.weights.ForwardingSource;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** The weights of a network while it is made of them: remembers which were asked for, so that those left over can be told of. */
public final class UsedWeights extends ForwardingSource {

    private final Loading loading;
    private final Set<String> used = new HashSet<>();
    private long usedElements;

    /** @param loading told of each tensor of the source once */
    public UsedWeights(WeightSource source, Loading loading) {
        super(source);
        this.loading = loading;
    }

    /** Tells how many tensors nobody asked for, if any, and names one. */
    public void reportOthers(Consumer<String> notices) {
        List<String> others = names().stream().filter(name -> !used.contains(name)).toList();
        report(description(), others, notices);
        loading.add(others.size());
    }

    /** Of all tensors that were asked for. */
    public long usedElements() {
        return usedElements;
    }

    private void use(String name, WeightTensor tensor) {
        if (used.add(name)) {
            usedElements += tensor.elements();
            loading.add(1);
        }
    }

    /** @param file whose tensors they are */
    static void report(String file, Collection<String> others, Consumer<String> notices) {
        if (!others.isEmpty()) {
            String example = others.iterator().next();
            notices.accept(file + ": " + (others.size() == 1 ? "the tensor '" + example + "' belongs to no layer and is left out"
                    : others.size() + " tensors belong to no layer and are left out, such as '" + example + "'"));
        }
    }

    @Override
    public WeightTensor tensor(String name) {
        WeightTensor tensor = target().tensor(name);
        use(name, tensor);
        return tensor;
    }

    @Override
    public WeightTensor tensor(String name, long... expectedShape) {
        WeightTensor tensor = target().tensor(name, expectedShape);
        use(name, tensor);
        return tensor;
    }
}
