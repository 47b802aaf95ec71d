package io.invadapter.engine.vae;

import io.invadapter.engine.nn.Config;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;

/**
 * The structure of a {@link Vae}, from {@code vae/config.json}.
 *
 * @param channels         of each level, the finest first
 * @param layers           ResNet blocks of a level in the encoder; the decoder has one more
 * @param scalingFactor    what latents are multiplied by before the UNet sees them
 * @param middleAttention  whether there is attention at the coarsest level
 * @param quantization     whether a convolution follows the encoder
 * @param postQuantization whether one is in front of the decoder
 * @param forceUpcast      whether its activations overflow float16
 */
public record VaeConfig(int latentChannels, int[] channels, int layers, int groups, double scalingFactor, boolean middleAttention,
        boolean quantization, boolean postQuantization, boolean forceUpcast) {

    public VaeConfig {
        Objects.requireNonNull(channels, "channels");
    }

    /** What may be anything, and why. */
    private static final Map<String, String> HARMLESS = Map.of(
            "sample_size", "where diffusers cuts large pictures into tiles; here the free memory decides, and nobody sees it");

    /**
     * @param notices told of keys that are not known
     * @throws WeightException when the file describes a network that this engine does not compute
     */
    public static VaeConfig of(JsonValue file, Consumer<String> notices) {
        Config config = new Config(file);
        config.only("act_fn", "silu", "swish");
        config.only("in_channels", 3);
        config.only("out_channels", 3);
        config.absent("shift_factor", "latents_mean", "latents_std", "quantization_config");
        config.harmless(HARMLESS.keySet());
        int[] channels = config.integers("block_out_channels", 64);
        config.blocks("down_block_types", channels.length, "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D");
        config.blocks("up_block_types", channels.length, "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D");
        VaeConfig result = new VaeConfig(config.integer("latent_channels", 4), channels, config.integer("layers_per_block", 1),
                config.integer("norm_num_groups", 32), config.number("scaling_factor", 0.18215),
                config.flag("mid_block_add_attention", true), config.flag("use_quant_conv", true), config.flag("use_post_quant_conv", true),
                config.flag("force_upcast", false));
        if (!(result.scalingFactor > 0)) {
            throw new WeightException(config.where() + ": scaling_factor is " + result.scalingFactor + "; expected a positive number");
        }
        config.positive("a number in block_out_channels", channels);
        config.positive("norm_num_groups, latent_channels or layers_per_block", result.groups, result.latentChannels, result.layers);
        for (int c : channels) {
            if (c % result.groups != 0) {
                throw new WeightException(config.where() + ": " + c + " channels cannot be divided into " + result.groups + " groups");
            }
        }
        config.report(notices);
        return result;
    }
}
