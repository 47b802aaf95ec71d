package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * What is repainted of pictures, and what is known of them.
 *
 * @param mask  {@code [B, 1, h, w]}: 1 where a picture is repainted, 0 where it is kept
 * @param clean {@code [B, C, h, w]}: the pictures' latents; for a network that is trained for inpainting, the latents of the pictures with
 *              grey (0 of -1 to 1) in place of what is repainted
 * @param noise {@code [B, C, h, w]}: standard normal, that the walk starts from
 */
public record Inpainting(Latents mask, Latents clean, Latents noise) {
    public Inpainting {
        Objects.requireNonNull(mask, "mask");
        Objects.requireNonNull(clean, "clean");
        Objects.requireNonNull(noise, "noise");
    }

    /** Nothing is known of the pictures. @param empty latents of a grey one; @param pictures how many */
    static Inpainting everything(Latents empty, int pictures) {
        float[] ones = new float[pictures * empty.height() * empty.width()];
        Arrays.fill(ones, 1);
        Latents clean = Latents.stack(Collections.nCopies(pictures, empty));
        return new Inpainting(new Latents(ones, pictures, 1, empty.height(), empty.width()), clean, clean.times(0));
    }

    /** All pictures of {@code parts}, which are of one size. */
    public static Inpainting stack(List<Inpainting> parts) {
        return new Inpainting(Latents.stack(parts.stream().map(Inpainting::mask).toList()),
                Latents.stack(parts.stream().map(Inpainting::clean).toList()), Latents.stack(parts.stream().map(Inpainting::noise).toList()));
    }

    /** What a network that is trained for inpainting gets behind the noisy latents: {@code [B, 1 + C, h, w]}, the mask first. */
    public Latents canvas() {
        return Latents.joined(mask, clean);
    }
}
