package io.invadapter.gpucheck.first;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the lines say, for people: a short table, and a page of all results. */
final class Summary {
    private final Instant time;
    private final Map<String, Part> parts = new LinkedHashMap<>();

    /** A section's lines. */
    private static final class Part {
        private final List<Map<String, Object>> ends = new ArrayList<>();
        private final List<String> troubles = new ArrayList<>();
        private long failed;
        private double seconds;
        private boolean done;
    }

    /** @param lines of {@link Results} */
    Summary(List<Section> sections, List<Map<String, Object>> lines, Instant time) {
        this.time = time;
        for (Section section : sections) {
            parts.put(section.name(), new Part());
        }
        for (Map<String, Object> line : lines) {
            Part part = parts.get(line.get("section"));
            switch (String.valueOf(line.get("event"))) {
                case "end" -> {
                    part.ends.add(line);
                    part.seconds += ((Number) line.get("seconds")).doubleValue();
                    part.failed += "FAILED".equals(line.get("verdict")) ? 1 : 0;
                }
                case "died" -> part.troubles.add("process " + line.get("process")
                        + " " + line.get("where") + ": " + line.get("how"));
                case "cut short" -> part.troubles.add("cut short: " + line.get("why"));
                case "done" -> {
                    part.done = true;
                    long left = ((Number) line.get("left_out")).longValue();
                    if (left > 0) {
                        part.troubles.add("cut short: no time for " + left + " items");
                    }
                }
                default -> {
                    // Known from the others.
                }
            }
        }
    }

    /** Whether everything was done, and well. */
    boolean passed() {
        return parts.values().stream().allMatch(part -> part.done && part.failed == 0 && part.troubles.isEmpty());
    }

    /** One line for each section, and what failed or died. */
    String table() {
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, "%n%-14s %6s %7s %9s%n", "section", "items", "failed", "s"));
        parts.forEach((name, part) -> {
            text.append(String.format(Locale.ROOT, "%-14s %6d %7d %9.1f%n", name, part.ends.size(), part.failed, part.seconds));
            part.troubles.forEach(trouble -> text.append("    ").append(trouble).append(System.lineSeparator()));
        });
        return text.toString();
    }

    /** Markdown, as benchmarks/results wants it. */
    String page() {
        StringBuilder text = new StringBuilder("# First contact\n\n").append(time.truncatedTo(ChronoUnit.SECONDS))
                .append(", `gpu-check --first`\n");
        parts.forEach((name, part) -> {
            text.append("\n## ").append(name).append("\n\n");
            part.troubles.forEach(trouble -> text.append("* ").append(trouble).append('\n'));
            if (!part.troubles.isEmpty()) {
                text.append('\n');
            }
            if (part.ends.isEmpty()) {
                text.append("Nothing was done.\n");
                return;
            }
            text.append("| item | verdict | s | what |\n| --- | --- | --- | --- |\n");
            StringBuilder tables = new StringBuilder();
            for (Map<String, Object> end : part.ends) {
                // A thousand cases that are well are a number, not a table.
                if ("OK".equals(end.get("verdict")) && "".equals(end.get("detail"))) {
                    continue;
                }
                text.append(String.format(Locale.ROOT, "| %s | %s | %.1f | %s |%n", cell(end.get("item")),
                        String.valueOf(end.get("verdict")).toLowerCase(Locale.ROOT), ((Number) end.get("seconds")).doubleValue(),
                        cell(end.get("detail"))));
                if (end.get("data") instanceof Map<?, ?> data && data.get("table") != null) {
                    tables.append("\n```\n").append(String.valueOf(data.get("table")).strip()).append("\n```\n");
                }
            }
            long quiet = part.ends.stream().filter(end -> "OK".equals(end.get("verdict")) && "".equals(end.get("detail"))).count();
            text.append(quiet == 0 ? "" : "| " + quiet + " others | ok | | |\n").append(tables);
        });
        return text.toString();
    }

    private static String cell(Object value) {
        return String.valueOf(value).replace("|", "\\|").replaceAll("\\R", " ");
    }
}
