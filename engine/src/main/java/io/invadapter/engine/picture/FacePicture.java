package io.invadapter.engine.picture;

import io.invadapter.base.InvalidRequestException;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Objects;
import java.util.function.Consumer;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** Pictures of faces: read with clear refusals, cut to a square and scaled. */
public final class FacePicture {
    /** Fewer pixels show no face. */
    private static final int MIN_SIZE = 32;

    private FacePicture() {
    }

    /**
     * Reads a picture file: upright as its notes say, its colours in sRGB.
     *
     * @param warnings told, in one sentence each, what was done to a picture with transparency and what seems damaged
     * @throws InvalidRequestException when it is no still RGB or grey picture of at least 32 x 32 pixels
     */
    public static BufferedImage read(Path file, Consumer<String> warnings) {
        return PictureReader.read(file, FacePicture::requireSize, warnings);
    }

    /**
     * Reads a picture as {@link #read(Path, Consumer)} does, from a stream that is read to its end and stays open.
     *
     * @throws IOException when the stream fails
     */
    public static BufferedImage read(InputStream in, Consumer<String> warnings) throws IOException {
        return read(in.readAllBytes(), warnings);
    }

    /** Reads a picture as {@link #read(Path, Consumer)} does, from a file's content. */
    public static BufferedImage read(byte[] content, Consumer<String> warnings) {
        Objects.requireNonNull(content, "content");
        Objects.requireNonNull(warnings, "warnings");
        // Kept in memory, whatever ImageIO's own streams would do.
        return new PictureReader("the picture", new MemoryCacheImageInputStream(new ByteArrayInputStream(content)),
                FacePicture::requireSize, warnings).read();
    }

    /** @throws InvalidRequestException when a picture is too small to show a face, wherever it comes from */
    public static void requireSize(int width, int height) {
        if (width < MIN_SIZE || height < MIN_SIZE) {
            throw new InvalidRequestException(width + " x " + height + " pixels are too few to show a face; expected at least "
                    + MIN_SIZE + " x " + MIN_SIZE);
        }
    }

    /** The largest centred square, scaled to {@code size} pixels, opaque RGB; transparent parts become white. */
    public static BufferedImage square(BufferedImage picture, int size) {
        return Scaling.cover(picture, size, size);
    }
}
