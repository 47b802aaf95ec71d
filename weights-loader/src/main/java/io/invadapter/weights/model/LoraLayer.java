package io.invadapter.weights.model;

import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightTensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.LongStream;

/**
 * What a LoRA changes in one layer: a matrix {@code [out, in * kernel]} that is given by factors. The formulas are those of
 * kohya's trainer and of LyCORIS: LoRA (Hu et al. 2021) {@code up down}, for convolutions with {@code mid} in between (LoCon);
 * LoHa (Hyeon-Woo et al. 2021) {@code (w1_a w1_b) * (w2_a w2_b)}; LoKr {@code kron(w1, w2)}; or the difference itself.
 *
 * @param file    the LoRA, for messages
 * @param name    the layer as the file writes it
 * @param factors the tensors by {@link io.invadapter.weights.model.naming.LoraKey#factor}
 * @param alphas  where a layer without an alpha of its own has it from
 */
record LoraLayer(String file, String name, Map<String, WeightTensor> factors, LoraAlphas alphas) {

    /** Far more than any trainer writes; keeps a file from asking for more memory than a layer of it takes. */
    private static final int HIGHEST_RANK = 4096;

    private static final Pattern READS_TEXTS = Pattern.compile(".*attn2[._]to_[kv]");
    private static final Pattern READS_STATES = Pattern.compile(".*layers[._]\\d+[._]self_attn[._][qkv]_proj");

    /** Checked against the layer's shape. {@code rows} reads the factors when they are needed. */
    record Change(double scale, Supplier<Rows> rows) {
    }

    /** DoRA (Liu et al. 2024): the length that the changed weight's columns, or rows, are brought to. */
    record Lengths(boolean ofRows, WeightTensor values) {
    }

    /** Whether a layer of this name reads texts: in the UNet the text encoder's, in the text encoder its own. */
    static boolean readsTexts(String layer) {
        return READS_TEXTS.matcher(layer).matches() || READS_STATES.matcher(layer).matches();
    }

    /** How many channels a layer reads that has these factors, if they show it. */
    static OptionalLong channelsRead(Map<String, WeightTensor> factors) {
        for (String factor : List.of("down", "hada_w1_b", "diff")) {
            if (factors.containsKey(factor)) {
                return columns(factors.get(factor));
            }
        }
        OptionalLong left = columns(factors.getOrDefault("lokr_w1", factors.get("lokr_w1_b")));
        OptionalLong right = columns(factors.getOrDefault("lokr_w2", factors.get("lokr_w2_b")));
        return left.isPresent() && right.isPresent() ? OptionalLong.of(left.getAsLong() * right.getAsLong()) : OptionalLong.empty();
    }

    private static OptionalLong columns(WeightTensor matrix) {
        return matrix == null || matrix.shape().length < 2 ? OptionalLong.empty() : OptionalLong.of(matrix.shape()[1]);
    }

    /** Whether the weight is changed, and not the bias alone. */
    boolean changesWeight() {
        return factors.keySet().stream().anyMatch(factor -> !factor.equals("diff_b"));
    }

    /** @throws WeightException when a factor is not finite; reads them all */
    void requireFinite() {
        factors.values().stream().filter(factor -> !factor.isFinite()).findFirst().ifPresent(factor -> {
            throw WeightException.notFinite(file, factor);
        });
    }

    boolean changesBias() {
        return factors.containsKey("diff_b");
    }

    /** @throws WeightException when the factors do not give a change of a bias of this shape */
    Change bias(long[] shape) {
        WeightTensor difference = matrix("diff_b", shape[0], 1);
        return new Change(1, () -> Rows.of(difference.toFloats(), 1));
    }

    /**
     * @param shape of the layer's weight, {@code [out, in]} or {@code [out, in, height, width]}
     * @throws WeightException when the factors do not give a change of a weight of this shape
     */
    Change weight(long[] shape) {
        int columns = columns(shape);
        if (shape.length < 2 && !has("diff")) {
            throw wrong("its weight " + Shapes.text(shape) + " is no matrix");
        }
        if (has("hada_w1_a")) {
            return loha(shape, columns);
        }
        if (has("lokr_w1") || has("lokr_w1_a")) {
            return lokr(shape);
        }
        if (has("diff")) {
            WeightTensor difference = matrix("diff", shape[0], behind(shape));
            return new Change(1, () -> Rows.of(difference.toFloats(), columns));
        }
        return lora(shape, columns);
    }

    /** @param shape as in {@link #weight} */
    Optional<Lengths> lengths(long[] shape) {
        if (shape.length < 2 && (has("magnitude") || has("dora_scale"))) {
            throw wrong("it has lengths of rows, and its weight " + Shapes.text(shape) + " is no matrix");
        }
        if (has("magnitude")) {
            return Optional.of(new Lengths(true, sized("magnitude", shape[0])));
        }
        if (has("dora_scale")) {
            boolean ofRows = size("dora_scale", 0) == shape[0];
            return Optional.of(new Lengths(ofRows, sized("dora_scale", ofRows ? shape[0] : shape[1])));
        }
        return Optional.empty();
    }

