package io.invadapter.engine.picture;

import io.invadapter.base.InvalidRequestException;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.nio.file.Path;
import java.util.Objects;
import java.util.function.Consumer;
import javax.imageio.stream.MemoryCacheImageInputStream;

/** Pictures to start from, and the masks that say what is repainted of them. */
public final class InitPicture {

    private InitPicture() {
    }

    /**
     * Reads a picture file as {@link FacePicture#read(Path, Consumer)} does, of any size.
     *
     * @param warnings told, in one sentence each, what was done to a picture with transparency and what seems damaged
     * @throws InvalidRequestException when it is no still RGB or grey picture
     */
    public static BufferedImage read(Path file, Consumer<String> warnings) {
        return PictureReader.read(file, (width, height) -> { }, warnings);
    }

    /** Reads a picture as {@link #read(Path, Consumer)} does, from a file's content. */
    public static BufferedImage read(byte[] content, Consumer<String> warnings) {
        Objects.requireNonNull(content, "content");
        Objects.requireNonNull(warnings, "warnings");
        return new PictureReader("the picture", new MemoryCacheImageInputStream(new ByteArrayInputStream(content)), (width, height) -> { },
                warnings).read();
    }
}
