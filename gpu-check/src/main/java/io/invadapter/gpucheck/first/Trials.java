package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.choice.Stopwatch;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

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

    Trials(Contact contact) {
        this.contact = contact;
    }

    /** Those that are ready first, for all subjects; then those that have to be compiled. */
    void all(List<? extends Subject<W>> subjects, double limit) {
        Map<Subject<W>, List<Candidate<W>>> candidates = new LinkedHashMap<>();
        for (Subject<W> subject : subjects) {
            candidates.put(subject, contact.asked(subject.label() + ": candidates", subject::candidates));
        }
        for (boolean compiled : new boolean[] {false, true}) {
            for (Subject<W> subject : subjects) {
                List<Operands<W>> operands = new ArrayList<>();
                for (Candidate<W> candidate : candidates.get(subject)) {
                    if (candidate.compiledAtRunTime() == compiled) {
                        contact.item(subject.label() + ": " + candidate.name(), LONG * contact.sizes().limit(),
                                () -> tried(subject, candidate, operands, limit));
                    }
                }
                operands.forEach(Operands::close);
            }
        }
        for (Subject<W> subject : subjects) {
            contact.item(subject.label() + ": chosen", contact.sizes().limit(), () -> chosen(subject));
        }
    }

    /** @param kept the subject's operands, if any candidate has needed them */
    private Outcome tried(Subject<W> subject, Candidate<W> candidate, List<Operands<W>> kept, double limit) {
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
            if (kept.isEmpty()) {
                kept.add(subject.operands());
            }
            return run(subject, candidate, way, kept.getFirst(), limit, milliseconds, data);
        }
    }

    private Outcome run(Subject<W> subject, Candidate<W> candidate, W way, Operands<W> operands, double limit, double prepared,
            Map<String, Object> data) {
        CudaDriver driver = contact.driver();
        try (OnDevice scratch = new OnDevice(driver); CudaDriver.Stream stream = driver.newStream()) {
            long workspace = way.workspaceBytes() == 0 ? 0 : scratch.room(way.workspaceBytes());
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