    private static int columns(long[] shape) {
        return Math.toIntExact(Shapes.elements(shape) / shape[0]);
    }

    /** The sizes of all dimensions but the first. */
    private static long[] behind(long[] shape) {
        return Arrays.copyOfRange(shape, 1, shape.length);
    }

    private Change lora(long[] shape, int columns) {
        int rank = rank("down");
        WeightTensor up = matrix("up", shape[0], rank);
        double scale = alpha(rank) / divisor(rank);
        if (has("mid")) {
            WeightTensor middle = core("mid", rank, rank, shape);
            WeightTensor down = matrix("down", rank, shape[1]);
            return new Change(scale, () -> Rows.product(up.toFloats(), withKernel(middle, down), rank, columns));
        }
        WeightTensor down = matrix("down", rank, behind(shape));
        return new Change(scale, () -> Rows.product(up.toFloats(), down.toFloats(), rank, columns));
    }

    private Change loha(long[] shape, int columns) {
        Supplier<Rows> one = lohaFactor("hada_w1_a", "hada_w1_b", "hada_t1", shape, columns);
        Supplier<Rows> other = lohaFactor("hada_w2_a", "hada_w2_b", "hada_t2", shape, columns);
        int rank = rank("hada_w1_b");
        return new Change(alpha(rank) / divisor(rank), () -> Rows.hadamard(one.get(), other.get()));
    }

    private Supplier<Rows> lohaFactor(String left, String right, String core, long[] shape, int columns) {
        int rank = rank(right);
        if (has(core)) {
            return withCore(left, right, core, shape);
        }
        WeightTensor a = matrix(left, shape[0], rank);
        WeightTensor b = matrix(right, rank, behind(shape));
        return () -> Rows.product(a.toFloats(), b.toFloats(), rank, columns);
    }

    /** {@code sum_pq core[p,q,y,x] left[p,o] right[q,i]}. @param shape of the weight, whose kernel the core has */
    private Supplier<Rows> withCore(String left, String right, String core, long[] shape) {
        int p = rank(left);
        int q = rank(right);
        WeightTensor t = core(core, p, q, shape);
        WeightTensor a = matrix(left, p, shape[0]);
        WeightTensor b = matrix(right, q, shape[1]);
        int columns = columns(shape);
        return () -> Rows.product(transposed(a.toFloats(), p), withKernel(t, b), p, columns);
    }

    private Change lokr(long[] shape) {
        boolean wholeLeft = has("lokr_w1");
        int leftRows = size(wholeLeft ? "lokr_w1" : "lokr_w1_a", 0);
        int leftColumns = size(wholeLeft ? "lokr_w1" : "lokr_w1_b", 1);
        if (leftRows < 1 || leftColumns < 1 || shape[0] % leftRows != 0 || shape[1] % leftColumns != 0) {
            throw wrong("its first factor is [" + leftRows + ", " + leftColumns + "], which does not divide the layer's weight " + Shapes.text(shape));
        }
        Supplier<float[]> left = whole("lokr_w1", "lokr_w1_a", "lokr_w1_b", leftRows, leftColumns);
        long[] inner = shape.clone();
        inner[0] /= leftRows;
        inner[1] /= leftColumns;
        int rightRows = Math.toIntExact(inner[0]);
        int rightColumns = columns(inner);
        Supplier<float[]> right;
        if (has("lokr_t2")) {
            Supplier<Rows> product = withCore("lokr_w2_a", "lokr_w2_b", "lokr_t2", inner);
            right = () -> Rows.all(product.get(), rightRows, rightColumns);
        } else {
            right = whole("lokr_w2", "lokr_w2_a", "lokr_w2_b", rightRows, behind(inner));
        }
        double scale = 1;
        if (!wholeLeft || !has("lokr_w2")) {
            int rank = rank(wholeLeft ? "lokr_w2_b" : "lokr_w1_b");
            scale = alpha(rank) / divisor(rank);
        }
        return new Change(scale, () -> Rows.kronecker(left.get(), leftColumns, right.get(), rightColumns));
    }

    /** A factor that is there as it is or as a product of two. */
    private Supplier<float[]> whole(String name, String left, String right, int rows, long... shape) {
        if (has(name)) {
            WeightTensor there = matrix(name, rows, shape);
            return there::toFloats;
        }
        int columns = Math.toIntExact(Shapes.elements(shape));
        int rank = rank(right);
        WeightTensor a = matrix(left, rows, rank);
        WeightTensor b = matrix(right, rank, shape);
        return () -> Rows.all(Rows.product(a.toFloats(), b.toFloats(), rank, columns), rows, columns);
    }

