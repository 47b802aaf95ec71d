package io.invadapter.engine.unet;

import java.util.Objects;

/**
 * An attention layer of the UNet.
 *
 * @param transformer where its transformer stands, as in diffusers: {@code down_blocks.0.attentions.0}
 * @param layer       its block among those of the transformer, from 0
 * @param kind        what it looks at
 */
public record Site(String transformer, int layer, Kind kind) {
    /** What an attention layer looks at. */
    public enum Kind {
        /** The tokens of the picture themselves. */
        SELF("attn1"),
        /** The text. */
        CROSS("attn2");

        private final String module;

        Kind(String module) {
            this.module = module;
        }
    }

    /** A layer that is there. */
    public Site {
        Objects.requireNonNull(transformer, "transformer");
        Objects.requireNonNull(kind, "kind");
    }

    /** Whether it looks at the text. */
    public boolean isCross() {
        return kind == Kind.CROSS;
    }

    /** As weights and files name it, after diffusers: {@code down_blocks.0.attentions.0.transformer_blocks.0.attn1}. */
    public String name() {
        return transformer + ".transformer_blocks." + layer + "." + kind.module;
    }
}
