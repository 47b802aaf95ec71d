package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Set;

/**
 * The names of diffusers, each part in a folder of its own. Those of today are the canonical ones. As in all namings here, a method
 * returns the names in the file by canonical name.
 */
public final class DiffusersNames {

    /** The first uploads in the diffusers layout. */
    static final Map<String, String> OLD_VAE_ATTENTION = Map.of("query", "to_q", "key", "to_k", "value", "to_v",
            "proj_attn", "to_out.0");

    private DiffusersNames() {
    }

    public static Map<String, String> unet(String source, Set<String> names) {
        Renaming renaming = new Renaming(source, names, "");
        renaming.move("", "");
        return renaming.finish();
    }

    public static Map<String, String> vae(String source, Set<String> names) {
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
}
