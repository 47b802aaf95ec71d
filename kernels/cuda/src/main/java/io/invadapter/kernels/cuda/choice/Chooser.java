package io.invadapter.kernels.cuda.choice;

import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * Finds the fastest of the candidates that work. A choice that the book knows is only prepared; else some candidates are
 * prepared and timed, those that need no compiling first. A candidate that fails, or whose scratch memory does not fit, is
 * passed over, it alone; one that lost the device, or ended the process, is not tried again by the next. One that cannot be
 * recorded is taken only when none can.
 */
public final class Chooser {
    /** The most scratch memory that one way may have. */
    public static final long MOST_WORKSPACE_BYTES = 512L << 20;
    /** Candidates that are prepared for one piece of work, those that fail included. */
    static final int MOST_ATTEMPTS = 10;
    /** Of those, the ones that are compiled at run time, a second each, when another works already. */
    static final int MOST_COMPILED = 2;
    /** A long candidate that takes that many times the best one's time is not timed further. */
    private static final double HOPELESS = 1.5;
    /** The best two are timed again when the second takes at most that many times the first one's time. */
    private static final double CLOSE = 1.1;

    private final CudaDriver driver;
    private final CudaDriver.Stream stream;
    private final Stopwatch stopwatch;
    private final Workspace workspace;
    private final ChoiceBook book;
    private final Runnable trim;
    private BiConsumer<String, Attempt> listener = (key, attempt) -> { };

    /**
     * @param stream    where ways are tried
     * @param workspace made large enough for what is chosen
     * @param trim      gives memory back that nobody uses; called when there is too little to try ways
     */
    public Chooser(CudaDriver driver, CudaDriver.Stream stream, Workspace workspace, ChoiceBook book, Runnable trim) {
        this.driver = driver;
        this.stream = stream;
        this.stopwatch = new Stopwatch(driver, stream);
        this.workspace = workspace;
        this.book = book;
        this.trim = trim;
    }

    /** From now on hears of every attempt, and the key of the work it was made for. */
    public void listener(BiConsumer<String, Attempt> newListener) {
        listener = newListener;
    }

    /** Whether work of that key was chosen for before, in this process or an earlier one. */
    public boolean knows(String key) {
        return book.find(key).isPresent();
    }

    /**
     * The way for an offer, which the caller closes. An offer with a single candidate, last resorts not counted, gets it untimed.
     * Not while a graph is recorded.
     *
     * @throws OutOfDeviceMemoryException when none works, and one of them for lack of memory
     * @throws CudaException              when none works: one sentence with the reasons
     */
    public <W extends Way> Choice<W> choose(Offer<W> offer) {
        Optional<ChoiceBook.Entry> own = book.find(offer.key());
        // How long other work takes tells nothing of this.
        return own.or(() -> book.find(offer.model()).map(entry -> new ChoiceBook.Entry(entry.name(), Double.NaN)))
                .flatMap(entry -> named(offer, entry)).orElseGet(() -> new Search<>(offer).run());
    }

    /** Empty when there is no such candidate any more, or it does not work. */
    private <W extends Way> Optional<Choice<W>> named(Offer<W> offer, ChoiceBook.Entry entry) {
        Optional<? extends Candidate<W>> candidate = offer.named(entry.name());
        if (candidate.isEmpty()) {
            return Optional.empty();
        }
        W way = null;
        try {
            way = candidate.get().prepare();
            reserve(way);
            return Optional.of(new Choice<>(entry.name(), way, entry.microseconds(), true));
        } catch (DeviceException e) {
            if (way != null) {
                way.close();
            }
            throwIfLost();
            return Optional.empty();
        }
    }

    private void reserve(Way way) {
        checkSize(way);
        try {
            workspace.address(way.workspaceBytes());
        } catch (OutOfDeviceMemoryException e) {
            trim.run();
            workspace.address(way.workspaceBytes());
        }
    }

