package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DeviceException;
import io.invadapter.timing.JsonText;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;

/**
 * What a child process tells, a line of JSON at a time, each in the file before the next thing is done: what was told before a
 * crash is known. A section consists of items, which are the same in the same order in every process: one that follows another
 * that died goes on behind the item that was being done.
 */
public final class Journal implements AutoCloseable {
    /** Ends the process: nothing more can be done in it. */
    static final class DeviceLost extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    private final OutputStream file;
    private final long end;
    private int skip;
    private int leftOut;
    private String current = "";

    /**
     * @param skip    items that earlier processes have begun
     * @param seconds after which no item is begun
     */
    Journal(Path file, int skip, double seconds) throws IOException {
        this.file = new FileOutputStream(file.toFile(), true);
        this.skip = skip;
        end = System.nanoTime() + (long) (seconds * 1e9);
    }

    /** Seconds until no item is begun any more. */
    double left() {
        return (end - System.nanoTime()) / 1e9;
    }

    /**
     * Does one item, whatever becomes of it, unless it was begun before or there is no time left.
     *
     * @param name  unlike those of the section's other items
     * @param limit seconds, after which the process is taken to hang
     * @param lost  whether the device cannot be used any more; asked after a failure
     * @throws DeviceLost when so
     */
    void item(String name, double limit, Lost lost, Callable<Outcome> work) {
        if (skip > 0) {
            skip--;
            return;
        }
        if (left() <= 0) {
            leftOut++;
            return;
        }
        begin(name, limit, lost, work);
    }

    /** An item that says what others found: it takes no time, and is done when none is left too. */
    void summary(String name, double limit, Lost lost, Callable<Outcome> work) {
        if (skip > 0) {
            skip--;
            return;
        }
        begin(name, limit, lost, work);
    }

    private void begin(String name, double limit, Lost lost, Callable<Outcome> work) {
        current = name;
        write("begin", Map.of("limit", limit));
        long start = System.nanoTime();
        Outcome outcome;
        try {
            outcome = work.call();
        } catch (DeviceException e) {
            outcome = Outcome.failed(e.getMessage());
        } catch (Exception | Error e) {
            // A mistake of ours: where it comes from is in the log.
            e.printStackTrace();
            outcome = Outcome.failed(e.getMessage() == null ? e.toString() : e.getMessage());
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("seconds", (System.nanoTime() - start) / 1e9);
        line.putAll(outcome.json());
        write("end", line);
        if (outcome.verdict() == Outcome.Verdict.FAILED && lost.isLost()) {
            throw new DeviceLost();
        }
    }

    /** Whether a device is lost. */
    @FunctionalInterface
    interface Lost {
        boolean isLost();
    }

    /** More about the item that is being done, before it is done. */
    void more(Map<String, Object> figures) {
        write("more", figures);
    }

    /** The section came to its end. */
    void done() {
        current = "";
        write("done", Map.of("left_out", leftOut));
    }

    /** There is nothing here that could be checked. */
    void noGpu(String why) {
        write("no gpu", Map.of("why", why));
    }

    private void write(String event, Map<String, Object> figures) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("event", event);
        line.put("item", current);
        line.putAll(figures);
        try {
            file.write(JsonText.line(line).getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
