package io.invadapter.engine.request;

import io.invadapter.engine.unet.Site;

/** Which attention layers take in the identity. */
public enum IdentityLayers {
    BOTH,
    /** Self attention only (the paper's ablation). */
    SELF_ONLY,
    /** Cross attention only (the paper's ablation). */
    CROSS_ONLY;

    public boolean include(Site layer) {
        return switch (this) {
            case BOTH -> true;
            case SELF_ONLY -> !layer.isCross();
            case CROSS_ONLY -> layer.isCross();
        };
    }
}
