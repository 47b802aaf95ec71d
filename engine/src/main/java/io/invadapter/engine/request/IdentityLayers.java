package io.invadapter.engine.request;

/** Which attention layers take in the identity. */
public enum IdentityLayers {
    BOTH,
    /** Self attention only (the paper's ablation). */
    SELF_ONLY,
    /** Cross attention only (the paper's ablation). */
    CROSS_ONLY;

    public boolean include(String layer) {
        return switch (this) {
            case BOTH -> true;
            case SELF_ONLY -> layer.endsWith(".attn1");
            case CROSS_ONLY -> layer.endsWith(".attn2");
        };
    }
}
