package io.invadapter.kernels.cuda.libraries;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What can be told of a library by its file, where loading it or calling it would end the process. */
final class LibraryFile {
    private static final int ELF_HEADER_BYTES = 64;
    private static final int ELF = 0x464c457f;
    /** 64 bits, little-endian. */
    private static final int ELF_KIND = 0x0102;

    /** The parts of cuDNN 9 that are used from the start; where its first file names them, it only hands on to them. */
    private static final List<String> CUDNN_PARTS = List.of("libcudnn_graph.so", "libcudnn_ops.so", "libcudnn_cnn.so");

    private LibraryFile() {
    }

    /** @throws SharedLibrary.NotLoadedException when the file ends before its table of sections does: the loader would read on */
    static void requireWhole(Path file) throws SharedLibrary.NotLoadedException {
        try (FileChannel channel = FileChannel.open(file)) {
            ByteBuffer header = ByteBuffer.allocate(ELF_HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
            if (channel.read(header, 0) < ELF_HEADER_BYTES || header.getInt(0) != ELF || header.getShort(4) != ELF_KIND) {
                return;
            }
            long end = header.getLong(40) + (long) Short.toUnsignedInt(header.getShort(58)) * Short.toUnsignedInt(header.getShort(60));
            if (end > channel.size()) {
                throw new SharedLibrary.NotLoadedException(file + ": has only " + channel.size() + " of at least " + end + " bytes");
            }
        } catch (IOException e) {
            // The loader says why.
        }
    }

    /**
     * Looks for cuDNN's other files as its first one does, which aborts where it does not find them.
     *
     * @throws SharedLibrary.NotLoadedException when one is missing or cannot be loaded; the message names it
     */
    static void requireParts(Path file) throws SharedLibrary.NotLoadedException {
        if (!file.getFileName().toString().startsWith("libcudnn.so")) {
            return;
        }
        String text;
        try {
            text = Files.readString(file, StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return;
        }
        for (String part : CUDNN_PARTS) {
            if (text.contains(part)) {
                String name = part + ".9";
                Path beside = file.resolveSibling(name);
                try {
                    SharedLibrary.tryOut(Files.exists(beside) ? beside.toString() : name);
                } catch (SharedLibrary.NotLoadedException e) {
                    throw new SharedLibrary.NotLoadedException(file + " is not all of cuDNN: " + e.getMessage());
                }
            }
        }
    }
}
