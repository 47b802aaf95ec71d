package io.invadapter.weights.model;

import io.invadapter.weights.ForwardingSource;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One part of a model under its canonical names. Closing it does nothing: the file belongs to the {@link ModelFiles}. */
final class RenamedSource extends ForwardingSource {

    /** Linear layers that older files store as convolutions of size 1. */
    private static final Pattern MATRIX = Pattern.compile(".*_block\\.attentions\\.\\d+\\.to_(q|k|v|out\\.0)\\.weight");

    /** One of three layers that OpenCLIP stores on top of each other. */
    private static final Pattern STACKED = Pattern.compile(".*\\.attn\\.in_proj_(weight|bias)");
    private static final Pattern IN_STACK = Pattern.compile(".*\\.self_attn\\.([qkv])_proj\\..*");

    private final String description;
    private final Map<String, String> originalNames;

    /**
     * @param description what messages call this part
     * @param originalNames the names in the file by canonical name
     */
    RenamedSource(WeightSource file, String description, Map<String, String> originalNames) {
        super(file);
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
        WeightTensor tensor = target().tensor(original).renamed(name);
        if (STACKED.matcher(original).matches()) {
            return third(tensor, original);
        }
        long[] shape = tensor.shape();
        boolean convolutionOfOne = shape.length == 4 && shape[2] == 1 && shape[3] == 1;
        return convolutionOfOne && MATRIX.matcher(name).matches() ? tensor.reshape(shape[0], shape[1]) : tensor;
    }

    private WeightTensor third(WeightTensor stack, String original) {
        long[] shape = stack.shape();
        Matcher place = IN_STACK.matcher(stack.name());
        if (shape.length == 0 || shape[0] % 3 != 0 || !place.matches()) {
            throw new WeightException(description + ": tensor '" + original + "' has the shape " + Shapes.text(shape)
                    + " where three layers on top of each other are expected");
        }
        shape[0] /= 3;
        long bytes = stack.data().byteSize() / 3;
        return WeightTensor.of(stack.name(), stack.dtype(), stack.data().asSlice("qkv".indexOf(place.group(1)) * bytes, bytes), shape);
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
