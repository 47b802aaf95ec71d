package io.invadapter.engine.request;

import io.invadapter.engine.Latents;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Objects;

/**
 * What was made.
 *
 * @param images   in the order of their seeds
 * @param latents  of each picture, scaled as the UNet leaves them
 * @param warnings one sentence each, e.g. what was cut from a prompt
 */
public record GenerationResult(List<BufferedImage> images, List<Latents> latents, List<String> warnings) {

    /** Copies the lists. */
    public GenerationResult {
        images = List.copyOf(Objects.requireNonNull(images, "images"));
        latents = List.copyOf(Objects.requireNonNull(latents, "latents"));
        warnings = List.copyOf(Objects.requireNonNull(warnings, "warnings"));
    }
}
