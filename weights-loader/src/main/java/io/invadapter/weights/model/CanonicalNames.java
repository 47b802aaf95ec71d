package io.invadapter.weights.model;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The canonical names of a model's tensors - those diffusers gives the UNet and the VAE today, and the text encoder's without
 * {@code text_model.} - for every naming found in the wild. Each method returns the names in the file by canonical name.
 */
final class CanonicalNames {

    private static final Map<String, String> LDM_UNET_RESNET = Map.of("in_layers.0", "norm1", "in_layers.2", "conv1",
            "emb_layers.1", "time_emb_proj", "out_layers.0", "norm2", "out_layers.3", "conv2", "skip_connection", "conv_shortcut");
    private static final Map<String, String> LDM_VAE_RESNET = Map.of("norm1", "norm1", "conv1", "conv1", "norm2", "norm2",
            "conv2", "conv2", "nin_shortcut", "conv_shortcut");
    private static final Map<String, String> LDM_VAE_ATTENTION = Map.of("norm", "group_norm", "q", "to_q", "k", "to_k", "v", "to_v",
            "proj_out", "to_out.0");
    /** The first uploads in the diffusers layout. */
    private static final Map<String, String> OLD_VAE_ATTENTION = Map.of("query", "to_q", "key", "to_k", "value", "to_v",
            "proj_attn", "to_out.0");

    private CanonicalNames() {
    }

    /** A UNet in a folder of its own. */
    static Map<String, String> diffusersUNet(String source, Set<String> names) {
        Renaming renaming = new Renaming(source, names, "");
        renaming.move("", "");
        return renaming.finish();
    }

    /** A VAE in a folder of its own. */
    static Map<String, String> diffusersVae(String source, Set<String> names) {
        Renaming renaming = new Renaming(source, names, "");
        for (String side : new String[] {"encoder", "decoder"}) {
            for (int i = 0; renaming.has(side + ".mid_block.attentions." + i + "."); i++) {
                String attention = side + ".mid_block.attentions." + i + ".";
                renaming.move(attention, attention, OLD_VAE_ATTENTION);
                renaming.move(attention, attention);
            }
        }
        renaming.move("", "");
        return renaming.finish();
    }

    /** A CLIP text encoder, in a folder of its own ({@code prefix} empty) or in a single file. */
    static Map<String, String> textEncoder(String source, Set<String> names, String prefix) {
        Renaming renaming = new Renaming(source, names, prefix);
        for (String start : new String[] {"", "text_model."}) {
            renaming.drop(start + "embeddings.position_ids");
            renaming.drop(start + "text_projection.");
            renaming.drop(start + "logit_scale");
        }
        renaming.move("text_model.", "");
        renaming.move("", "");
        return renaming.finish();
    }

    /**
     * The UNet of a single file. Its blocks are one flat list; a new block begins behind each change of resolution, so the
     * list tells how many layers each block has.
     */
    static Map<String, String> ldmUNet(String source, Set<String> names) {
        Renaming renaming = new Renaming(source, names, SingleFile.UNET);
        renaming.move("time_embed.0.", "time_embedding.linear_1.");
        renaming.move("time_embed.2.", "time_embedding.linear_2.");
        renaming.move("input_blocks.0.0.", "conv_in.");
        renaming.move("out.0.", "conv_norm_out.");
        renaming.move("out.2.", "conv_out.");

        int block = 0;
        int layer = 0;
        for (int i = 1; renaming.has("input_blocks." + i + "."); i++) {
            String input = "input_blocks." + i + ".";
            String down = "down_blocks." + block + ".";
            if (renaming.has(input + "0.op.")) {
                renaming.move(input + "0.op.", down + "downsamplers.0.conv.");
                block++;
                layer = 0;
            } else {
                renaming.move(input + "0.", down + "resnets." + layer + ".", LDM_UNET_RESNET);
                renaming.move(input + "1.", down + "attentions." + layer + ".");
                layer++;
            }
        }

        renaming.move("middle_block.0.", "mid_block.resnets.0.", LDM_UNET_RESNET);
        renaming.move("middle_block.1.", "mid_block.attentions.0.");
        renaming.move("middle_block.2.", "mid_block.resnets.1.", LDM_UNET_RESNET);

        block = 0;
        layer = 0;
        for (int i = 0; renaming.has("output_blocks." + i + "."); i++) {
            String output = "output_blocks." + i + ".";
            String up = "up_blocks." + block + ".";
            // Behind the ResNet block comes an attention, an upsampler, both in this order, or nothing.
            String upsampler = renaming.has(output + "1.conv.") ? "1.conv." : "2.conv.";
            boolean lastLayer = renaming.has(output + upsampler);
            renaming.move(output + "0.", up + "resnets." + layer + ".", LDM_UNET_RESNET);
            renaming.move(output + upsampler, up + "upsamplers.0.conv.");
            renaming.move(output + "1.", up + "attentions." + layer + ".");
            layer = lastLayer ? 0 : layer + 1;
            block = lastLayer ? block + 1 : block;
        }
        return renaming.finish();
    }

    /** The VAE of a single file. Its decoder counts the levels from the finest, diffusers from the coarsest. */
    static Map<String, String> ldmVae(String source, Set<String> names) {
        Renaming renaming = new Renaming(source, names, SingleFile.VAE);
        renaming.drop("loss.");
        renaming.drop("model_ema.");
        renaming.move("quant_conv.", "quant_conv.");
        renaming.move("post_quant_conv.", "post_quant_conv.");
        for (String side : new String[] {"encoder.", "decoder."}) {
            renaming.move(side + "conv_in.", side + "conv_in.");
            renaming.move(side + "norm_out.", side + "conv_norm_out.");
            renaming.move(side + "conv_out.", side + "conv_out.");
            renaming.move(side + "mid.block_1.", side + "mid_block.resnets.0.", LDM_VAE_RESNET);
            renaming.move(side + "mid.block_2.", side + "mid_block.resnets.1.", LDM_VAE_RESNET);
            // Some converters translate everything but the attention's layers.
            for (Map<String, String> layers : List.of(LDM_VAE_ATTENTION, OLD_VAE_ATTENTION)) {
                renaming.move(side + "mid.attn_1.", side + "mid_block.attentions.0.", layers);
            }
            renaming.move(side + "mid.attn_1.", side + "mid_block.attentions.0.");
        }
        for (int level = 0; renaming.has("encoder.down." + level + "."); level++) {
            String down = "encoder.down." + level + ".";
            String canonical = "encoder.down_blocks." + level + ".";
            moveVaeLevel(renaming, down, canonical);
            renaming.move(down + "downsample.conv.", canonical + "downsamplers.0.conv.");
        }
        int levels = 0;
        while (renaming.has("decoder.up." + levels + ".")) {
            levels++;
        }
        for (int level = 0; level < levels; level++) {
            String up = "decoder.up." + level + ".";
            String canonical = "decoder.up_blocks." + (levels - 1 - level) + ".";
            moveVaeLevel(renaming, up, canonical);
            renaming.move(up + "upsample.conv.", canonical + "upsamplers.0.conv.");
        }
        return renaming.finish();
    }

    private static void moveVaeLevel(Renaming renaming, String level, String canonical) {
        for (int layer = 0; renaming.has(level + "block." + layer + "."); layer++) {
            renaming.move(level + "block." + layer + ".", canonical + "resnets." + layer + ".", LDM_VAE_RESNET);
            renaming.move(level + "attn." + layer + ".", canonical + "attentions." + layer + ".", LDM_VAE_ATTENTION);
        }
    }
}
