package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Set;

/** The canonical names of a UNet's tensors in a file of the original latent-diffusion code. */
public final class OriginalUNetBlocks {

    /** The layers of a ResNet block. */
    static final Map<String, String> RESNET = Map.of("in_layers.0", "norm1", "in_layers.2", "conv1",
            "emb_layers.1", "time_emb_proj", "out_layers.0", "norm2", "out_layers.3", "conv2", "skip_connection", "conv_shortcut");

    private OriginalUNetBlocks() {
    }

    /**
     * The names in the file by canonical name. The blocks are one flat list; a new block begins behind each change of resolution, so the
     * list tells how many layers each block has.
     */
    public static Map<String, String> of(String source, Set<String> names, String prefix) {
        Renaming renaming = new Renaming(source, names, prefix);
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
                renaming.move(input + "0.", down + "resnets." + layer + ".", RESNET);
                renaming.move(input + "1.", down + "attentions." + layer + ".");
                layer++;
            }
        }

        renaming.move("middle_block.0.", "mid_block.resnets.0.", RESNET);
        renaming.move("middle_block.1.", "mid_block.attentions.0.");
        renaming.move("middle_block.2.", "mid_block.resnets.1.", RESNET);

        block = 0;
        layer = 0;
        for (int i = 0; renaming.has("output_blocks." + i + "."); i++) {
            String output = "output_blocks." + i + ".";
            String up = "up_blocks." + block + ".";
            // Behind the ResNet block comes an attention, an upsampler, both in this order, or nothing.
            String upsampler = renaming.has(output + "1.conv.") ? "1.conv." : "2.conv.";
            boolean lastLayer = renaming.has(output + upsampler);
            renaming.move(output + "0.", up + "resnets." + layer + ".", RESNET);
            renaming.move(output + upsampler, up + "upsamplers.0.conv.");
            renaming.move(output + "1.", up + "attentions." + layer + ".");
            layer = lastLayer ? 0 : layer + 1;
            block = lastLayer ? block + 1 : block;
        }
        return renaming.finish();
    }
}