    private static void checkSize(Way way) {
        if (way.workspaceBytes() > MOST_WORKSPACE_BYTES) {
            throw new OutOfDeviceMemoryException("it needs " + way.workspaceBytes() + " bytes of scratch memory, more than "
                    + MOST_WORKSPACE_BYTES);
        }
    }

    /** After a failure: no other way will do better on a lost device, whose own sentence says so. */
    private void throwIfLost() {
        driver.synchronize();
    }

    /** One offer's candidates, tried one after the other. */
    private final class Search<W extends Way> {
        private final Offer<W> offer;
        private final List<Choice<W>> working = new ArrayList<>();
        private final List<String> refusals = new ArrayList<>();
        private boolean outOfMemory;

        Search(Offer<W> offer) {
            this.offer = offer;
        }

        Choice<W> run() {
            Choice<W> chosen = null;
            try {
                List<Candidate<W>> candidates = new ArrayList<>();
                offer.candidates().forEach(candidates::add);
                candidates.sort(Comparator.comparing(Candidate<W>::isLastResort).thenComparing(Candidate::compiledAtRunTime));
                if (candidates.stream().filter(candidate -> !candidate.isLastResort()).count() > 1) {
                    tryAll(candidates);
                } else {
                    firstThatPrepares(candidates);
                }
                chosen = fastest();
                if (chosen == null) {
                    String message = offer.key() + " cannot be computed: " + (refusals.isEmpty() ? "the library has no way"
                            : String.join("; ", refusals));
                    throw outOfMemory ? new OutOfDeviceMemoryException(message) : new CudaException(message);
                }
                return chosen;
            } finally {
                for (Choice<W> choice : working) {
                    if (choice != chosen) {
                        choice.way().close();
                    }
                }
            }
        }

        private void tryAll(List<Candidate<W>> candidates) {
            try (Offer.Trial<W> trial = trial()) {
                if (trial == null) {
                    firstThatPrepares(candidates);
                    return;
                }
                // What went wrong before is no candidate's doing.
                Chooser.this.throwIfLost();
                int attempts = 0;
                int compiled = 0;
                for (Candidate<W> candidate : candidates) {
                    boolean enough = !working.isEmpty() && (candidate.isLastResort()
                            || candidate.compiledAtRunTime() && compiled >= MOST_COMPILED);
                    if (attempts < MOST_ATTEMPTS && !enough || working.isEmpty() && candidate.isLastResort()) {
                        attempts++;
                        compiled += candidate.compiledAtRunTime() ? 1 : 0;
                        attempt(candidate, trial);
                    }
                }
                compareTheBest(trial);
            }
        }

        /** Where two are close, back to back: the chip's clocks may have changed between their turns. */
        private void compareTheBest(Offer.Trial<W> trial) {
            List<Choice<W>> ranked = ranked();
            if (ranked.size() < 2 || !ranked.get(1).recordable()
                    || ranked.get(1).microseconds() > ranked.getFirst().microseconds() * CLOSE) {
                return;
            }
            for (Choice<W> choice : ranked.subList(0, 2)) {
                working.remove(choice);
                try {
                    Stopwatch.Reading reading = time(choice.way(), trial, Double.POSITIVE_INFINITY);
                    working.add(new Choice<>(choice.name(), choice.way(), reading.microseconds(), reading.recordable()));
                } catch (DeviceException e) {
                    refuse(choice.name(), e);
                    choice.way().close();
                    throwIfLost(choice.name());
                }
            }
        }

        /** Null when there is no memory to try anything. */
        private Offer.Trial<W> trial() {
            try {
                return offer.trial();
            } catch (OutOfDeviceMemoryException e) {
                trim.run();
            }
            try {
                return offer.trial();
            } catch (OutOfDeviceMemoryException e) {
                return null;
            }
        }

        private void firstThatPrepares(List<Candidate<W>> candidates) {
            for (int i = 0; i < candidates.size() && working.isEmpty(); i++) {
                if (i < MOST_ATTEMPTS || candidates.get(i).isLastResort()) {
                    attempt(candidates.get(i), null);
                }
            }
        }

