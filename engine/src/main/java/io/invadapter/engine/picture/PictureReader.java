package io.invadapter.engine.picture;

import io.invadapter.base.InvalidRequestException;
import java.awt.color.ColorSpace;
import java.awt.color.ICC_Profile;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.function.Consumer;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.FileImageInputStream;
import javax.imageio.stream.ImageInputStream;

/** One still picture out of a stream, upright and in sRGB, or one sentence that says why not. */
final class PictureReader {
    private static final long MAX_PIXELS = 200_000_000;
    private static final String WEBP = "webp";
    static final String FOREIGN_COLOURS = "its colours are neither RGB nor grey; save it as an RGB picture first";
    static final String FOREIGN_NUMBERS = "its pixels are fractions, signed numbers or numbers of more than 16 bits; save it with 8 bits a colour first";

    private final String name;
    private final ImageInputStream stream;
    private final Size size;
    private final Consumer<String> warnings;

    /** What is asked of a picture's size. */
    interface Size {
        /** @throws InvalidRequestException when it is too small */
        void require(int width, int height);
    }

    /** @param name of the file, for messages */
    PictureReader(String name, ImageInputStream stream, Size size, Consumer<String> warnings) {
        this.name = name;
        this.stream = stream;
        this.size = size;
        this.warnings = warnings;
    }

    /** As {@link FacePicture#read(Path, Consumer)}, of pictures that may be of another size. */
    static BufferedImage read(Path file, Size size, Consumer<String> warnings) {
        Objects.requireNonNull(warnings, "warnings");
        if (Files.isDirectory(Objects.requireNonNull(file, "file"))) {
            throw new InvalidRequestException(file + ": a folder; expected a picture file");
        }
        if (!Files.exists(file)) {
            throw new InvalidRequestException(file + ": there is no such picture file");
        }
        if (!Files.isRegularFile(file)) {
            throw new InvalidRequestException(file + ": a pipe, a device or the like; expected a regular file");
        }
        if (!Files.isReadable(file)) {
            throw new InvalidRequestException(file + ": access denied");
        }
        try (ImageInputStream stream = new FileImageInputStream(file.toFile())) {
            return new PictureReader(file.toString(), stream, size, warnings).read();
        } catch (IOException e) {
            throw new InvalidRequestException(file + ": cannot be read: " + e.getMessage());
        }
    }

    /** @throws InvalidRequestException as {@link FacePicture#read(Path, Consumer)} says */
    BufferedImage read() {
        try {
            // Readers of WebP refuse files with something behind them.
            Iterator<ImageReader> readers = WebPChunks.begin(stream) ? ImageIO.getImageReadersByFormatName(WEBP)
                    : ImageIO.getImageReaders(stream);
            if (!readers.hasNext()) {
                throw new InvalidRequestException(foreignFormat());
            }
            ImageReader reader = readers.next();
            try {
                return read(reader);
            } finally {
                reader.dispose();
            }
        } catch (InvalidRequestException e) {
            throw new InvalidRequestException(name + ": " + e.getMessage());
        } catch (LinkageError e) {
            throw new InvalidRequestException(name + ": a picture in WebP, the native library for which cannot be loaded: " + e.getMessage());
        } catch (IOException | RuntimeException e) {
            // A damaged file makes the readers of the JDK throw nearly anything.
            boolean foreignColours = String.valueOf(e.getMessage()).contains("Unsupported Image Type");
            throw new InvalidRequestException(name + (foreignColours ? ": its colours are CMYK or another kind that Java cannot "
                    + "read; save it as an RGB picture first" : ": the picture is damaged and cannot be read"));
        }
    }

    private String foreignFormat() throws IOException {
        stream.seek(0);
        byte[] start = new byte[12];
        int length = Math.max(0, stream.read(start));
        String text = new String(start, 0, length, StandardCharsets.ISO_8859_1);
        if (length == 0) {
            return "the file is empty";
        }
        if (WebPChunks.begin(stream)) {
            return "a picture in WebP, which Java reads with com.github.usefulness:webp-imageio on its class path only; " + formats();
        }
        String kind = text.startsWith("ftypavi", 4) ? "AVIF"
                : text.startsWith("ftyphei", 4) || text.startsWith("ftypmif", 4) ? "HEIC" : text.startsWith("<svg") ? "SVG" : null;
        return kind == null ? "not a picture this Java can read; " + formats() : "a picture in " + kind + ", which Java cannot read; " + formats();
    }

    private static String formats() {
        return "expected PNG, JPEG, " + (ImageIO.getImageReadersByFormatName(WEBP).hasNext() ? "WebP, " : "") + "BMP, GIF or TIFF";
    }

