package io.invadapter.weights;

import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Hands everything on to another source: for whoever wants to see or change some of it. Tensors are asked for by
 * {@link #tensor(String)}, whether their shape is expected or not.
 */
public class ForwardingSource implements WeightSource {
    private final WeightSource target;

    /** Closed together with this one. */
    public ForwardingSource(WeightSource target) {
        this.target = Objects.requireNonNull(target, "target");
    }

    /** Where the tensors come from. */
    protected final WeightSource target() {
        return target;
    }

    @Override
    public Set<String> names() {
        return target.names();
    }

    @Override
    public WeightTensor tensor(String name) {
        return target.tensor(name);
    }

    @Override
    public Map<String, String> metadata() {
        return target.metadata();
    }

    @Override
    public Set<Path> paths() {
        return target.paths();
    }

    @Override
    public String description() {
        return target.description();
    }

    @Override
    public void close() {
        target.close();
    }
}
