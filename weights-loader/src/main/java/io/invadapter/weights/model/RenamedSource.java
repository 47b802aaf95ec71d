package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** One part of a model under its canonical names. Closing it does nothing: the file belongs to the {@link ModelFiles}. */
final class RenamedSource implements WeightSource {

    /** Linear layers that older files store as convolutions of size 1. */
    private static final Pattern MATRIX = Pattern.compile(".*_block\\.attentions\\.\\d+\\.to_(q|k|v|out\\.0)\\.weight");

    private final WeightSource file;
    private final String description;
    private final Map<String, String> originalNames;

    /**
     * @param description what messages call this part
     * @param originalNames the names in the file by canonical name
     */
    RenamedSource(WeightSource file, String description, Map<String, String> originalNames) {
        this.file = file;
        this.description = description;
        this.originalNames = originalNames;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(originalNames.keySet());
    }

    @Override
    public WeightTensor tensor(String name) {
        String original = originalNames.get(name);
        if (original == null) {
            throw new WeightException(description + " has no tensor '" + name + "'");
        }
        WeightTensor tensor = file.tensor(original).renamed(name);
        long[] shape = tensor.shape();
        boolean convolutionOfOne = shape.length == 4 && shape[2] == 1 && shape[3] == 1;
        return convolutionOfOne && MATRIX.matcher(name).matches() ? tensor.reshape(shape[0], shape[1]) : tensor;
    }

    @Override
    public Map<String, String> metadata() {
        return file.metadata();
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public void close() {
        // The file is shared with the other parts.
    }
}
