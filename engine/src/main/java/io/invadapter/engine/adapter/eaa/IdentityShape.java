package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.adapter.Influence;
import io.invadapter.engine.adapter.InfluencePlan;
import io.invadapter.engine.request.IdentityLayers;
import java.util.List;

/**
 * What decides which operators take identities into pictures.
 *
 * @param count      of the identities
 * @param height     of their latents
 * @param width      of their latents
 * @param tokens     of each caption; 0 where there are none
 * @param keep       whether keys and values are wanted in {@link IdentityFeatures} after each step, or come from there
 * @param customised whether the identities go into each part of the pictures
 */
record IdentityShape(EmbeddedAttentionAdapter adapter, int count, int height, int width, int tokens, Origin origin, boolean keep,
        IdentityLayers layers, List<Boolean> customised) implements Influence.Shape {

    /** Where the identities' keys and values come from. */
    enum Origin {
        /** From rows of their own in the pictures' batch, of which there is one part of their size with texts as long as the captions. */
        TOGETHER,
        /** From a pass of their own, all together, before that of the pictures. */
        APART,
        /** From a pass of its own for each. */
        ONE_BY_ONE,
        /** From {@link IdentityFeatures}, filled before each step. */
        STORED
    }

    @Override
    public int ownRows() {
        return origin == Origin.APART || origin == Origin.ONE_BY_ONE ? count : 0;
    }

    @Override
    public int guestRows() {
        return origin == Origin.TOGETHER ? count : 0;
    }

    /** Identities that go through the network in one of their own passes. */
    int rowsOfAPass() {
        return origin == Origin.ONE_BY_ONE ? 1 : count;
    }

    @Override
    public InfluencePlan plan(Influence.Place place) {
        return new IdentityPlan(this, place);
    }
}
