package io.invadapter.engine;

import io.invadapter.engine.model.Latents;
import java.awt.image.BufferedImage;
import java.util.List;

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
        images = List.copyOf(images);
        latents = List.copyOf(latents);
        warnings = List.copyOf(warnings);
    }
}
