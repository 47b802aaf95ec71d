package io.invadapter.kernels;

import java.util.List;
import java.util.Objects;

/**
 * The operators a diffusion model is made of. Activations are {@code [B, H, W, C]} or {@code [B, L, C]} in the device's
 * {@link Device#precision()} unless an operator says otherwise. Norms, softmax and sums are computed in float32 whatever the precision.
 *
 * <p>An operator returns a new tensor of the current {@link Scope}, or says what it writes over. Arguments of the wrong shape are an
 * {@link IllegalArgumentException}; a device that fails throws a {@link DeviceException}.
 */
public interface Operators {

    /** Packed weights of {@code y = x W^T + b}. */
    interface Linear {
        int inFeatures();

        int outFeatures();
    }

    /** Packed weights of the gated feed-forward's first half, {@code value * gelu(gate)}, with the layer norm in front of it. */
    interface GatedLinear {
        int inFeatures();

        int outFeatures();
    }

    /** A matrix that mixes tokens: the adapter's aggregation. */
    interface TokenMixer {
        int inTokens();

        int outTokens();
    }

    /** Packed weights of a convolution. */
    interface Convolution {
        int inChannels();

        int outChannels();

        int kernelHeight();

        int kernelWidth();
    }

    /** Scale and shift of a norm. */
    interface Norm {
        int channels();
    }

    /**
     * A layer norm over the input of a layer, handed over with the layer's weights so that a device may do both at once.
     *
     * @param weight  scale {@code [C]}
     * @param bias    shift {@code [C]}
     * @param epsilon added to the variance
     */
    record LayerNorm(HostTensor weight, HostTensor bias, float epsilon) {
        public LayerNorm {
            Objects.requireNonNull(weight, "weight");
            Objects.requireNonNull(bias, "bias");
        }
    }

    /** A table of vectors. */
    interface Table {
        int rows();

        int channels();
    }

    /** Zeros around a picture before a convolution. */
    record Padding(int top, int left, int bottom, int right) {
        public static final Padding NONE = new Padding(0, 0, 0, 0);

        public static Padding same(int all) {
            return new Padding(all, all, all, all);
        }
    }

    /** A map and its group norm, of one shape. */
    record Joined(Tensor map, Tensor normed) {
    }

    /** {@code activation(x W^T + b) + residual}; {@code x [.., in]}, {@code residual [.., out]} or {@code null}. */
    Tensor linear(Tensor x, Linear weights, Device.Activation activation, Tensor residual);

    /**
     * {@code x W^T + b} over what {@code target [.., out]} holds, which may be rows of a larger tensor but not {@code x}: for a
     * result that outlives every scope. Takes no memory.
     */
    void linearInto(Tensor x, Linear weights, Tensor target);

    /** {@code (n Wv^T + bv) * gelu(n Wg^T + bg)}, with the exact (erf) GELU; {@code n} is {@code x} or its layer norm. */
    Tensor gatedLinear(Tensor x, GatedLinear weights);

    /** {@code A x} along the token axis: {@code A [L', L]}, {@code x [B, L, D]}, result {@code [B, L', D]}. */
    Tensor mixTokens(Tensor x, TokenMixer a);

    /**
     * Convolution of {@code x [B, H, W, in]}.
     *
     * @param shift    {@code [1 or B, out]}, added to every position (the time embedding), or {@code null}
     * @param residual of the result's shape, added to it, or {@code null}
     */
    Tensor conv2d(Tensor x, Convolution weights, Tensor shift, Tensor residual);

    /** Group norm of {@code x [B, .., C]} over positions and the channels of a group, then SiLU when asked for. */
    Tensor groupNorm(Tensor x, Norm weights, int groups, float epsilon, boolean silu);

    /**
     * What {@link #groupNorm} needs to know of a map: statistics of parts of it can be put together to those of the whole.
     *
     * @param x {@code [B, .., C]}, C a multiple of 8 and B and {@code groups} up to 64
     * @return float32 {@code [B, groups, 2]}: mean and {@code 1 / sqrt(variance + epsilon)} of each group
     */
    Tensor groupStatistics(Tensor x, int groups, float epsilon);

    /** {@link #groupNorm} of a map whose statistics, as {@link #groupStatistics} gives them and with its limits, may be another's. */
    Tensor groupNorm(Tensor x, Norm weights, Tensor statistics, boolean silu);

