package io.invadapter.gpucheck.first;

import io.invadapter.timing.JsonText;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The lines of all processes in one file, each written when it is known; made with the first line, never in the
 * place of another file.
 */
final class Results implements AutoCloseable {
    private final Path file;
    private final long start;
    private final List<Map<String, Object>> lines = new ArrayList<>();
    private OutputStream out;

    Results(Path file, long start) {
        this.file = file;
        this.start = start;
    }

    /**
     * @param process the how manieth of the run
     * @param event   what happened: {@code begin}, {@code more} and {@code end} of an item, {@code done} of a section; or, of the
     *                parent, {@code died}, {@code garbage}, {@code printed}, {@code cut short}
     */
    void add(String section, int process, String event, Map<String, Object> more) throws IOException {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("t", Math.round((System.nanoTime() - start) / 1e6) / 1e3);
        line.put("section", section);
        line.put("process", process);
        line.put("event", event);
        line.putAll(more);
        lines.add(line);
        if (out == null) {
            out = Files.newOutputStream(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        }
        out.write(JsonText.line(line).getBytes(StandardCharsets.UTF_8));
    }

    /** In their order. */
    List<Map<String, Object>> lines() {
        return lines;
    }

    @Override
    public void close() throws IOException {
        if (out != null) {
            out.close();
        }
    }
}