        private void attempt(Candidate<W> candidate, Offer.Trial<W> trial) {
            if (book.isFatal(offer.key(), candidate.name())) {
                CudaException reason = new CudaException("it lost the device, or ended the program, when it was tried before");
                refuse(candidate.name(), reason);
                listener.accept(offer.key(), new Attempt(candidate.name(), candidate.notes(), -1, 0, Double.NaN, true,
                        reason.getMessage()));
                return;
            }
            book.trying(offer.key(), candidate.name());
            try {
                prepareAndTime(candidate, trial);
            } finally {
                book.tried();
            }
        }

        /** Given nothing to try it on, prepares only. */
        private void prepareAndTime(Candidate<W> candidate, Offer.Trial<W> trial) {
            long start = System.nanoTime();
            double milliseconds = 0;
            W way = null;
            Stopwatch.Reading reading = new Stopwatch.Reading(Double.NaN, true);
            String refusal = null;
            try {
                way = candidate.prepare();
                milliseconds = (System.nanoTime() - start) / 1e6;
                checkSize(way);
                if (trial != null) {
                    reading = time(way, trial, enough());
                } else {
                    reserve(way);
                }
                working.add(new Choice<>(candidate.name(), way, reading.microseconds(), reading.recordable()));
            } catch (DeviceException e) {
                refusal = e.getMessage();
                refuse(candidate.name(), e);
            }
            listener.accept(offer.key(), new Attempt(candidate.name(), candidate.notes(), way == null ? -1 : way.workspaceBytes(),
                    milliseconds, reading.microseconds(), reading.recordable(), refusal));
            if (refusal != null) {
                if (way != null) {
                    way.close();
                }
                throwIfLost(candidate.name());
            }
        }

        private void throwIfLost(String name) {
            try {
                Chooser.this.throwIfLost();
            } catch (DeviceException e) {
                book.lost(offer.key(), name);
                throw e;
            }
        }

        private void refuse(String name, DeviceException e) {
            refusals.add(name + ": " + e.getMessage());
            outOfMemory |= e instanceof OutOfDeviceMemoryException;
        }

        /** Once more when there was too little memory: not for that moment alone another way is taken from now on. */
        private Stopwatch.Reading time(W way, Offer.Trial<W> trial, double enough) {
            try {
                return timeOnce(way, trial, enough);
            } catch (OutOfDeviceMemoryException e) {
                trim.run();
                return timeOnce(way, trial, enough);
            }
        }

        /** On scratch memory of its own: the device's would stay as large as the hungriest candidate. */
        private Stopwatch.Reading timeOnce(W way, Offer.Trial<W> trial, double enough) {
            try (TrialMemory scratch = new TrialMemory(driver)) {
                long address = scratch.block(way.workspaceBytes());
                return stopwatch.time(() -> trial.run(way, address, stream), enough);
            }
        }

        /** Microseconds with which a candidate has lost. */
        private double enough() {
            return working.stream().filter(Choice::recordable).mapToDouble(choice -> choice.microseconds() * HOPELESS).min()
                    .orElse(Double.POSITIVE_INFINITY);
        }

        private List<Choice<W>> ranked() {
            List<Choice<W>> ranked = new ArrayList<>(working);
            ranked.sort(Comparator.comparing((Choice<W> c) -> !c.recordable()).thenComparing(Choice::microseconds));
            return ranked;
        }

        /** The best of those that work whose scratch memory fits, now that the trial's is free again; null when none does. */
        private Choice<W> fastest() {
            for (Choice<W> choice : ranked()) {
                try {
                    reserve(choice.way());
                    if (!Double.isNaN(choice.microseconds()) && choice.recordable()) {
                        book.put(offer.key(), new ChoiceBook.Entry(choice.name(), choice.microseconds()));
                    }
                    return choice;
                } catch (OutOfDeviceMemoryException e) {
                    refuse(choice.name(), e);
                }
            }
            return null;
        }
    }
}
