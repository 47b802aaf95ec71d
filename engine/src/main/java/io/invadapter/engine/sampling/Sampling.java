package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.Influence;
import java.util.List;
import java.util.Objects;

/**
 * Pictures of one size to be sampled, with texts of one length.
 *
 * @param start      a row for each picture: noise times the walk's scale, or {@link Latents#noised} at the level of its first step
 * @param inpainting of all pictures, or {@code null} to make whole ones
 * @param guidance   of each picture
 * @param walk       from there to clean latents
 * @param noise      for a walk that takes some
 * @param influences on the pictures; attention layers look at them in this order
 */
public record Sampling(Latents start, Inpainting inpainting, List<Diffusion.Guidance> guidance, Walk walk, FreshNoise noise,
        List<Influence> influences) {
    public Sampling {
        Objects.requireNonNull(start, "start");
        Objects.requireNonNull(walk, "walk");
        Objects.requireNonNull(noise, "noise");
        guidance = List.copyOf(guidance);
        influences = List.copyOf(influences);
    }

    /** Whole pictures of the model as it is, on a walk without fresh noise. */
    public Sampling(Latents start, List<Diffusion.Guidance> guidance, Walk walk) {
        this(start, null, guidance, walk, FreshNoise.NONE, List.of());
    }

    public Sampling withNoise(FreshNoise fresh) {
        return new Sampling(start, inpainting, guidance, walk, fresh, influences);
    }

    public Sampling withInpainting(Inpainting repainted) {
        return new Sampling(start, repainted, guidance, walk, noise, influences);
    }

    public Sampling withInfluences(Influence... steering) {
        return new Sampling(start, inpainting, guidance, walk, noise, List.of(steering));
    }
}
