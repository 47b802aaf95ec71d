package io.invadapter.cli;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.stream.ImageOutputStream;

/** PNG files that carry their parameters as text, the way stable-diffusion-webui writes and reads them. */
final class Png {
    private static final String FORMAT = "javax_imageio_png_1.0";

    private Png() {
    }

    /**
     * Writes beside, then moves: nothing half-written is ever seen.
     *
     * @param parameters text to carry along, or {@code null}
     */
    static void write(BufferedImage picture, String parameters, Path file) throws IOException {
        Path beside = Checks.beside(file);
        beside.toFile().deleteOnExit(); // Ctrl-C
        try {
            Files.write(beside, encode(picture, parameters));
            Files.move(beside, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(beside);
        }
    }

    private static byte[] encode(BufferedImage picture, String parameters) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
        try (ImageOutputStream out = ImageIO.createImageOutputStream(bytes)) {
            writer.setOutput(out);
            IIOMetadata metadata = writer.getDefaultImageMetadata(new ImageTypeSpecifier(picture), null);
            if (parameters != null) {
                metadata.mergeTree(FORMAT, text(parameters));
            }
            writer.write(new IIOImage(picture, null, metadata));
        } finally {
            writer.dispose();
        }
        return bytes.toByteArray();
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
        IIOMetadataNode root = new IIOMetadataNode(FORMAT);
        root.appendChild(list);
        return root;
    }
}
