package io.invadapter.kernels;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * What every device checks before it computes, and the shape of what comes out: for implementations of {@link Device}. Each
 * method refuses with an {@link IllegalArgumentException} that names the shapes.
 *
 * @param type of activations
 */
public record Arguments(DataType type) {
    /** Of {@link Operators#combine}. */
    public static final int MOST_TARGETS = 8;
    /** Of {@link Operators#combine}. */
    public static final int MOST_TERMS = 16;
    /** Of {@link Operators#groupStatistics}, and rows of its batch. */
    private static final int MOST_GROUPS = 64;
    /** What its channels are a multiple of. */
    private static final int STATISTICS_CHANNELS = 8;

    private static void check(boolean condition, String message, Object... arguments) {
        if (!condition) {
            throw new IllegalArgumentException(message.formatted(arguments));
        }
    }

    /** Whether {@code x} is what most operators read: the device's type without gaps. */
    private boolean areActivations(Tensor x) {
        return x.type() == type && x.isContiguous();
    }

    // --- memory -----------------------------------------------------------------------------------------------------

    /** Floating-point values for a whole tensor. */
    public void values(Tensor target, float[] values) {
        contiguous(target);
        check(target.type() != DataType.INT32 && target.elements() == values.length, "%s values for %s", values.length, target);
    }

    /** Indices for a whole tensor. */
    public void indices(Tensor target, int[] values) {
        contiguous(target);
        check(target.type() == DataType.INT32 && target.elements() == values.length, "%s indices for %s", values.length, target);
    }

    /** As many bytes as the tensor has. */
    public void bytes(Tensor tensor, long bytes) {
        contiguous(tensor);
        check(bytes == tensor.bytes(), "%s bytes for %s", bytes, tensor);
    }

    /** One tensor over another. */
    public void copy(Tensor source, Tensor target) {
        contiguous(source);
        contiguous(target);
        check(source.type() == target.type() && source.elements() == target.elements(), "%s copied over %s", source, target);
    }

    /** A tensor without gaps. */
    public static void contiguous(Tensor tensor) {
        check(tensor.isContiguous(), "only a contiguous tensor can be copied, not columns of one: %s", tensor);
    }

    // --- weights ----------------------------------------------------------------------------------------------------

    /** Weights of {@code axes} axes and, unless {@code null}, a bias for each of the first. */
    public void weights(HostTensor weight, int axes, HostTensor bias) {
        check(weight.shape().length == axes && (bias == null || Arrays.equals(bias.shape(), new int[] {weight.shape()[0]})),
                "weights of %s and a bias of %s where %s axes and a bias for each of the first are expected", weight, bias, axes);
    }

    /** Weights that hold a value and a gate, and the norm in front of them or {@code null}. */
    public void gatedWeights(HostTensor weight, HostTensor bias, Device.LayerNorm norm) {
        weights(weight, 2, bias);
        check(weight.shape()[0] % 2 == 0, "%s cannot be halved into value and gate", weight);
        if (norm != null) {
            weights(norm.weight(), 1, norm.bias());
            check(norm.weight().shape()[0] == weight.shape()[1], "a norm of %s for weights of %s", norm.weight(), weight);
        }
    }

    // --- operators --------------------------------------------------------------------------------------------------

    public void linearInto(Tensor x, Device.Linear layer, Tensor target) {
        int[] y = projected(x, layer.inFeatures(), layer.outFeatures());
        check(areActivations(target) && Arrays.equals(target.shape(), y), "%s for a result of %s", target, Arrays.toString(y));
    }

    /** @return the shape of the result */
    public int[] linear(Tensor x, Device.Linear layer, Tensor residual) {
        int[] y = projected(x, layer.inFeatures(), layer.outFeatures());
        check(residual == null || areActivations(residual) && Arrays.equals(residual.shape(), y), "a residual of %s for %s", residual,
                Arrays.toString(y));
        return y;
    }

    /** @return the shape of the result */
    public int[] gatedLinear(Tensor x, Device.GatedLinear layer) {
        return projected(x, layer.inFeatures(), layer.outFeatures());
    }

    private int[] projected(Tensor x, int in, int out) {
        check(areActivations(x) && x.channels() == in, "a linear layer for %s features is given %s", in, x);
        int[] shape = x.shape();
        shape[shape.length - 1] = out;
        return shape;
    }

