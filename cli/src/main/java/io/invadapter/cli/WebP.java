package io.invadapter.cli;

import io.invadapter.base.InvAdapterException;
import io.invadapter.base.TemporaryFolder;
import io.invadapter.engine.picture.PictureFile;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The library that reads and writes WebP. It unpacks its native half for each process, and prints what goes wrong there. */
final class WebP {
    private static final String UNPACKED_TO = "com.luciad.imageio.webp.tmpdir";
    private static final String LINK_ERROR = "UnsatisfiedLinkError: ";

    private static boolean loaded;

    private WebP() {
    }

    /** Whether a file begins as a WebP does; what cannot be read is left to who reads it all. */
    static boolean is(Path file) {
        if (!Files.isRegularFile(file)) {
            return false;
        }
        try (InputStream in = Files.newInputStream(file)) {
            return new String(in.readNBytes(12), StandardCharsets.ISO_8859_1).matches("(?s)RIFF....WEBP");
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Must come before the first picture.
     *
     * @throws InvAdapterException when the library cannot be unpacked or loaded
     */
    static void load() {
        if (loaded) {
            return;
        }
        Path folder = null;
        PrintStream err = System.err;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setErr(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            folder = Files.createTempDirectory("invadapter-webp");
            // Before the library says so of its files: the last one is removed first.
            folder.toFile().deleteOnExit();
            System.setProperty(UNPACKED_TO, folder.toString());
            PictureFile.encode(new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB), null, PictureFile.Format.WEBP);
            loaded = true;
        } catch (IOException e) {
            throw failed(e instanceof FileSystemException known && known.getReason() != null ? known.getReason() : "no file can be made there", e);
        } catch (InvAdapterException e) {
            throw failed(reason(printed.toString(StandardCharsets.UTF_8)), e);
        } finally {
            System.setErr(err);
            // What is loaded needs no file; on Windows it keeps it, and all is removed at the end.
            if (folder != null) {
                TemporaryFolder.remove(folder);
            }
        }
    }

    private static InvAdapterException failed(String reason, Exception cause) {
        return new InvAdapterException("WebP cannot be read or written, for its library cannot be loaded from "
                + System.getProperty("java.io.tmpdir") + ": " + reason + "; use PNG or JPEG, or name another folder, e.g. with "
                + "JAVA_TOOL_OPTIONS=-Djava.io.tmpdir=FOLDER", cause);
    }

    private static String reason(String printed) {
        String line = printed.lines().filter(l -> l.contains(LINK_ERROR)).findFirst()
                .orElse(printed.lines().findFirst().orElse("the reason is not known"));
        return line.substring(line.lastIndexOf(": ") + 1).strip();
    }
}
