package io.invadapter.engine.picture;

import io.invadapter.base.InvAdapterException;
import io.invadapter.base.InvalidRequestException;
import io.invadapter.base.WholeFile;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.Objects;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.stream.MemoryCacheImageOutputStream;
import org.w3c.dom.Element;

/** Picture files that carry what they were made of, the way stable-diffusion-webui writes and reads it. */
public final class PictureFile {
    private static final String PNG_METADATA = "javax_imageio_png_1.0";
    private static final String JPEG_METADATA = "javax_imageio_jpeg_image_1.0";
    /** Of JPEG and WebP. */
    private static final float QUALITY = 0.95f;
    /** Of a JPEG's segment, less what Exif takes for itself. */
    private static final int MAX_EXIF_CHARACTERS = 32_700;
    private static final int MAX_WEBP_SIZE = 16_383;

    private PictureFile() {
    }

    /** What a file can be. */
    public enum Format {
        PNG, JPEG, WEBP;

        /**
         * By the name's ending.
         *
         * @throws InvalidRequestException when it is none of {@code .png}, {@code .jpg}, {@code .jpeg} and {@code .webp}
         */
        public static Format of(Path file) {
            String name = file.toString().toLowerCase(Locale.ROOT);
            return switch (name.substring(name.lastIndexOf('.') + 1)) {
                case "png" -> PNG;
                case "jpg", "jpeg" -> JPEG;
                case "webp" -> WEBP;
                default -> throw new InvalidRequestException(file + ": pictures are written as PNG, JPEG or WebP; expected a name that "
                        + "ends in .png, .jpg, .jpeg or .webp");
            };
        }
    }

    /**
     * Writes a picture as {@link WholeFile#write} does: nothing half-written is ever seen, a file of that name is replaced, a pipe
     * is written to.
     *
     * @param parameters text to carry along, or {@code null}
     * @throws FileSystemException when it cannot be written; names the file
     * @throws InvAdapterException as {@link #encode} says
     */
    public static void write(BufferedImage picture, String parameters, Path file) throws IOException {
        ByteBuffer content = ByteBuffer.wrap(encode(picture, parameters, Format.of(file)));
        try {
            WholeFile.write(file, channel -> {
                while (content.hasRemaining()) {
                    channel.write(content);
                }
            });
        } catch (IOException e) {
            // A full disk names no file.
            String reason = e instanceof FileSystemException failed && failed.getReason() != null ? failed.getReason()
                    : e instanceof FileSystemException ? "no file can be made there" : e.getMessage();
            FileSystemException named = new FileSystemException(file.toString(), null, "the picture cannot be written: " + reason);
            named.initCause(e);
            throw named;
        }
    }

    /**
     * A picture file's content. Of PNG every pixel is kept; JPEG and WebP are of quality 95. Java brings no writer of WebP: there must
     * be one for ImageIO on the class path, such as {@code com.github.usefulness:webp-imageio}.
     *
     * @param parameters text to carry along, or {@code null}: in a PNG's chunk "parameters", in the Exif of a JPEG or a WebP as the
     *                   user's comment, of which a JPEG holds the first 32700 characters
     * @throws InvalidRequestException when there is no writer of WebP, or the picture is larger than WebP can be
     * @throws InvAdapterException     when the writer of WebP cannot load its native library
     */
    public static byte[] encode(BufferedImage picture, String parameters, Format format) {
        Objects.requireNonNull(picture, "picture");
        Objects.requireNonNull(format, "format");
        try {
            return switch (format) {
                case PNG -> written(picture, format, parameters);
                case JPEG -> {
                    byte[] jpeg = written(picture.getColorModel().hasAlpha() ? onWhite(picture) : picture, format, null);
                    yield parameters == null ? jpeg : jpegWithExif(jpeg,
                            exif(parameters.substring(0, Math.min(parameters.length(), MAX_EXIF_CHARACTERS))));
                }
                case WEBP -> {
                    if (Math.max(picture.getWidth(), picture.getHeight()) > MAX_WEBP_SIZE) {
                        throw new InvalidRequestException("a WebP has at most " + MAX_WEBP_SIZE + " x " + MAX_WEBP_SIZE + " pixels, not "
                                + picture.getWidth() + " x " + picture.getHeight());
                    }
                    byte[] webp = written(picture, format, null);
                    yield parameters == null ? webp : WebPChunks.withExif(webp, picture, exif(parameters));
                }
            };
        } catch (IOException e) {
            throw new IllegalStateException("memory takes what is written", e);
        } catch (LinkageError e) {
            throw new InvAdapterException("WebP cannot be written, for the native library for it cannot be loaded: " + e.getMessage(), e);
        }
    }

