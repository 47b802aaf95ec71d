package io.invadapter.engine.request;

import io.invadapter.base.InvalidRequestException;
import java.nio.file.Path;
import java.util.Objects;

/**
 * A LoRA and how much of it.
 *
 * @param file             in whichever naming; or the folder that PEFT or diffusers saved it into
 * @param textEncoderScale 1: as it was trained, 0: not at all, less than 0: the other way round; -100 to 100
 * @param unetScale        the same for the UNet
 */
public record LoraUse(Path file, double textEncoderScale, double unetScale) {
    /** The most that a scale may be, in either direction. */
    public static final double MAX_SCALE = 100;

    /** @throws InvalidRequestException when a scale is out of range */
    public LoraUse {
        Objects.requireNonNull(file, "file");
        requireScale(file, textEncoderScale);
        requireScale(file, unetScale);
    }

    /** The same scale for both networks. */
    public static LoraUse of(Path file, double scale) {
        return new LoraUse(file, scale, scale);
    }

    private static void requireScale(Path file, double scale) {
        if (!(Math.abs(scale) <= MAX_SCALE)) {
            throw new InvalidRequestException("the scale of " + file + " must be between -" + (int) MAX_SCALE + " and " + (int) MAX_SCALE + ", not " + scale);
        }
    }

    /** What a prompt calls it: the file's name without its ending. */
    public String name() {
        return nameOf(file);
    }

    /** What a prompt calls a LoRA in this file. */
    public static String nameOf(Path file) {
        Path name = file.getFileName();
        return name == null ? file.toString() : name.toString().replaceFirst("(?i)\\.safetensors$", "");
    }

    @Override
    public String toString() {
        return name() + ":" + (textEncoderScale == unetScale ? unetScale : textEncoderScale + ":" + unetScale);
    }
}