    /** @return the shape of the result */
    public int[] mixTokens(Tensor x, Device.TokenMixer mixer) {
        check(areActivations(x) && x.rank() == 3 && x.size(1) == mixer.inTokens(), "a mixer of %s tokens is given %s",
                mixer.inTokens(), x);
        return new int[] {x.batch(), mixer.outTokens(), x.channels()};
    }

    /** The input of a convolution whose result is {@code height x width}. */
    public void convolution(Tensor x, Device.Convolution layer, Tensor shift, int height, int width) {
        check(areActivations(x) && x.rank() == 4 && x.channels() == layer.inChannels() && height > 0 && width > 0,
                "a convolution of %s channels is given %s", layer.inChannels(), x);
        check(shift == null || areActivations(shift) && shift.rank() == 2 && (shift.batch() == 1 || shift.batch() == x.batch())
                && shift.channels() == layer.outChannels(), "a shift of %s for %s channels of %s", shift, layer.outChannels(), x);
    }

    /** What is added to a convolution's result {@code y}. */
    public void residual(Tensor residual, Tensor y) {
        check(residual == null || Arrays.equals(residual.shape(), y.shape()) && residual.type() == y.type()
                && residual.isContiguous(), "a residual of %s for %s", residual, y);
    }

    public void groupNorm(Tensor x, Device.Norm layer, int groups) {
        check(areActivations(x) && x.channels() == layer.channels() && groups > 0 && layer.channels() % groups == 0,
                "a group norm of %s channels in %s groups is given %s", layer.channels(), groups, x);
    }

    /** @return the shape of the result */
    public int[] groupStatistics(Tensor x, int groups) {
        check(areActivations(x) && groups > 0 && groups <= MOST_GROUPS && x.batch() <= MOST_GROUPS && x.channels() % groups == 0
                && x.channels() % STATISTICS_CHANNELS == 0, "the statistics of %s groups are asked of %s", groups, x);
        return new int[] {x.batch(), groups, 2};
    }

    public void groupNorm(Tensor x, Device.Norm layer, Tensor statistics) {
        check(areFloats(statistics) && statistics.rank() == 3 && x.channels() == layer.channels()
                && Arrays.equals(statistics.shape(), groupStatistics(x, statistics.size(1))),
                "a group norm of %s channels is given %s and the statistics %s", layer.channels(), x, statistics);
    }

    /** @return the shape of the results */
    public int[] joinedGroupNorm(Tensor a, Tensor b, Device.Norm layer, int groups) {
        check(areActivations(a) && areActivations(b), "cannot join %s and %s", a, b);
        int[] shape = concat(-1, a, b);
        check(a.channels() + b.channels() == layer.channels() && groups > 0 && layer.channels() % groups == 0,
                "a group norm of %s channels in %s groups is given %s and %s", layer.channels(), groups, a, b);
        return shape;
    }

    public void layerNorm(Tensor x, Device.Norm layer) {
        check(areActivations(x) && x.channels() == layer.channels(), "a layer norm of %s channels is given %s", layer.channels(), x);
    }

    public void attention(Tensor query, List<Source> sources, int heads, boolean causal) {
        check(query.type() == type && query.rank() == 3 && heads > 0 && query.channels() % heads == 0, "%s heads for %s", heads, query);
        check(!sources.isEmpty(), "no keys and values for %s", query);
        for (Source source : sources) {
            source(source, query);
        }
        Tensor keys = sources.getFirst().keys();
        check(!causal || sources.size() == 1 && sources.getFirst().isPlain() && keys.size(1) == query.size(1),
                "a causal mask for %s and %s", query, sources);
    }

    private static void source(Source source, Tensor query) {
        Tensor keys = source.keys();
        Tensor rows = source.rows();
        Tensor scales = source.scales();
        check(keys.rank() == 3 && keys.channels() == query.channels() && keys.type() == query.type()
                && Arrays.equals(keys.shape(), source.values().shape()) && source.values().type() == query.type()
                && (rows == null ? keys.batch() == query.batch()
                        : rows.type() == DataType.INT32 && rows.isContiguous() && rows.elements() == query.batch())
                && (scales == null || areFloats(scales) && scales.elements() == query.batch()), "%s for %s", source, query);
    }

    public void upsample2x(Tensor x, int height, int width) {
        check(areActivations(x) && x.rank() == 4 && (height + 1) / 2 == x.size(1) && (width + 1) / 2 == x.size(2),
                "%s cannot be doubled to %s x %s", x, height, width);
    }

