package io.invadapter.engine.model;

import io.invadapter.weights.JsonValue;
import io.invadapter.weights.WeightException;

/**
 * The structure of a {@link UNet}, from {@code unet/config.json}. Arrays have one entry for each level, the finest first;
 * {@code upAttention} is in the order of the up blocks, the coarsest first.
 *
 * @param sampleSize height and width of the latents the model was trained on
 */
public record UNetConfig(int inChannels, int outChannels, int sampleSize, int[] blockChannels, int[] layersPerBlock,
        boolean[] downAttention, boolean[] upAttention, int[] heads, int[] transformerDepth, int contextChannels, int groups,
        float normEpsilon, boolean flipSinToCos, float frequencyShift) {

    /** @throws WeightException when the file describes a network that this engine does not compute */
    public static UNetConfig of(JsonValue config) {
        Config.require(config, "act_fn", "silu", "swish");
        Config.require(config, "mid_block_type", "UNetMidBlock2DCrossAttn");
        Config.require(config, "only_cross_attention", false);
        Config.require(config, "dual_cross_attention", false);
        Config.require(config, "center_input_sample", false);
        Config.require(config, "resnet_time_scale_shift", "default");
        Config.require(config, "time_embedding_type", "positional");
        Config.require(config, "downsample_padding", 1.0);
        Config.require(config, "conv_in_kernel", 3.0);
        Config.require(config, "conv_out_kernel", 3.0);
        for (String absent : new String[] {"addition_embed_type", "class_embed_type", "num_class_embeds", "encoder_hid_dim",
            "encoder_hid_dim_type", "time_cond_proj_dim", "cross_attention_norm", "reverse_transformer_layers_per_block"}) {
            Config.require(config, absent);
        }
        int[] channels = Config.integers(config, "block_out_channels");
        int levels = channels.length;
        // What diffusers calls attention_head_dim is the number of heads, a name kept for old checkpoints.
        JsonValue heads = config.find("num_attention_heads").or(() -> config.find("attention_head_dim")).orElse(null);
        int[] headCounts = heads == null ? Config.perLevel(JsonValue.of(8L, "attention_head_dim"), levels) : Config.perLevel(heads, levels);
        int[] depth = config.find("transformer_layers_per_block").map(v -> Config.perLevel(v, levels))
                .orElseGet(() -> Config.perLevel(JsonValue.of(1L, "transformer_layers_per_block"), levels));
        UNetConfig result = new UNetConfig(Config.integer(config, "in_channels", 4), Config.integer(config, "out_channels", 4),
                config.find("sample_size").map(v -> v.isList() ? v.asList().getFirst().asInt() : v.asInt()).orElse(64),
                channels, Config.perLevel(config.get("layers_per_block"), levels),
                attention(config.get("down_block_types"), levels, "CrossAttnDownBlock2D", "DownBlock2D"),
                attention(config.get("up_block_types"), levels, "CrossAttnUpBlock2D", "UpBlock2D"), headCounts, depth,
                Config.integer(config, "cross_attention_dim", 768), Config.integer(config, "norm_num_groups", 32),
                Config.number(config, "norm_eps", 1e-5), Config.flag(config, "flip_sin_to_cos", true),
                Config.number(config, "freq_shift", 0));
        Config.positive(config, "a number in block_out_channels", channels);
        Config.positive(config, "a number in layers_per_block", result.layersPerBlock);
        Config.positive(config, "a number of attention heads", headCounts);
        Config.positive(config, "a number in transformer_layers_per_block", depth);
        Config.positive(config, "norm_num_groups", result.groups);
        Config.positive(config, "cross_attention_dim", result.contextChannels);
        Config.positive(config, "in_channels or out_channels", result.inChannels, result.outChannels);
        Config.positive(config, "sample_size", result.sampleSize);
        for (int i = 0; i < levels; i++) {
            if (channels[i] % headCounts[i] != 0 || channels[i] % result.groups != 0) {
                throw new WeightException(config.where() + ": " + channels[i] + " channels cannot be divided into "
                        + headCounts[i] + " heads and " + result.groups + " groups");
            }
        }
        return result;
    }

    private static boolean[] attention(JsonValue types, int levels, String with, String without) {
        boolean[] result = new boolean[levels];
        if (types.asList().size() != levels) {
            throw new WeightException(types.where() + " has " + types.asList().size() + " entries; expected " + levels);
        }
        for (int i = 0; i < levels; i++) {
            String type = types.asList().get(i).asString();
            if (!type.equals(with) && !type.equals(without)) {
                throw new WeightException(types.where() + " names a block '" + type + "'; expected " + with + " or " + without);
            }
            result[i] = type.equals(with);
        }
        return result;
    }

    /** Channels of the time embedding. */
    public int timeChannels() {
        return 4 * blockChannels[0];
    }
}
