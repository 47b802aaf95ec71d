package io.invadapter.weights.model.naming;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** What the original latent-diffusion code calls the layers of a VAE. */
public final class OriginalVaeNames {

    private static final Map<String, String> RESNET = Map.of("norm1", "norm1", "conv1", "conv1", "norm2", "norm2",
            "conv2", "conv2", "nin_shortcut", "conv_shortcut");
    private static final Map<String, String> ATTENTION = Map.of("norm", "group_norm", "q", "to_q", "k", "to_k", "v", "to_v",
            "proj_out", "to_out.0");

    private OriginalVaeNames() {
    }

    /** Of a file. The decoder counts the levels from the finest, diffusers from the coarsest. */
    public static Map<String, String> of(String source, Set<String> names, String prefix) {
        Renaming renaming = new Renaming(source, names, prefix);
        renaming.drop("loss.");
        renaming.drop("model_ema.");
        renaming.move("quant_conv.", "quant_conv.");
        renaming.move("post_quant_conv.", "post_quant_conv.");
        for (String side : new String[] {"encoder.", "decoder."}) {
            renaming.move(side + "conv_in.", side + "conv_in.");
            renaming.move(side + "norm_out.", side + "conv_norm_out.");
            renaming.move(side + "conv_out.", side + "conv_out.");
            renaming.move(side + "mid.block_1.", side + "mid_block.resnets.0.", RESNET);
            renaming.move(side + "mid.block_2.", side + "mid_block.resnets.1.", RESNET);
            // Some converters translate everything but the attention's layers.
            for (Map<String, String> layers : List.of(ATTENTION, DiffusersNames.OLD_VAE_ATTENTION)) {
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
            renaming.move(level + "block." + layer + ".", canonical + "resnets." + layer + ".", RESNET);
            renaming.move(level + "attn." + layer + ".", canonical + "attentions." + layer + ".", ATTENTION);
        }
    }
}
