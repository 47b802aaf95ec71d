package io.invadapter.weights.model.naming;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The names of OpenCLIP's text encoder, which Stable Diffusion 2.x is trained with. Queries, keys and values are one tensor there, on
 * top of each other in this order.
 */
public final class OpenClipNames {

    private static final String BLOCK = "transformer.resblocks.";
    private static final Map<String, String> LAYERS = Map.of("ln_1", "layer_norm1", "ln_2", "layer_norm2", "attn.out_proj", "self_attn.out_proj",
            "mlp.c_fc", "mlp.fc1", "mlp.c_proj", "mlp.fc2");

    private OpenClipNames() {
    }

    /** How many transformer blocks there are. */
    public static int blocks(Set<String> names, String prefix) {
        int count = 0;
        while (names.contains(prefix + BLOCK + count + ".ln_1.weight")) {
            count++;
        }
        return count;
    }

    /**
     * The names in the file by canonical name.
     *
     * @param used blocks whose states are read; those behind them, and the projection of what the last of them writes, are left out
     */
    public static Map<String, String> textEncoder(String source, Set<String> names, String prefix, int used) {
        Renaming renaming = new Renaming(source, names, prefix);
        for (String unused : List.of("attn_mask", "logit_scale", "text_projection")) {
            renaming.drop(unused);
        }
        for (int block = used; block < blocks(names, prefix); block++) {
            renaming.drop(BLOCK + block + ".");
        }
        renaming.move("token_embedding.", "embeddings.token_embedding.");
        renaming.move("positional_embedding", "embeddings.position_embedding.weight");
        renaming.move("ln_final.", "final_layer_norm.");
        for (int block = 0; block < used; block++) {
            String original = BLOCK + block + ".";
            String canonical = "encoder.layers." + block + ".";
            renaming.move(original, canonical, LAYERS);
            for (String end : List.of("weight", "bias")) {
                renaming.split(original + "attn.in_proj_" + end,
                        Stream.of("q", "k", "v").map(name -> canonical + "self_attn." + name + "_proj." + end).toList());
            }
        }
        return renaming.finish();
    }
}
