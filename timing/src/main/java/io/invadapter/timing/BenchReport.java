package io.invadapter.timing;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** What {@link GenerationBench} found, as a table and as JSON. */
public final class BenchReport {
    private String device;
    private final int size;
    private final int steps;
    private final List<Case> cases = new ArrayList<>();
    private final List<Operator> operators = new ArrayList<>();
    private final List<String> leftOut = new ArrayList<>();

    /** What is asked for. */
    public enum Kind {
        /** Stable Diffusion alone. */
        PLAIN("plain"),
        /** A new face: its inversion, then its rows beside the pictures'. */
        FIRST("new face"),
        /** A face whose keys and values are kept from before. */
        NEXT("known face");

        private final String label;

        Kind(String label) {
            this.label = label;
        }

        @Override
        public String toString() {
            return label;
        }
    }

    /** The parts of a request, in their order. */
    public enum Part {
        TEXT, ENCODE, INVERT, DENOISE, DECODE;

        boolean repeatsEachStep() {
            return this == INVERT || this == DENOISE;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * One kind of request.
     *
     * @param median     of the whole request, in milliseconds
     * @param p95        95 % of the requests took no longer
     * @param teraflops  operations of all matrix products by the median, in 10^12 a second
     * @param usedMemory the most that was in use, in bytes
     * @param parts      median of each part, in milliseconds
     */
    public record Case(Kind kind, int batch, int repeats, double median, double p95, double teraflops, long usedMemory,
            Map<Part, Double> parts) {
        double picturesPerSecond() {
            return batch * 1e3 / median;
        }
    }

    /**
     * One operator in one step of denoising, or in decoding.
     *
     * @param milliseconds of all calls together
     * @param share        of the time of all operators
     */
    public record Operator(Kind kind, int batch, Part part, String name, int calls, double milliseconds, double share,
            double teraflops, double gigabytes) {
    }

    /** Says it again at the end: what a device is may show in its work. */
    void device(String description) {
        device = description;
    }

    BenchReport(String device, int size, int steps) {
        this.device = device;
        this.size = size;
        this.steps = steps;
    }

    void add(Kind kind, int batch, List<Map<Part, Double>> runs, Map<Part, Double> operations, long usedMemory) {
        double[] whole = runs.stream().mapToDouble(run -> run.values().stream().mapToDouble(Double::doubleValue).sum()).toArray();
        Map<Part, Double> parts = new EnumMap<>(Part.class);
        for (Part part : runs.getFirst().keySet()) {
            parts.put(part, quantile(runs.stream().mapToDouble(run -> run.get(part)).toArray(), 0.5));
        }
        double median = quantile(whole, 0.5);
        double sum = operations.values().stream().mapToDouble(Double::doubleValue).sum();
        cases.add(new Case(kind, batch, runs.size(), median, quantile(whole, 0.95), sum / median / 1e9, usedMemory, parts));
    }

    void add(Kind kind, int batch, Part part, Map<String, MeasuringDevice.Total> totals) {
        double all = totals.values().stream().mapToDouble(MeasuringDevice.Total::seconds).sum();
        totals.entrySet().stream().sorted(Comparator.comparingDouble(e -> -e.getValue().seconds())).forEach(e -> {
            MeasuringDevice.Total total = e.getValue();
            operators.add(new Operator(kind, batch, part, e.getKey(), total.calls(), total.seconds() * 1e3,
                    total.seconds() / all, total.operations() / total.seconds() / 1e12, total.bytes() / total.seconds() / 1e9));
        });
    }

    void leftOut(Kind kind, int batch, String reason) {
        leftOut.add(kind + ", batch " + batch + ": left out: " + reason);
    }

    /** The value that a part {@code q} of all does not exceed; between two, that on the line between them. */
    static double quantile(double[] values, double q) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        double place = q * (sorted.length - 1);
        int below = (int) place;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    }

    public List<Case> cases() {
        return List.copyOf(cases);
    }

    public List<Operator> operators() {
        return List.copyOf(operators);
    }

    /** For people. Operators of the first batch only; {@link #json} has all. */
    public String table() {
        StringBuilder text = new StringBuilder("%s%nStable Diffusion 1.5 with synthetic weights, %d x %d, %d steps, guidance%n%n"
                .formatted(device, size, size, steps));
        text.append(row("%-11s %5s %4s %10s %10s %11s %8s %10s  %s", "request", "batch", "runs", "median ms", "p95 ms",
                "pictures/s", "TFLOP/s", "memory MiB", "of that, ms"));
        for (Case c : cases) {
            text.append(row("%-11s %5d %4d %10.1f %10.1f %11.2f %8.2f %10d  %s", c.kind, c.batch, c.repeats, c.median, c.p95,
                    c.picturesPerSecond(), c.teraflops, c.usedMemory >> 20, line(c.parts)));
        }
        leftOut.forEach(sentence -> text.append(sentence).append(System.lineSeparator()));
        String heading = "";
        for (Operator o : operators) {
            if (o.batch != operators.getFirst().batch) {
                continue;
            }
            String own = o.kind + ", batch " + o.batch + (o.part == Part.DENOISE ? ", one step" : ", decoding");
            if (!own.equals(heading)) {
                heading = own;
                text.append(row("%n%-32s %6s %9s %7s %8s %8s", own, "calls", "ms", "share", "TFLOP/s", "GB/s"));
            }
            text.append(row("  %-30s %6d %9.3f %6.1f%% %8.2f %8.1f", o.name, o.calls, o.milliseconds, 100 * o.share, o.teraflops,
                    o.gigabytes));
        }
        return text.toString();
    }

    /** Milliseconds of the parts of a request. */
    static String line(Map<Part, Double> parts) {
        return parts.entrySet().stream().map(part -> String.format(Locale.ROOT, "%s %.1f", part.getKey(), part.getValue()))
                .collect(Collectors.joining("  "));
    }

    private static String row(String format, Object... values) {
        return String.format(Locale.ROOT, format + "%n", values);
    }

    /** The same as data, for {@link JsonText}. */
    public Map<String, Object> json() {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("device", device);
        all.put("size", size);
        all.put("steps", steps);
        all.put("requests", cases.stream().map(c -> {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("request", c.kind.toString());
            one.put("batch", c.batch);
            one.put("runs", c.repeats);
            one.put("median_ms", c.median);
            one.put("p95_ms", c.p95);
            one.put("pictures_per_second", c.picturesPerSecond());
            one.put("tflops", c.teraflops);
            one.put("used_memory_bytes", c.usedMemory);
            Map<String, Object> parts = new LinkedHashMap<>();
            c.parts.forEach((part, time) -> parts.put(part.toString(), time));
            one.put("parts_ms", parts);
            return one;
        }).toList());
        all.put("left_out", leftOut);
        all.put("operators", operators.stream().map(o -> {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("request", o.kind.toString());
            one.put("batch", o.batch);
            one.put("part", o.part.toString());
            one.put("operator", o.name);
            one.put("calls", o.calls);
            one.put("ms", o.milliseconds);
            one.put("share", o.share);
            one.put("tflops", o.teraflops);
            one.put("gbytes_per_second", o.gigabytes);
            return one;
        }).toList());
        return all;
    }
}
