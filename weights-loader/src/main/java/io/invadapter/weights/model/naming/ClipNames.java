package io.invadapter.weights.model.naming;

import java.util.Map;
import java.util.Set;

/** The names of transformers' CLIP text encoder; canonical without {@code text_model.}. */
public final class ClipNames {

    private ClipNames() {
    }

    /** A CLIP text encoder, in a folder of its own ({@code prefix} empty) or in a single file. */
    public static Map<String, String> textEncoder(String source, Set<String> names, String prefix) {
        Renaming renaming = new Renaming(source, names, prefix);
        for (String start : new String[] {"", "text_model."}) {
            renaming.drop(start + "embeddings.position_ids");
            renaming.drop(start + "logit_scale");
        }
        renaming.move("text_model.", "");
        renaming.move("", "");
        return renaming.finish();
    }
}
