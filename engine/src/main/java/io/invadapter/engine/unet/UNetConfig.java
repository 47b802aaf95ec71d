package io.invadapter.engine.unet;

import io.invadapter.engine.nn.Config;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The structure of a {@link UNet}, from {@code unet/config.json}. Arrays have one entry for each level, the finest first;
 * {@code upAttention} is in the order of the up blocks, the coarsest first.
 *
 * @param sampleHeight of the latents the model was trained on
 * @param sampleWidth  of the latents the model was trained on
 * @param guidanceChannels of the {@link GuidanceEmbedding} that the network takes beside the timestep; 0 for none
 */
public record UNetConfig(int inChannels, int outChannels, int sampleHeight, int sampleWidth, int[] blockChannels, int[] layersPerBlock,
        boolean[] downAttention, boolean[] upAttention, int[] heads, int[] transformerDepth, int contextChannels, int groups,
        float normEpsilon, boolean flipSinToCos, float frequencyShift, int guidanceChannels) {

    public UNetConfig {
        Objects.requireNonNull(blockChannels, "blockChannels");
        Objects.requireNonNull(layersPerBlock, "layersPerBlock");
        Objects.requireNonNull(downAttention, "downAttention");
        Objects.requireNonNull(upAttention, "upAttention");
        Objects.requireNonNull(heads, "heads");
        Objects.requireNonNull(transformerDepth, "transformerDepth");
    }

    /** Of a network that takes no guidance. */
    public UNetConfig(int inChannels, int outChannels, int sampleHeight, int sampleWidth, int[] blockChannels, int[] layersPerBlock,
            boolean[] downAttention, boolean[] upAttention, int[] heads, int[] transformerDepth, int contextChannels, int groups,
            float normEpsilon, boolean flipSinToCos, float frequencyShift) {
        this(inChannels, outChannels, sampleHeight, sampleWidth, blockChannels, layersPerBlock, downAttention, upAttention, heads,
                transformerDepth, contextChannels, groups, normEpsilon, flipSinToCos, frequencyShift, 0);
    }

    /** What may be anything, and why. */
    private static final Map<String, String> HARMLESS = Map.ofEntries(
            Map.entry("dropout", "of training only"),
            Map.entry("upcast_attention", "softmax is computed in float32 on every device"),
            Map.entry("use_linear_projection", "shows in the shapes of proj_in and proj_out"),
            Map.entry("mid_block_only_cross_attention", "of UNetMidBlock2DSimpleCrossAttn only"),
            Map.entry("cross_attention_norm", "of the SimpleCrossAttn blocks only"),
            Map.entry("resnet_skip_time_act", "of ResnetDownsampleBlock2D, ResnetUpsampleBlock2D and the SimpleCrossAttn blocks only"),
            Map.entry("resnet_out_scale_factor", "of ResnetDownsampleBlock2D, ResnetUpsampleBlock2D and the SimpleCrossAttn blocks only"),
            Map.entry("addition_embed_type_num_heads", "of an addition_embed_type"),
            Map.entry("addition_time_embed_dim", "of an addition_embed_type"),
            Map.entry("projection_class_embeddings_input_dim", "of a class_embed_type or addition_embed_type"));

    /**
     * @param notices told of keys that are not known
     * @throws WeightException when the file describes a network that this engine does not compute
     */
    public static UNetConfig of(JsonValue file, Consumer<String> notices) {
        Config config = new Config(file);
        config.only("act_fn", "silu", "swish");
        config.only("mid_block_type", "UNetMidBlock2DCrossAttn");
        config.only("mid_block_scale_factor", 1);
        config.only("only_cross_attention", false);
        config.only("dual_cross_attention", false);
        config.only("center_input_sample", false);
        config.only("attention_type", "default");
        config.only("class_embeddings_concat", false);
        config.only("resnet_time_scale_shift", "default");
        config.only("time_embedding_type", "positional");
        config.only("downsample_padding", 1);
        config.only("conv_in_kernel", 3);
        config.only("conv_out_kernel", 3);
        config.absent("addition_embed_type", "class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type",
                "time_embedding_act_fn", "timestep_post_act", "reverse_transformer_layers_per_block",
                // What the heads' number is called is attention_head_dim, a mistake kept for old checkpoints.
                "num_attention_heads", "quantization_config");
        config.harmless(HARMLESS.keySet());

        int[] channels = config.integers("block_out_channels", 320, 640, 1280, 1280);
        config.positive("a number in block_out_channels", channels);
        int levels = channels.length;
        config.optional("time_embedding_dim").filter(dim -> dim.asInt() != 4 * channels[0]).ifPresent(dim -> {
            throw Config.refused(dim, "null or " + 4 * channels[0]);
        });
        int[] sample = config.optional("sample_size").map(size -> size.isList() ? sides(size) : new int[] {size.asInt(), size.asInt()})
                .orElse(new int[] {64, 64});
        Optional<JsonValue> guidance = config.optional("time_cond_proj_dim");
        guidance.filter(size -> size.asInt() < 4 || size.asInt() % 2 != 0 || size.asInt() > 1 << 20).ifPresent(wrong -> {
            throw Config.refused(wrong, "an even number from 4 on");
        });
        UNetConfig result = new UNetConfig(config.integer("in_channels", 4), config.integer("out_channels", 4), sample[0], sample[1],
                channels, config.perLevel("layers_per_block", levels, 2),
                config.blocks("down_block_types", levels, "CrossAttnDownBlock2D", "DownBlock2D",
                        "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                config.blocks("up_block_types", levels, "CrossAttnUpBlock2D", "UpBlock2D",
                        "UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                config.perLevel("attention_head_dim", levels, 8), config.perLevel("transformer_layers_per_block", levels, 1),
                config.sameForAll("cross_attention_dim", 1280), config.integer("norm_num_groups", 32),
                (float) config.number("norm_eps", 1e-5), config.flag("flip_sin_to_cos", true), (float) config.number("freq_shift", 0),
                guidance.map(JsonValue::asInt).orElse(0));
        config.positive("a number in layers_per_block", result.layersPerBlock);
        config.positive("a number of attention heads", result.heads);
        config.positive("a number in transformer_layers_per_block", result.transformerDepth);
        config.positive("norm_num_groups", result.groups);
        config.positive("cross_attention_dim", result.contextChannels);
        config.positive("in_channels or out_channels", result.inChannels, result.outChannels);
        config.positive("sample_size", sample);
        for (int i = 0; i < levels; i++) {
            if (channels[i] % result.heads[i] != 0 || channels[i] % result.groups != 0) {
                throw new WeightException(config.where() + ": " + channels[i] + " channels cannot be divided into "
                        + result.heads[i] + " heads and " + result.groups + " groups");
            }
        }
        config.report(notices);
        return result;
    }

    private static int[] sides(JsonValue size) {
        if (size.asList().size() != 2) {
            throw Config.refused(size, "a number, or [height, width]");
        }
        return size.asList().stream().mapToInt(JsonValue::asInt).toArray();
    }

    /** The shorter side of the latents the model was trained on: that of its square pictures. */
    public int sampleSize() {
        return Math.min(sampleHeight, sampleWidth);
    }

    /**
     * Whether it is trained for inpainting: behind the noisy latents it takes a mask and the latents of the masked picture (Rombach et al.
     * 2022, section 4.5), and not only the noisy latents.
     */
    public boolean inpainting() {
        return inChannels == 2 * outChannels + 1;
    }

    /** Channels of the time embedding. */
    public int timeChannels() {
        return 4 * blockChannels[0];
    }
}