    /** {@link #concat} of the channels of two maps, and {@link #groupNorm} of that. */
    default Joined joinedGroupNorm(Tensor a, Tensor b, Norm weights, int groups, float epsilon, boolean silu) {
        Tensor map = concat(-1, a, b);
        return new Joined(map, groupNorm(map, weights, groups, epsilon, silu));
    }

    /** Layer norm over the last axis. */
    Tensor layerNorm(Tensor x, Norm weights, float epsilon);

    /**
     * For each head the sum over all sources of {@code scale_row * softmax(Q K_s^T / sqrt(D / heads)) V_s}: each softmax is
     * normalised by itself (Inv-Adapter, equations 2 to 5; IP-Adapter, Ye et al. 2023, equation 5).
     *
     * @param query   {@code [B, L, D]}; may be a {@link Tensor#columns} view
     * @param sources one or more, of any lengths
     * @param causal  token i sees tokens up to i only; then one source, {@link Source#isPlain plain} and of L keys
     * @return {@code [B, L, D]}
     */
    Tensor attention(Tensor query, List<Source> sources, int heads, boolean causal);

    /**
     * Each pixel of {@code x [B, H, W, C]} four times, cut to {@code [B, height, width, C]}: 2H or 2H - 1 rows, 2W or
     * 2W - 1 columns (the way back from a halved odd size).
     */
    Tensor upsample2x(Tensor x, int height, int width);

    /** {@code a + b}, of one shape. */
    Tensor add(Tensor a, Tensor b);

    /**
     * One or more tensors side by side: of one shape but for their extents along {@code axis}, which add up. All in the device's
     * type, or all in float32.
     *
     * @param axis 0 for rows, -1 for channels; negative ones count from the last
     */
    Tensor concat(int axis, Tensor... parts);

    /**
     * Sinusoidal embedding of timesteps (Ho et al. 2020, as in diffusers).
     *
     * @param timesteps float32 {@code [N]}
     * @return {@code [N, channels]}
     */
    Tensor timestepEmbedding(Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift);

    /** {@code tokens[ids] + positions[0..L)}: {@code [ids.length, L, C]}; all rows have the same length. */
    Tensor embed(Table tokens, Table positions, int[][] ids);

    /** Latents, float32 {@code [B, H, W, C]} each, below one another as activations: {@code [B1 + B2 + .., H, W, C]}. */
    Tensor toActivations(Tensor... latents);

    /**
     * One step of any sampler that is linear in what it knows: {@code target_i[b] = sum_j factors[b, i, j] term_j[b]}, added up in
     * float32 in the order of the terms. All terms of an element are read before any target of it is written, so that targets may
     * be among the terms. A term whose factor is exactly 0 is left out, and may hold anything.
     *
     * @param targets float32 {@code [B, H, W, C]} each, 1 to 8 different ones
     * @param factors float32 {@code [1 or B, targets, terms]}; 1: the same for all of the batch
     * @param terms   float32 {@code [B, H, W, C]} each, 1 to 16
     */
    void combine(List<Tensor> targets, Tensor factors, Tensor... terms);

    /**
     * Guidance rescale (Lin et al. 2023, equations 15 and 16), in place: {@code target[b] *= amount_b s(reference[b]) / s(target[b]) + 1 -
     * amount_b}, where s is the standard deviation of all values of a row. A row whose amount is exactly 0 stays as it is.
     *
     * @param target    float32 {@code [B, H, W, C]}: the guided prediction
     * @param reference float32 {@code [B, H, W, C]}, other memory: that of the prompts
     * @param amounts   float32 {@code [B]}: 0 for none to 1
     */
    void matchDeviation(Tensor target, Tensor reference, Tensor amounts);

    /**
     * Inpainting, in place: {@code target = mask target + (1 - mask) other}. Where the mask is exactly 1 the target keeps its bits, where it is
     * exactly 0 it gets those of the other.
     *
     * @param target float32 {@code [B, H, W, C]}
     * @param other  float32 {@code [B, H, W, C]}, other memory
     * @param mask   float32 {@code [1 or B, H, W, 1]}, 0 to 1; 1: the same for all of the batch
     */
    void blend(Tensor target, Tensor other, Tensor mask);
}
