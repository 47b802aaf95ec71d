package io.invadapter.engine.sampling;

import java.util.Objects;

/**
 * One call of the network and what becomes of the latents and of what a sampler remembers.
 *
 * @param timestep  for the network; a fraction where the sampler calls between training timesteps
 * @param alphaFrom alpha-bar of register 0, the latents, as the network gets them
 * @param alphaTo   alpha-bar of register 0 afterwards
 * @param move      {@code [registers, registers + 2]}: each register afterwards is this sum of the registers before, of what the
 *                  network predicted (with guidance, as the network means it: noise, velocity or picture) and of fresh standard normal
 *                  noise, in this order. A factor of exactly 0 leaves its term out: what has not been remembered yet is undefined
 * @param noise     whether any factor of the noise is not 0
 */
public record Step(double timestep, double alphaFrom, double alphaTo, double[][] move, boolean noise) {
    public Step {
        Objects.requireNonNull(move, "move");
    }

    /** Whether the latents are at another level afterwards; a call that only corrects what the last one did leaves them at theirs. */
    public boolean moves() {
        // Levels that are the same by a formula differ in the last bits.
        return Math.abs(alphaTo - alphaFrom) > 1e-12;
    }
}