    private static BufferedImage onWhite(BufferedImage picture) {
        BufferedImage opaque = new BufferedImage(picture.getWidth(), picture.getHeight(), BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = opaque.createGraphics();
        graphics.drawImage(picture, 0, 0, Color.WHITE, null);
        graphics.dispose();
        return opaque;
    }

    private static byte[] written(BufferedImage picture, Format format, String parameters) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Iterator<ImageWriter> writers = ImageIO.getImageWritersByFormatName(format.name());
        if (!writers.hasNext()) {
            throw new InvalidRequestException("Java by itself writes no WebP: add com.github.usefulness:webp-imageio to the class path, "
                    + "or write PNG or JPEG");
        }
        ImageWriter writer = writers.next();
        // Kept in memory: ImageIO's own streams would want a temporary file.
        try (MemoryCacheImageOutputStream out = new MemoryCacheImageOutputStream(bytes)) {
            writer.setOutput(out);
            ImageWriteParam how = writer.getDefaultWriteParam();
            IIOMetadata metadata = writer.getDefaultImageMetadata(new ImageTypeSpecifier(picture), how);
            if (format != Format.PNG) {
                how.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
                if (format == Format.WEBP) {
                    how.setCompressionType("Lossy");
                } else {
                    keepColoursSharp(metadata);
                }
                how.setCompressionQuality(QUALITY);
            } else if (parameters != null) {
                metadata.mergeTree(PNG_METADATA, text(parameters));
            }
            writer.write(null, new IIOImage(picture, null, metadata), how);
        } finally {
            writer.dispose();
        }
        return bytes.toByteArray();
    }

    /** Colour at every pixel, not at every fourth (4:4:4). */
    private static void keepColoursSharp(IIOMetadata metadata) throws IOException {
        IIOMetadataNode root = (IIOMetadataNode) metadata.getAsTree(JPEG_METADATA);
        Element brightness = (Element) root.getElementsByTagName("componentSpec").item(0);
        brightness.setAttribute("HsamplingFactor", "1");
        brightness.setAttribute("VsamplingFactor", "1");
        metadata.setFromTree(JPEG_METADATA, root);
    }

    /** A list with a link to a list with the user's comment. */
    private static byte[] exif(String parameters) {
        byte[] comment = parameters.getBytes(StandardCharsets.UTF_16BE);
        int linked = 8 + 2 + 12 + 4;
        int text = linked + 2 + 12 + 4;
        ByteBuffer exif = ByteBuffer.allocate(text + 8 + comment.length);
        exif.put("MM".getBytes(StandardCharsets.US_ASCII)).putShort((short) 42).putInt(8);
        exif.putShort((short) 1).putShort((short) 0x8769).putShort((short) 4).putInt(1).putInt(linked).putInt(0);
        exif.putShort((short) 1).putShort((short) 0x9286).putShort((short) 7).putInt(8 + comment.length).putInt(text).putInt(0);
        return exif.put("UNICODE\0".getBytes(StandardCharsets.US_ASCII)).put(comment).array();
    }

    /** Puts a segment with Exif behind the JPEG's first two bytes. */
    private static byte[] jpegWithExif(byte[] jpeg, byte[] exif) {
        int length = 2 + 6 + exif.length;
        ByteBuffer file = ByteBuffer.allocate(jpeg.length + 2 + length);
        file.put(jpeg, 0, 2).putShort((short) 0xFFE1).putShort((short) length).put("Exif\0\0".getBytes(StandardCharsets.US_ASCII));
        return file.put(exif).put(jpeg, 2, jpeg.length - 2).array();
    }

    /** A tEXt chunk where Latin-1 holds the text, else iTXt. */
    private static IIOMetadataNode text(String parameters) {
        boolean latin = StandardCharsets.ISO_8859_1.newEncoder().canEncode(parameters);
        IIOMetadataNode entry = new IIOMetadataNode(latin ? "tEXtEntry" : "iTXtEntry");
        entry.setAttribute("keyword", "parameters");
        if (latin) {
            entry.setAttribute("value", parameters);
        } else {
            entry.setAttribute("compressionFlag", "FALSE");
            entry.setAttribute("compressionMethod", "0");
            entry.setAttribute("languageTag", "");
            entry.setAttribute("translatedKeyword", "");
            entry.setAttribute("text", parameters);
        }
        IIOMetadataNode list = new IIOMetadataNode(latin ? "tEXt" : "iTXt");
        list.appendChild(entry);
        IIOMetadataNode root = new IIOMetadataNode(PNG_METADATA);
        root.appendChild(list);
        return root;
    }
}
