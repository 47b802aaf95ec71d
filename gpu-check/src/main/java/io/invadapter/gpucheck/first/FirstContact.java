package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.gpucheck.first.Children.Child;
import io.invadapter.kernels.DeviceException;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * The first minutes with a GPU: everything that can be known of it, what tells most first, in a limited time. Every section is a
 * process of its own, which writes what it finds line by line; this one collects the lines, says which process died where and
 * starts it again behind that, and never touches the GPU itself. When this process is told to end, it ends the other, writes its
 * summary and cleans up first.
 */
public final class FirstContact {
    private static final String LINES = "first.jsonl";
    private static final String SUMMARY = "first.md";
    private static final String CHOICES = "choices";
    /** Processes of one section, after which it is given up. */
    private static final int ATTEMPTS = 8;
    private static final int POLL_MILLISECONDS = 20;
    /** Of what is no line of ours, and of what a process prints. */
    private static final int KEPT_LINES = 30;
    /** For the end of a child and the summary when told to end: whoever says so may not wait long either. */
    private static final int STOP_SECONDS = 5;

    private final Path out;
    private final double seconds;
    private final List<Section> sections;
    private final Children children;
    private final PrintStream people;
    private final long start = System.nanoTime();
    private final Results results;
    private final double startLimit;
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile boolean stopped;
    private Path work;
    private int processes;
    private String noGpu;

    /**
     * @param out        where everything goes
     * @param seconds    for all of it
     * @param sections   in their order; the first finds out whether there is a GPU
     * @param startLimit seconds that a process has before it begins its first item, and between two
     * @param people     told of each item
     */
    public FirstContact(Path out, double seconds, double startLimit, List<Section> sections, Children children, PrintStream people) {
        this.out = out;
        this.seconds = seconds;
        this.startLimit = startLimit;
        this.sections = sections;
        this.children = children;
        this.people = people;
        results = new Results(out.resolve(LINES), start);
    }

    /**
     * Returns 0 when nothing failed, 1 when something did.
     *
     * @throws DeviceException when there is no GPU; then nothing stays in the folder
     * @throws IOException     when the folder cannot be written, or holds results of an earlier run, which are left as they are
     */
    public int run() throws IOException {
        for (String result : List.of(LINES, SUMMARY, CHOICES)) {
            if (Files.exists(out.resolve(result), LinkOption.NOFOLLOW_LINKS)) {
                throw new IOException(out + " holds results of an earlier run");
            }
        }
        List<Path> made = missing(out);
        Files.createDirectories(out);
        work = Files.createTempDirectory(out, "work-");
        Thread stop = new Thread(this::stop);
        Runtime.getRuntime().addShutdownHook(stop);
        try (results) {
            double shares = sections.stream().mapToDouble(Section::seconds).sum();
            for (Section section : sections) {
                section(section, left() * section.seconds() / shares);
                shares -= section.seconds();
                if (noGpu != null) {
                    throw new DeviceException(noGpu);
                }
            }
            Summary summary = new Summary(sections, results.lines(), Instant.now());
            Files.writeString(out.resolve(SUMMARY), summary.page(), StandardOpenOption.CREATE_NEW);
            people.print(summary.table());
            people.println((summary.passed() ? "passed" : "FAILED") + "; all figures: " + out.resolve(LINES) + ", as a page: "
                    + out.resolve(SUMMARY));
            return summary.passed() ? 0 : 1;
        } finally {
            delete(work);
            if (noGpu != null) {
                deleteEmpty(made);
            }
            ended.countDown();
            forget(stop);
        }
    }

