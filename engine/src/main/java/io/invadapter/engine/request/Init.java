package io.invadapter.engine.request;

import io.invadapter.base.InvalidRequestException;
import java.awt.image.BufferedImage;
import java.util.Objects;

/**
 * A picture that others are made from.
 *
 * @param picture  scaled to cover the size to be made, and cut at the middle
 * @param mask     of the picture's size: where it is at least half as bright as white the picture is repainted, elsewhere every pixel stays
 *                 as it is; or {@code null} to change all of the picture
 * @param strength how much of the steps' noise it gets, more than 0 to 1: of the steps as many are run. 1 repaints what the mask says from
 *                 noise alone. Not a number: 0.75, or 1 with a mask
 */
public record Init(BufferedImage picture, BufferedImage mask, double strength) {
    private static final double USUAL_STRENGTH = 0.75;

    /** @throws InvalidRequestException when the mask is of another size, or there is no such strength */
    public Init {
        Objects.requireNonNull(picture, "init");
        if (mask != null && (mask.getWidth() != picture.getWidth() || mask.getHeight() != picture.getHeight())) {
            throw new InvalidRequestException("the mask has " + mask.getWidth() + " x " + mask.getHeight() + " pixels, the picture that it is for "
                    + picture.getWidth() + " x " + picture.getHeight() + "; expected the same size");
        }
        if (Double.isNaN(strength)) {
            strength = mask == null ? USUAL_STRENGTH : 1;
        }
        requireStrength(strength);
    }

    static void requireStrength(double strength) {
        if (!(strength > 0 && strength <= 1)) {
            throw new InvalidRequestException("strength must be more than 0 and at most 1, not " + strength);
        }
    }
}
