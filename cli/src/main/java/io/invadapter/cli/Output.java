package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.picture.PictureFile;
import java.awt.image.BufferedImage;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.stream.IntStream;

/** Where a command's pictures go: one file, several numbered ones, or standard output. */
final class Output {
    private static final String STANDARD_OUTPUT = "-";

    private final Path named;
    private final int count;

    /**
     * @param named {@code -} is standard output
     * @throws InvalidRequestException when a picture could not be written there
     */
    Output(Path named, int count) {
        this.named = named;
        this.count = count;
        if (isStandardOutput()) {
            if (count > 1) {
                throw new InvalidRequestException("-o -: standard output takes one picture, not " + count);
            }
            if (System.console() != null && System.console().isTerminal()) {
                throw new InvalidRequestException("-o -: standard output is a terminal; send it to a file or a program");
            }
        } else {
            if (format() == PictureFile.Format.WEBP) {
                WebP.load();
            }
            Checks.writable(IntStream.range(0, count).mapToObj(this::file).toList());
        }
    }

    private PictureFile.Format format() {
        try {
            return PictureFile.Format.of(named);
        } catch (InvalidRequestException e) {
            throw new InvalidRequestException(e.getMessage() + ", or -o - for standard output");
        }
    }

    private boolean isStandardOutput() {
        return named.toString().equals(STANDARD_OUTPUT);
    }

    /** What a picture's place is called. */
    String name(int index) {
        return isStandardOutput() ? "standard output" : file(index).toString();
    }

    private Path file(int index) {
        if (count == 1) {
            return named;
        }
        String name = named.getFileName().toString();
        int dot = name.lastIndexOf('.');
        return named.resolveSibling(name.substring(0, dot) + "-" + (index + 1) + name.substring(dot));
    }

    /** @param parameters text to carry along, or {@code null} */
    void write(BufferedImage picture, String parameters, int index) throws IOException {
        if (isStandardOutput()) {
            try {
                new FileOutputStream(FileDescriptor.out).write(PictureFile.encode(picture, parameters, PictureFile.Format.PNG));
            } catch (IOException e) {
                throw new FileSystemException("standard output", null, "the picture cannot be written: " + e.getMessage());
            }
        } else {
            PictureFile.write(picture, parameters, file(index));
        }
    }

    /** A line of the command's own: never among a picture's bytes. */
    void say(String line) {
        (isStandardOutput() ? System.err : System.out).println(line);
    }
}
