package io.invadapter.engine.adapter.eaa;

import io.invadapter.engine.sampling.Sampling;
import java.util.Objects;

/** The identities of a request: where their keys and values come from. */
public sealed interface People {
    int count();

    /**
     * Computed step by step from inverted faces.
     *
     * @param faces  on their way beside the pictures, as {@link io.invadapter.engine.sampling.Diffusion#beside} has it; a row each
     * @param keeper gets their keys and values after every step, or {@code null}
     */
    record Inverted(Sampling faces, Keeper keeper) implements People {
        public Inverted {
            Objects.requireNonNull(faces, "faces");
        }

        @Override
        public int count() {
            return faces.start().batch();
        }
    }

    /** Kept from an earlier walk over the same levels. */
    record Stored(int count, Keeper keeper) implements People {
        public Stored {
            Objects.requireNonNull(keeper, "keeper");
        }
    }

    /** Called around the steps with the features of all identities. */
    interface Keeper {
        /** {@link Inverted}: after step number {@code step}, reads the features. {@link Stored}: before it, fills them. */
        void exchange(int step, IdentityFeatures features);
    }
}
