package io.invadapter.engine.request;

import io.invadapter.engine.Latents;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Objects;

/**
 * A face turned into noise and back.
 *
 * @param face           as the model saw it
 * @param reconstruction what the noise becomes again
 * @param noise          the inverted latents
 * @param error          ||reconstructed - original|| / ||original||, in latents
 * @param warnings       one sentence each, e.g. what was cut from the caption
 */
public record InversionResult(BufferedImage face, BufferedImage reconstruction, Latents noise, double error,
        List<String> warnings) {

    /** Copies the list. */
    public InversionResult {
        Objects.requireNonNull(face, "face");
        Objects.requireNonNull(reconstruction, "reconstruction");
        Objects.requireNonNull(noise, "noise");
        warnings = List.copyOf(Objects.requireNonNull(warnings, "warnings"));
    }
}
