package io.invadapter.weights.model;

import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.JsonValue;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * The configuration of a single file's parts, in the keys of diffusers and transformers. Sizes come from the shapes, the
 * structure from the names; what neither can tell is Stable Diffusion 1.x's own.
 */
final class InferredConfig {

    private final WeightSource part;
    private final NavigableSet<String> names;

    private InferredConfig(WeightSource part) {
        this.part = part;
        this.names = new TreeSet<>(part.names());
    }

    /** @param unet under canonical names, as all parts here */
    static JsonValue unet(WeightSource unet) {
        InferredConfig shapes = new InferredConfig(unet);
        int blocks = shapes.count("down_blocks.");
        int layers = shapes.count("down_blocks.0.resnets.");
        shapes.require(blocks > 0 && layers > 0, "has no down blocks");
        shapes.require(shapes.count("up_blocks.") == blocks, "has " + blocks + " down blocks but " + shapes.count("up_blocks.") + " up blocks");
        List<Long> channels = new ArrayList<>();
        List<String> downTypes = new ArrayList<>();
        List<String> upTypes = new ArrayList<>();
        for (int block = 0; block < blocks; block++) {
            channels.add(shapes.size("down_blocks." + block + ".resnets.0.conv1.weight", 4, 0));
            downTypes.add(shapes.hasAttention("down_blocks." + block, layers) ? "CrossAttnDownBlock2D" : "DownBlock2D");
            upTypes.add(shapes.hasAttention("up_blocks." + block, layers + 1) ? "CrossAttnUpBlock2D" : "UpBlock2D");
        }
        String attention = "mid_block.attentions.0.";
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("_class_name", "UNet2DConditionModel");
        config.put("act_fn", "silu");
        // By diffusers' definition this is the number of heads, not their size.
        config.put("attention_head_dim", 8);
        config.put("block_out_channels", channels);
        config.put("center_input_sample", false);
        config.put("cross_attention_dim", shapes.size(attention + "transformer_blocks.0.attn2.to_k.weight", 2, 1));
        config.put("down_block_types", downTypes);
        config.put("downsample_padding", 1);
        config.put("flip_sin_to_cos", true);
        config.put("freq_shift", 0);
        config.put("in_channels", shapes.size("conv_in.weight", 4, 1));
        config.put("layers_per_block", layers);
        config.put("mid_block_scale_factor", 1);
        config.put("mid_block_type", "UNetMidBlock2DCrossAttn");
        config.put("norm_eps", 1e-5);
        config.put("norm_num_groups", 32);
        config.put("out_channels", shapes.size("conv_out.weight", 4, 0));
        config.put("sample_size", 64);
        config.put("transformer_layers_per_block", shapes.count(attention + "transformer_blocks."));
        config.put("up_block_types", upTypes);
        config.put("use_linear_projection", unet.tensor(attention + "proj_in.weight").shape().length == 2);
        return JsonValue.of(config, unet.description());
    }

    static JsonValue vae(WeightSource vae) {
        InferredConfig shapes = new InferredConfig(vae);
        int blocks = shapes.count("encoder.down_blocks.");
        int layers = shapes.count("encoder.down_blocks.0.resnets.");
        shapes.require(blocks > 0 && layers > 0, "has no down blocks");
        shapes.require(shapes.count("decoder.up_blocks.") == blocks,
                "has " + blocks + " down blocks but " + shapes.count("decoder.up_blocks.") + " up blocks");
        List<Long> channels = new ArrayList<>();
        List<String> downTypes = new ArrayList<>();
        List<String> upTypes = new ArrayList<>();
        for (int block = 0; block < blocks; block++) {
            downTypes.add(shapes.has("encoder.down_blocks." + block + ".attentions.") ? "AttnDownEncoderBlock2D" : "DownEncoderBlock2D");
            upTypes.add(shapes.has("decoder.up_blocks." + block + ".attentions.") ? "AttnUpDecoderBlock2D" : "UpDecoderBlock2D");
            channels.add(shapes.size("encoder.down_blocks." + block + ".resnets.0.conv1.weight", 4, 0));
            shapes.requireLayers("encoder.down_blocks." + block, layers);
            shapes.requireLayers("decoder.up_blocks." + block, layers + 1);
        }
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("_class_name", "AutoencoderKL");
        config.put("act_fn", "silu");
        config.put("block_out_channels", channels);
        config.put("down_block_types", downTypes);
        config.put("in_channels", shapes.size("encoder.conv_in.weight", 4, 1));
        config.put("latent_channels", shapes.size("decoder.conv_in.weight", 4, 1));
        config.put("layers_per_block", layers);
        config.put("mid_block_add_attention", vae.contains("decoder.mid_block.attentions.0.to_q.weight"));
        config.put("norm_num_groups", 32);
        config.put("out_channels", shapes.size("decoder.conv_out.weight", 4, 0));
        config.put("sample_size", 512);
        config.put("scaling_factor", 0.18215);
        config.put("up_block_types", upTypes);
        config.put("use_post_quant_conv", vae.contains("post_quant_conv.weight"));
        config.put("use_quant_conv", vae.contains("quant_conv.weight"));
        return JsonValue.of(config, vae.description());
    }

