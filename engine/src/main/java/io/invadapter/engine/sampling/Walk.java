package io.invadapter.engine.sampling;

import java.util.List;

/**
 * All calls of the network from noise to picture, as numbers. Latents are always in the network's own scale,
 * {@code x = sqrt(alpha) x0 + sqrt(1 - alpha) eps}, whatever the scale in which a sampler was published.
 *
 * @param startScale what unit noise is multiplied by before the first step. Where a picture is the start it is not used:
 *                   {@code x = sqrt(alphaFrom) z0 + sqrt(1 - alphaFrom) noise} with the first step's level
 * @param registers  the latents and what is remembered from step to step
 * @param steps      one or more
 */
public record Walk(double startScale, int registers, List<Step> steps) {
    public Walk {
        steps = List.copyOf(steps);
    }
}
