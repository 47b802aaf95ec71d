package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import io.invadapter.engine.picture.Mask;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.engine.vae.Vae;
import java.awt.image.BufferedImage;

/**
 * A picture that others are made from (SDEdit, Meng et al. 2022), all of it or what a mask says, as diffusers' Stable Diffusion pipelines
 * for picture to picture and for inpainting do.
 */
public final class Original {
    private final BufferedImage picture;
    private final Mask mask;
    private final boolean fromNoise;
    /** Of the picture; {@code null} where nobody needs them. */
    private final Latents latents;
    private final Latents latentMask;
    /** Of what {@link Inpainting#clean} is. */
    private final Latents known;

    /**
     * Encodes it.
     *
     * @param picture  of the size to be made
     * @param mask     of that size, or {@code null} to change all of the picture
     * @param strength 1 lets what is repainted begin as noise alone
     */
    public Original(BufferedImage picture, Mask mask, double strength, UNet unet, Vae vae) {
        this.picture = picture;
        this.mask = mask;
        fromNoise = mask != null && strength == 1;
        boolean trained = unet.config().inpainting();
        float[] pixels = PictureLatents.toModel(picture);
        latents = fromNoise && trained ? null : PictureLatents.encode(pixels, picture.getHeight(), picture.getWidth(), vae);
        latentMask = mask == null ? null : mask.ofLatents(vae.factor());
        known = mask != null && trained ? PictureLatents.encode(mask.hide(pixels), picture.getHeight(), picture.getWidth(), vae) : latents;
    }

    /** What a walk begins with. @param noise standard normal, as {@link #inpainting} is given */
    public Latents start(Latents noise, Walk walk) {
        return fromNoise ? noise.times(walk.startScale()) : latents.noised(noise, walk.steps().getFirst().alphaFrom());
    }

    /** {@code null} where all of the picture is changed. */
    public Inpainting inpainting(Latents noise) {
        return mask == null ? null : new Inpainting(latentMask, known, noise);
    }

    /** The finished picture: outside of the mask every pixel is the original's. */
    public BufferedImage finish(BufferedImage painted) {
        return mask == null ? painted : mask.keep(picture, painted);
    }
}
