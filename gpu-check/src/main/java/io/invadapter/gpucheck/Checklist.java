package io.invadapter.gpucheck;

import io.invadapter.timing.JsonText;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;

/** Steps done one after the other, whatever becomes of each: a line of a table for each, and all of it as JSON. */
final class Checklist {

    /** Something to check. */
    record Step(String name, Callable<Outcome> work) {
    }

    private final PrintStream out;
    private final Path json;
    private final Map<String, Object> heading;
    private final List<Object> done = new ArrayList<>();
    private boolean passed = true;

    /**
     * @param json    where the JSON goes, written anew after every step, so that what is done is there whatever happens
     * @param heading what stands before the steps in it
     */
    Checklist(PrintStream out, Path json, Map<String, Object> heading) {
        this.out = out;
        this.json = json;
        this.heading = heading;
    }

    /** Returns 0 when nothing failed, else 1. */
    int run(List<Step> steps) throws IOException {
        for (Step step : steps) {
            long start = System.nanoTime();
            Outcome outcome = outcome(step);
            double seconds = (System.nanoTime() - start) / 1e9;
            passed &= outcome.verdict() != Outcome.Verdict.FAILED;
            out.printf(Locale.ROOT, "%-8s %-28s %7.1f s  %s%n", outcome.verdict().name().toLowerCase(Locale.ROOT), step.name, seconds,
                    outcome.detail());
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("step", step.name);
            line.put("seconds", seconds);
            line.putAll(outcome.json());
            done.add(line);
            write();
        }
        return passed ? 0 : 1;
    }

    private static Outcome outcome(Step step) {
        try {
            return step.work.call();
        } catch (Exception | Error e) {
            return Outcome.failed(e.getMessage() == null ? e.toString() : e.getMessage());
        }
    }

    private void write() throws IOException {
        Map<String, Object> all = new LinkedHashMap<>(heading);
        all.put("passed", passed);
        all.put("steps", done);
        Files.writeString(json, JsonText.of(all));
    }
}
