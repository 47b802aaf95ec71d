package io.invadapter.gpucheck.first;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The lines of a file that another process is writing. */
final class Tail implements AutoCloseable {
    /** Longer than any line that is meant. */
    private static final int MAX_LINE = 1 << 20;

    private final InputStream in;
    private final ByteArrayOutputStream partial = new ByteArrayOutputStream();

    /** @param file made when it is not there */
    Tail(Path file) throws IOException {
        if (!Files.exists(file)) {
            Files.createFile(file);
        }
        in = Files.newInputStream(file);
    }

    /** What has become whole since the last time. */
    List<String> lines() throws IOException {
        List<String> whole = new ArrayList<>();
        byte[] piece = new byte[1 << 16];
        for (int n = in.read(piece); n > 0; n = in.read(piece)) {
            for (int i = 0; i < n; i++) {
                if (piece[i] == '\n' || partial.size() == MAX_LINE) {
                    whole.add(rest());
                } else {
                    partial.write(piece[i]);
                }
            }
        }
        return whole;
    }

    /** What there is of an incomplete line. */
    String rest() {
        String text = partial.toString(StandardCharsets.UTF_8);
        partial.reset();
        return text;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}