    public void add(Tensor a, Tensor b) {
        check(areActivations(a) && areActivations(b) && Arrays.equals(a.shape(), b.shape()), "cannot add %s and %s", a, b);
    }

    /** @return the shape of the result */
    public int[] concat(int axis, Tensor... parts) {
        check(parts.length > 0, "nothing to join");
        Tensor first = parts[0];
        int along = axis < 0 ? axis + first.rank() : axis;
        check(along >= 0 && along < first.rank(), "axis %s of %s", axis, first);
        int[] shape = first.shape();
        shape[along] = 0;
        for (Tensor part : parts) {
            int[] others = part.shape();
            if (others.length == shape.length) {
                others[along] = shape[along];
            }
            check((areActivations(part) || areFloats(part)) && part.type() == first.type() && Arrays.equals(others, shape),
                    "cannot join %s and %s along axis %s", first, part, axis);
            shape[along] = Math.addExact(shape[along], part.size(along));
        }
        return shape;
    }

    public void timestepEmbedding(Tensor timesteps, int channels) {
        check(timesteps.type() == DataType.FLOAT32 && timesteps.isContiguous() && channels > 1, "%s channels for timesteps of %s",
                channels, timesteps);
    }

    /** @return the length of each text */
    public int embed(Device.Table tokens, Device.Table positions, int[][] ids) {
        check(ids.length > 0, "no texts");
        int length = ids[0].length;
        check(length > 0 && length <= positions.rows() && tokens.channels() == positions.channels(),
                "%s tokens, of %s positions at most", length, positions.rows());
        for (int[] row : ids) {
            check(row.length == length, "%s tokens below %s", row.length, length);
            for (int id : row) {
                check(id >= 0 && id < tokens.rows(), "token %s of a vocabulary of %s", id, tokens.rows());
            }
        }
        return length;
    }

    /** @return the shape of the result */
    public int[] toActivations(Tensor... latents) {
        check(latents.length > 0, "no latents");
        int[] shape = latents[0].shape();
        shape[0] = 0;
        for (Tensor part : latents) {
            check(part.type() == DataType.FLOAT32 && part.isContiguous() && part.rank() == shape.length
                    && Arrays.equals(part.shape(), 1, part.rank(), shape, 1, shape.length), "%s below %s", part, latents[0]);
            shape[0] += part.batch();
        }
        return shape;
    }

    public void combine(List<Tensor> targets, Tensor factors, Tensor... terms) {
        check(!targets.isEmpty() && targets.size() <= MOST_TARGETS && terms.length > 0 && terms.length <= MOST_TERMS,
                "%s targets and %s terms, expected 1 to %s and 1 to %s", targets.size(), terms.length, MOST_TARGETS, MOST_TERMS);
        Tensor first = targets.getFirst();
        for (Tensor x : Stream.concat(targets.stream(), Stream.of(terms)).toList()) {
            check(areFloats(x) && Arrays.equals(x.shape(), first.shape()), "%s among targets and terms of %s", x, first);
        }
        check(areFloats(factors) && factors.rank() == 3 && (factors.batch() == 1 || factors.batch() == first.batch())
                && factors.size(1) == targets.size() && factors.size(2) == terms.length, "factors of %s for %s targets and %s terms of %s",
                factors, targets.size(), terms.length, first);
    }

    public void matchDeviation(Tensor target, Tensor reference, Tensor amounts) {
        check(areFloats(target) && areFloats(reference) && Arrays.equals(target.shape(), reference.shape()) && areFloats(amounts)
                && amounts.elements() == target.batch(), "a reference of %s and amounts of %s for %s", reference, amounts, target);
    }

    public void blend(Tensor target, Tensor other, Tensor mask) {
        check(areFloats(target) && target.rank() == 4 && areFloats(other) && Arrays.equals(target.shape(), other.shape()) && areFloats(mask)
                && mask.rank() == 4 && (mask.batch() == 1 || mask.batch() == target.batch()) && mask.size(1) == target.size(1)
                && mask.size(2) == target.size(2) && mask.size(3) == 1, "another of %s and a mask of %s for %s", other, mask, target);
    }

    private static boolean areFloats(Tensor x) {
        return x.type() == DataType.FLOAT32 && x.isContiguous();
    }
}