    // --- factors ----------------------------------------------------------------------------------------------------

    private boolean has(String factor) {
        return factors.containsKey(factor);
    }

    private WeightTensor factor(String factor) {
        WeightTensor tensor = factors.get(factor);
        if (tensor == null) {
            throw wrong("it has " + factors.values().stream().map(found -> "'" + found.name() + "'").sorted().toList() + " but no factor '"
                    + factor + "'");
        }
        return tensor;
    }

    private int size(String factor, int dimension) {
        long[] shape = factor(factor).shape();
        if (shape.length <= dimension || shape[dimension] < 1 || shape[dimension] > Integer.MAX_VALUE) {
            throw wrong("'" + factor(factor).name() + "' has the shape " + Shapes.text(shape));
        }
        return (int) shape[dimension];
    }

    /** How many rows a factor has between the two sides of a product. */
    private int rank(String factor) {
        int rank = size(factor, 0);
        if (rank > HIGHEST_RANK) {
            throw wrong("'" + factor(factor).name() + "' has the rank " + rank + ", and " + HIGHEST_RANK + " is the highest that is computed");
        }
        return rank;
    }

    /** A factor that is a matrix: of columns as they are or as one number, whatever dimensions of size 1 its shape has behind. */
    private WeightTensor matrix(String factor, long rows, long... columns) {
        WeightTensor tensor = factor(factor);
        long[] shape = withoutOnes(tensor.shape());
        long[] expected = LongStream.concat(LongStream.of(rows), LongStream.of(columns)).toArray();
        if (!Arrays.equals(shape, withoutOnes(expected)) && !Arrays.equals(shape, withoutOnes(new long[] {rows, Shapes.elements(columns)}))) {
            throw wrongShape(tensor, expected);
        }
        return tensor;
    }

    /** One dimension at least is left. */
    private static long[] withoutOnes(long[] shape) {
        int dimensions = shape.length;
        while (dimensions > 1 && shape[dimensions - 1] == 1) {
            dimensions--;
        }
        return Arrays.copyOf(shape, dimensions);
    }

    private WeightTensor core(String factor, long p, long q, long[] weight) {
        WeightTensor tensor = factor(factor);
        long[] expected = weight.length == 4 ? new long[] {p, q, weight[2], weight[3]} : new long[] {p, q};
        if (weight.length != 4 || !Arrays.equals(tensor.shape(), expected)) {
            throw wrongShape(tensor, expected);
        }
        return tensor;
    }

    private WeightTensor sized(String factor, long elements) {
        WeightTensor tensor = factor(factor);
        if (tensor.elements() != elements) {
            throw wrongShape(tensor, elements);
        }
        return tensor;
    }

    private double alpha(int rank) {
        WeightTensor alpha = factors.get("alpha");
        if (alpha == null) {
            return alphas.of(name, rank);
        }
        if (alpha.elements() != 1) {
            throw wrongShape(alpha);
        }
        double value = alpha.toFloats()[0];
        if (!Double.isFinite(value)) {
            throw wrong("'" + alpha.name() + "' is " + value);
        }
        return value;
    }

    private double divisor(int rank) {
        return alphas.byRoot() ? Math.sqrt(rank) : rank;
    }

    private WeightException wrongShape(WeightTensor tensor, long... expected) {
        return wrong("'" + tensor.name() + "' has the shape " + Shapes.text(tensor.shape()) + " where " + Shapes.text(expected) + " is expected");
    }

    private WeightException wrong(String problem) {
        return new WeightException(file + " does not fit the layer '" + name + "' of this model: " + problem);
    }

    /** {@code [p, i, y, x] = sum_q core[p,q,y,x] right[q,i]}, as a matrix {@code [p, i * y * x]}. */
    private static float[] withKernel(WeightTensor core, WeightTensor right) {
        int p = (int) core.shape()[0];
        int q = (int) core.shape()[1];
        int kernel = (int) (core.shape()[2] * core.shape()[3]);
        int in = (int) right.shape()[1];
        float[] product = Rows.all(Rows.product(swapped(core.toFloats(), p, q, kernel), right.toFloats(), q, in), p * kernel, in);
        return swapped(product, p, kernel, in);
    }

    /** {@code [batch, rows, columns]} to {@code [batch, columns, rows]}. */
    private static float[] swapped(float[] values, int batch, int rows, int columns) {
        float[] result = new float[values.length];
        int from = 0;
        for (int b = 0; b < batch; b++) {
            for (int row = 0; row < rows; row++) {
                for (int column = 0; column < columns; column++) {
                    result[(b * columns + column) * rows + row] = values[from++];
                }
            }
        }
        return result;
    }

    private static float[] transposed(float[] values, int rows) {
        return swapped(values, 1, rows, values.length / rows);
    }
}
