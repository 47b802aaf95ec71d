package io.invadapter.engine.request;

/** Which rows of classifier-free guidance take in the identity. */
public enum IdentityRows {
    /** The prompt's row: guidance then amplifies the identity. */
    PROMPT,
    /** The negative row too: guidance cancels part of the identity. */
    BOTH
}