    private BufferedImage read(ImageReader reader) throws IOException {
        String format = reader.getFormatName().toLowerCase(Locale.ROOT);
        PngChunks png = format.equals("png") ? PngChunks.read(stream) : PngChunks.NONE;
        JpegSegments jpeg = format.startsWith("jp") ? JpegSegments.read(stream) : JpegSegments.NONE;
        WebPChunks webp = WebPChunks.read(stream);
        stream.seek(0);
        reader.setInput(stream);
        int frames = format.equals("gif") ? reader.getNumImages(true) : png.frames();
        if (frames > 1 || webp.isAnimated()) {
            throw new InvalidRequestException("an animation" + (frames > 1 ? " of " + frames + " frames" : "") + "; expected one still picture");
        }
        int width = reader.getWidth(0);
        int height = reader.getHeight(0);
        size.require(width, height);
        if ((long) width * height > MAX_PIXELS) {
            throw new InvalidRequestException(width + " x " + height + " pixels are more than this reads ("
                    + MAX_PIXELS / 1_000_000 + " million)");
        }
        reader.addIIOReadWarningListener((source, warning) -> warn("the picture seems damaged (" + warning + ")"));
        try {
            TiffTags tiff = format.startsWith("tif") ? TiffTags.read(reader) : TiffTags.NONE;
            tiff.refuseForeign();
            if (tiff != TiffTags.NONE && reader.getNumImages(true) > 1) {
                warn("only the first of its " + reader.getNumImages(true) + " pages is used");
            }
            boolean profile = png.has("iCCP") || jpeg.hasProfile() || tiff.hasProfile();
            BufferedImage read = reader.read(0);
            if (tiff.hasNoOpacity() && read.getColorModel().hasAlpha()) {
                warn("a channel of which the file does not say what it means is left out");
                read = Colours.opaque(read);
            }
            BufferedImage picture = inSrgb(read, png, webp, profile, tiff.opacity());
            if (isTransparent(picture)) {
                warn("transparent parts are taken as white");
            }
            Orientation orientation = tiff != TiffTags.NONE ? tiff.orientation()
                    : png.has("eXIf") ? Orientation.ofExif(png.get("eXIf")) : webp != WebPChunks.NONE ? webp.orientation() : jpeg.orientation();
            return orientation.upright(picture);
        } catch (IOException | OutOfMemoryError e) {
            // The PNG reader wraps the error.
            if (e instanceof OutOfMemoryError || e.getCause() instanceof OutOfMemoryError) {
                throw new InvalidRequestException(width + " x " + height + " pixels need more memory than Java has; "
                        + "make the picture smaller, or give Java more, e.g. with JAVA_TOOL_OPTIONS=-Xmx8g");
            }
            throw e;
        }
    }

    private BufferedImage inSrgb(BufferedImage picture, PngChunks png, WebPChunks webp, boolean profile,
            Colours.Opacity opacity) {
        switch (picture.getColorModel().getColorSpace().getType()) {
            case ColorSpace.TYPE_GRAY -> {
                if (profile) {
                    warn("its grey profile is not applied");
                }
                OptionalInt missed = png.missedTransparentGrey();
                return Colours.asWritten(picture, missed.isEmpty() ? opacity
                        : (grey, stored, max) -> grey == missed.getAsInt() ? 0 : stored);
            }
            case ColorSpace.TYPE_RGB -> {
                try {
                    ICC_Profile meant = webp.hasProfile() ? ICC_Profile.getInstance(webp.profile()) : Colours.profile(png);
                    return meant == null ? Colours.asWritten(picture) : Colours.convert(picture, meant);
                } catch (InvalidRequestException e) {
                    throw e;
                } catch (IOException | RuntimeException e) {
                    // A damaged profile, or one of grey, makes Java throw nearly anything.
                    warn("its colour profile does not fit and is not applied");
                    return picture;
                }
            }
            case ColorSpace.TYPE_CMYK -> throw new InvalidRequestException("its colours are CMYK; save it as an RGB picture first");
            default -> throw new InvalidRequestException(FOREIGN_COLOURS);
        }
    }

    private void warn(String sentence) {
        warnings.accept(name + ": " + sentence);
    }

    private static boolean isTransparent(BufferedImage picture) {
        if (picture.getColorModel().hasAlpha()) {
            for (int y = 0; y < picture.getHeight(); y++) {
                for (int x = 0; x < picture.getWidth(); x++) {
                    if (picture.getRGB(x, y) >>> 24 != 255) {
                        return true;
                    }
                }
            }
        }
        return false;
    }
}
