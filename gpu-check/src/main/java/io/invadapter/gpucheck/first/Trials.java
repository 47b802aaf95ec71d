package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.choice.Stopwatch;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Pattern;

/**
 * Every candidate for some pieces of work: prepared, checked against the host, timed in a replayed graph; or the refusal in the
 * library's words. The fastest goes into the book, where the sections to come find it.
 *
 * @param <W> the ways that compute the work
 */
final class Trials<W extends Way> {
    /** Preparing and timing; a candidate that is compiled at run time takes seconds. In parts of the usual limit. */
    private static final double LONG = 2;
    /**
     * Of one engine for one graph, the most promising settings: what cuDNN proposes is mostly the same engine with other knobs, and
     * a device tries no more than ten candidates.
     */
    private static final int MOST_SETTINGS = 4;
    /** As they end the names of cuDNN's engines. */
    private static final Pattern KNOBS = Pattern.compile("( k\\d+=-?\\d+)+$");

    /**
     * A piece of work.
     *
     * @param <W> the ways that compute it
     */
    interface Subject<W extends Way> {
        /** For people. */
        String label();

        /** In the book. */
        String key();

        /** How often a step computes it, 0 where that is not known. */
        long timesPerStep();

        double operations();

        /** The same in every process. */
        List<Candidate<W>> candidates();

        Operands<W> operands();
    }

    /** Memory with known values. */
    interface Operands<W extends Way> extends AutoCloseable {
        /** Makes the result no numbers, so that it is nobody else's. */
        void spoil();

        void run(W way, long workspace, CudaDriver.Stream stream);

        /** Of the last result at some places. */
        double error();

        /** All of it. */
        byte[] result();

        @Override
        void close();
    }

    private final Contact contact;
    /** Kept while there is memory for all: making them takes the host longer than the device needs for a candidate. */
    private final Map<Subject<W>, Operands<W>> kept = new HashMap<>();

    Trials(Contact contact) {
        this.contact = contact;
    }

    /**
     * Those that are ready first, then those that have to be compiled. Of each the most promising candidate of every subject, then
     * the next: when time runs out each has had some.
     */
    void all(List<? extends Subject<W>> subjects, double limit) {
        Map<Subject<W>, List<Candidate<W>>> candidates = new LinkedHashMap<>();
        for (Subject<W> subject : subjects) {
            candidates.put(subject, someOfEachEngine(contact.asked(subject.label() + ": candidates", subject::candidates)));
        }
        try {
            inTurn(candidates, false, limit);
            inTurn(candidates, true, limit);
        } finally {
            release();
        }
        for (Subject<W> subject : subjects) {
            contact.summary(subject.label() + ": chosen", () -> chosen(subject));
        }
    }

    private static <W extends Way> List<Candidate<W>> someOfEachEngine(List<Candidate<W>> candidates) {
        Map<String, Integer> settings = new HashMap<>();
        return candidates.stream().filter(candidate ->
                settings.merge(KNOBS.matcher(candidate.name()).replaceFirst(""), 1, Integer::sum) <= MOST_SETTINGS).toList();
    }

    private void inTurn(Map<Subject<W>, List<Candidate<W>>> all, boolean compiled, double limit) {
        boolean more = true;
        for (int rank = 0; more; rank++) {
            more = false;
            for (Map.Entry<Subject<W>, List<Candidate<W>>> entry : all.entrySet()) {
                Optional<Candidate<W>> next = entry.getValue().stream()
                        .filter(candidate -> candidate.compiledAtRunTime() == compiled).skip(rank).findFirst();
                next.ifPresent(candidate -> contact.item(entry.getKey().label() + ": " + candidate.name(),
                        LONG * contact.sizes().limit(), () -> tried(entry.getKey(), candidate, limit)));
                more |= next.isPresent();
            }
        }
    }

    /** What needs memory, for which kept operands may have to go. */
    private <T> T withMemory(Supplier<T> maker) {
        try {
            return maker.get();
        } catch (OutOfDeviceMemoryException e) {
            release();
            return maker.get();
        }
    }

    private void release() {
        kept.values().forEach(Operands::close);
        kept.clear();
    }

    private Outcome tried(Subject<W> subject, Candidate<W> candidate, double limit) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("work", subject.key());
        data.put("candidate", candidate.name());
        data.put("notes", candidate.notes());
        data.put("compiled_at_run_time", candidate.compiledAtRunTime());
        long start = System.nanoTime();
        W prepared;
        try {
            prepared = candidate.prepare();
        } catch (DeviceException e) {
            // A lost device is no refusal.
            contact.driver().synchronize();
            data.put("refusal", e.getMessage());
            return new Outcome(Outcome.Verdict.SKIPPED, "refused: " + e.getMessage(), data);
        }
        try (W way = prepared) {
            double milliseconds = (System.nanoTime() - start) / 1e6;
            data.put("prepare_ms", milliseconds);
            data.put("workspace_bytes", way.workspaceBytes());
            // Known even if it crashes.
            contact.journal().more(data);
            return run(subject, candidate, way, limit, milliseconds, data);
        }
    }

    private Outcome run(Subject<W> subject, Candidate<W> candidate, W way, double limit, double prepared, Map<String, Object> data) {
        CudaDriver driver = contact.driver();
        try (OnDevice scratch = new OnDevice(driver); CudaDriver.Stream stream = driver.newStream()) {
            long workspace = way.workspaceBytes() == 0 ? 0 : withMemory(() -> scratch.room(way.workspaceBytes()));
            Operands<W> operands = withMemory(() -> kept.computeIfAbsent(subject, Subject::operands));
            operands.spoil();
            operands.run(way, workspace, stream);
            stream.synchronize();
            double error = operands.error();
            data.put("error", error);
            Stopwatch.Reading reading = new Stopwatch(driver, stream).time(() -> operands.run(way, workspace, stream));
            data.put("us", reading.microseconds());
            data.put("recordable", reading.recordable());
            boolean right = error <= limit;
            if (right && reading.recordable()) {
                keep(subject, candidate, reading.microseconds());
            }
            return Outcome.of(right, String.format(Locale.ROOT, "%.1f us, %.1f TFLOP/s, %.1f MiB, prepared in %.0f ms, error %.1e%s%s",
                    reading.microseconds(), subject.operations() / reading.microseconds() / 1e6, way.workspaceBytes() / 1048576.0, prepared,
                    error, reading.recordable() ? "" : ", cannot be recorded",
                    candidate.notes().isEmpty() ? "" : " (" + String.join(", ", candidate.notes()) + ")"), data);
        }
    }

    private void keep(Subject<W> subject, Candidate<W> candidate, double microseconds) {
        ChoiceBook book = contact.choices();
        Optional<ChoiceBook.Entry> known = book.find(subject.key());
        if (known.isEmpty() || known.get().microseconds() > microseconds) {
            book.put(subject.key(), new ChoiceBook.Entry(candidate.name(), microseconds));
        }
    }

    private Outcome chosen(Subject<W> subject) {
        Optional<ChoiceBook.Entry> entry = contact.choices().find(subject.key());
        if (entry.isEmpty()) {
            return Outcome.failed("no candidate works, or there was no time to try them");
        }
        double microseconds = entry.get().microseconds();
        long times = subject.timesPerStep();
        return Outcome.of(true, String.format(Locale.ROOT, "%s, %.1f us%s", entry.get().name(), microseconds,
                times == 0 ? "" : ", " + times + " times a step"),
                Map.of("work", subject.key(), "candidate", entry.get().name(), "us", microseconds, "times_per_step", times,
                        "tflops", subject.operations() / microseconds / 1e6));
    }
}