    /** While Java ends: the thread that runs all this sees it and comes to its own end. */
    private void stop() {
        stopped = true;
        try {
            ended.await(STOP_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void forget(Thread stop) {
        try {
            Runtime.getRuntime().removeShutdownHook(stop);
        } catch (IllegalStateException e) {
            // Java is ending, and it runs.
        }
    }

    private double left() {
        return seconds - (System.nanoTime() - start) / 1e9;
    }

    /** What became of a process. */
    private enum End {
        DONE, DIED
    }

    private void section(Section section, double allowed) throws IOException {
        double until = left() - allowed;
        int begun = 0;
        for (int attempt = 1; noGpu == null; attempt++) {
            double own = left() - until;
            if (stopped || own <= 0 || attempt > ATTEMPTS) {
                String why = stopped ? "told to end" : own <= 0 ? "its time was up" : "given up after " + ATTEMPTS + " processes";
                results.add(section.name(), processes, "cut short", Map.of("why", why));
                people.printf(Locale.ROOT, "%-8s %-12s %s%n", "cut", section.name(), why);
                return;
            }
            Follower follower = new Follower(section.name(), begun, own);
            End end = follower.follow();
            if (end == End.DONE) {
                return;
            }
            // Without a new item another process would end in the same way.
            if (follower.begun == begun && attempt > 1) {
                return;
            }
            begun = follower.begun;
        }
    }

    /** One process, from its start to its end. */
    private final class Follower {
        private final String section;
        private final double allowed;
        private final Path file;
        private final Path log;
        private final Path crash;
        private final int skip;
        private int begun;
        private String item;
        private String last;
        private double limit = startLimit;
        private long since = System.nanoTime();
        private boolean done;
        private int garbage;

        Follower(String section, int skip, double allowed) {
            this.section = section;
            this.skip = skip;
            this.allowed = allowed;
            begun = skip;
            processes++;
            String name = String.format(Locale.ROOT, "%02d-%s", processes, section);
            file = work.resolve(name + ".jsonl");
            log = work.resolve(name + ".log");
            crash = Path.of(log + ".crash");
        }

        End follow() throws IOException {
            try (Tail tail = new Tail(file)) {
                Child child = children.start(new FirstChild.Order(section, file, out.resolve(CHOICES), skip, allowed).arguments(), work, log);
                String killed = null;
                try {
                    while (child.isAlive()) {
                        take(tail.lines());
                        killed = killed();
                        if (killed != null) {
                            break;
                        }
                        pause();
                    }
                } finally {
                    child.kill();
                }
                take(tail.lines());
                String rest = tail.rest();
                if (!rest.isEmpty()) {
                    garbage(rest);
                }
                if (noGpu == null && (!done || killed != null || child.exitCode() != 0)) {
                    died(killed != null ? killed : how(child.exitCode()));
                }
                printed();
            }
            for (Path own : List.of(file, log, crash)) {
                Files.deleteIfExists(own);
            }
            return done ? End.DONE : End.DIED;
        }

        /** Why it must be ended, or null. A section ends by itself when its time is up, as soon as its item does. */
        private String killed() {
            if (stopped) {
                return "told to end, killed";
            }
            if (left() < 0) {
                return "the whole time was up, killed";
            }
            if ((System.nanoTime() - since) / 1e9 > limit) {
                return String.format(Locale.ROOT, "%s for %.0f s, killed",
                        done ? "did not end" : item == null ? "did nothing" : "not done", limit);
            }
            return null;
        }

        private static String how(int exitCode) {
            if (exitCode == FirstChild.LOST) {
                return "the device was lost";
            }
            return exitCode > 128 ? "killed by signal " + (exitCode - 128) : "ended with exit code " + exitCode;
        }

        private void take(List<String> lines) throws IOException {
            for (String text : lines) {
                JsonValue line;
                String event;
                try {
                    line = Json.parse(text);
                    event = line.get("event").asString();
                } catch (WeightException e) {
                    garbage(text);
                    continue;
                }
                Map<String, Object> rest = new LinkedHashMap<>();
                line.asObject().forEach((key, value) -> rest.put(key, Outcome.plain(value)));
                rest.remove("event");
                since = System.nanoTime();
                switch (event) {
                    case "no gpu" -> {
                        noGpu = String.valueOf(rest.get("why"));
                        return;
                    }
                    case "begin" -> {
                        begun++;
                        item = String.valueOf(rest.get("item"));
                        limit = rest.get("limit") instanceof Number number ? number.doubleValue() : startLimit;
                    }
                    case "end" -> {
                        last = item;
                        item = null;
                        limit = startLimit;
                        // What has nothing to say but that it is well is not said.
                        if (!"OK".equals(rest.get("verdict")) || !"".equals(rest.get("detail"))) {
                            people.printf(Locale.ROOT, "%-8s %-12s %-44s %6.1f s  %s%n",
                                    String.valueOf(rest.get("verdict")).toLowerCase(Locale.ROOT), section, rest.get("item"),
                                    rest.get("seconds"), rest.get("detail"));
                        }
                    }
                    case "done" -> done = true;
                    default -> {
                        // Figures.
                    }
                }
                results.add(section, processes, event, rest);
            }
        }

        private void garbage(String text) throws IOException {
            if (garbage++ < KEPT_LINES) {
                results.add(section, processes, "garbage", Map.of("text", text.substring(0, Math.min(text.length(), 500))));
            }
        }

        private void died(String how) throws IOException {
            Map<String, Object> line = new LinkedHashMap<>();
            String where = item != null ? "at " + item : last != null ? "after " + last : "before its first item";
            line.put("where", where);
            line.put("how", how);
            results.add(section, processes, "died", line);
            people.printf(Locale.ROOT, "%-8s %-12s %-44s %s%n", "died", section, where, how);
        }

        /** The end of what it printed, and of Java's report of a crash the beginning. */
        private void printed() throws IOException {
            for (Path printed : List.of(log, crash)) {
                if (noGpu != null || Files.notExists(printed) || Files.size(printed) == 0) {
                    continue;
                }
                List<String> all = new String(Files.readAllBytes(printed), StandardCharsets.UTF_8).lines().toList();
                int from = printed == log ? Math.max(0, all.size() - KEPT_LINES) : 0;
                results.add(section, processes, "printed",
                        Map.of("lines", all.subList(from, Math.min(all.size(), from + KEPT_LINES))));
            }
        }
    }

    private static void pause() {
        try {
            Thread.sleep(POLL_MILLISECONDS);
        } catch (InterruptedException e) {
            throw new IllegalStateException("interrupted", e);
        }
    }

    /** A folder and those above it that are not there, the innermost first. */
    private static List<Path> missing(Path folder) {
        List<Path> missing = new ArrayList<>();
        for (Path path = folder; path != null && Files.notExists(path); path = path.getParent()) {
            missing.add(path);
        }
        return missing;
    }

    private static void deleteEmpty(List<Path> folders) {
        try {
            for (Path folder : folders) {
                Files.deleteIfExists(folder);
            }
        } catch (IOException e) {
            // Somebody else has put something there.
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }
}
