package io.invadapter.cli;

import io.invadapter.engine.InvalidRequestException;
import java.awt.image.BufferedImage;
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

    /** @throws InvalidRequestException when {@code file} cannot be written, before any work is done */
    static void checkWritable(Path file) {
        Path folder = file.toAbsolutePath().normalize().getParent();
        if (folder == null || Files.isDirectory(file)) {
            throw new InvalidRequestException(file + ": a folder; expected the name of a file to write");
        }
        if (!Files.isDirectory(folder)) {
            throw new InvalidRequestException(file + ": there is no folder " + folder);
        }
        if (!Files.isWritable(folder) || Files.exists(file) && !Files.isWritable(file)) {
            throw new InvalidRequestException(file + ": cannot be written");
        }
    }

    /** Writes beside, then moves: nothing half-written is ever seen. */
    static void write(BufferedImage picture, String parameters, Path file) throws IOException {
        Path beside = file.resolveSibling("." + file.getFileName() + "." + ProcessHandle.current().pid() + ".part");
        try {
            ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
            try (ImageOutputStream out = ImageIO.createImageOutputStream(beside.toFile())) {
                writer.setOutput(out);
                IIOMetadata metadata = writer.getDefaultImageMetadata(new ImageTypeSpecifier(picture), null);
                if (parameters != null) {
                    metadata.mergeTree(FORMAT, text(parameters));
                }
                writer.write(new IIOImage(picture, null, metadata));
            } finally {
                writer.dispose();
            }
            Files.move(beside, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(beside);
        }
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