    static JsonValue textEncoder(WeightSource textEncoder) {
        InferredConfig shapes = new InferredConfig(textEncoder);
        int layers = shapes.count("encoder.layers.");
        shapes.require(layers > 0, "has no layers");
        long hidden = shapes.size("embeddings.token_embedding.weight", 2, 1);
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("architectures", List.of("CLIPTextModel"));
        config.put("bos_token_id", 49406);
        config.put("eos_token_id", 49407);
        config.put("hidden_act", "quick_gelu");
        config.put("hidden_size", hidden);
        config.put("intermediate_size", shapes.size("encoder.layers.0.mlp.fc1.weight", 2, 0));
        config.put("layer_norm_eps", 1e-5);
        config.put("max_position_embeddings", shapes.size("embeddings.position_embedding.weight", 2, 0));
        config.put("model_type", "clip_text_model");
        // Every CLIP has heads of size 64.
        config.put("num_attention_heads", Math.max(1, hidden / 64));
        config.put("num_hidden_layers", layers);
        config.put("pad_token_id", 49407);
        config.put("vocab_size", shapes.size("embeddings.token_embedding.weight", 2, 0));
        return JsonValue.of(config, textEncoder.description());
    }

    /** @param prediction what the network predicts, which is all that the file says about the scheduler */
    static JsonValue scheduler(String description, String prediction) {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("_class_name", "DDIMScheduler");
        config.put("beta_end", 0.012);
        config.put("beta_schedule", "scaled_linear");
        config.put("beta_start", 0.00085);
        config.put("clip_sample", false);
        config.put("num_train_timesteps", 1000);
        config.put("prediction_type", prediction);
        config.put("set_alpha_to_one", false);
        config.put("steps_offset", 1);
        config.put("timestep_spacing", "leading");
        config.put("trained_betas", null);
        return JsonValue.of(config, description);
    }

    /** How many of prefix0., prefix1., … there are. */
    private int count(String prefix) {
        int count = 0;
        while (has(prefix + count + ".")) {
            count++;
        }
        return count;
    }

    private boolean has(String prefix) {
        String next = names.ceiling(prefix);
        return next != null && next.startsWith(prefix);
    }

    private long size(String name, int dimensions, int dimension) {
        long[] shape = part.tensor(name).shape();
        require(shape.length == dimensions, "has the tensor '" + name + "' of shape " + Shapes.text(shape) + " where " + dimensions
                + " dimensions are expected");
        return shape[dimension];
    }

    private boolean hasAttention(String block, int layers) {
        requireLayers(block, layers);
        int attentions = count(block + ".attentions.");
        require(attentions == 0 || attentions == layers, "has " + attentions + " attentions in " + block + " where none or " + layers
                + " are expected");
        int depth = count("mid_block.attentions.0.transformer_blocks.");
        for (int layer = 0; layer < attentions; layer++) {
            int found = count(block + ".attentions." + layer + ".transformer_blocks.");
            require(found == depth, "has " + found + " transformer blocks in " + block + " but " + depth + " in the middle");
        }
        return attentions > 0;
    }

    private void requireLayers(String block, int layers) {
        int found = count(block + ".resnets.");
        require(found == layers, "has " + found + " ResNet blocks in " + block + " where " + layers + " are expected");
    }

    private void require(boolean condition, String problem) {
        if (!condition) {
            throw new WeightException(part.description() + " " + problem);
        }
    }
}
