package io.invadapter.cli;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.picture.InitPicture;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import picocli.CommandLine.TypeConversionException;

/**
 * What {@code --face}, {@code --init} and {@code --mask} name.
 *
 * @param file   a picture, or {@code null} for a sample
 * @param sample number of a face that comes with the bundled model, from 1
 */
record PictureOption(Path file, int sample) {
    private static final String SAMPLE = "sample:";
    private static final int SAMPLES = 5;

    static PictureOption of(String text) {
        if (!text.startsWith(SAMPLE)) {
            return new PictureOption(Main.path(text), 0);
        }
        if (!text.matches(SAMPLE + "[1-" + SAMPLES + "]")) {
            throw new TypeConversionException("there is no '" + text + "': expected " + SAMPLE + "1 to " + SAMPLE + SAMPLES
                    + ", or a file");
        }
        return new PictureOption(null, text.charAt(SAMPLE.length()) - '0');
    }

    /** As the face of a person. */
    BufferedImage readFace(Consumer<String> warnings) {
        return read(FacePicture::read, warnings);
    }

    /** As a picture to start from, or its mask. */
    BufferedImage readInit(Consumer<String> warnings) {
        return read(InitPicture::read, warnings);
    }

    private BufferedImage read(BiFunction<Path, Consumer<String>, BufferedImage> reader, Consumer<String> warnings) {
        if (file == null) {
            return BundledModel.faces().get(sample - 1);
        }
        if (WebP.is(file)) {
            WebP.load();
        }
        return reader.apply(file, warnings);
    }
}
