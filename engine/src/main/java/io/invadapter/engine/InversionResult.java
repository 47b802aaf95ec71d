package io.invadapter.engine;

import io.invadapter.engine.model.Latents;
import java.awt.image.BufferedImage;
import java.util.Objects;

/**
 * A face turned into noise and back.
 *
 * @param face           as the model saw it
 * @param reconstruction what the noise becomes again
 * @param noise          the inverted latents
 * @param error          ||reconstructed - original|| / ||original||, in latents
 */
public record InversionResult(BufferedImage face, BufferedImage reconstruction, Latents noise, double error) {

    public InversionResult {
        Objects.requireNonNull(face, "face");
        Objects.requireNonNull(reconstruction, "reconstruction");
        Objects.requireNonNull(noise, "noise");
    }
}
