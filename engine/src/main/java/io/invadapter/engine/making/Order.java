package io.invadapter.engine.making;

import io.invadapter.engine.Latents;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.ProgressListener;
import java.awt.image.BufferedImage;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * A request on its way: whether anybody still waits for it, what there is of it already and what came of it. Its numbers are
 * the model's own where the client left them open. Used on the device's thread, except where it says otherwise.
 */
public final class Order {
    private final GenerationRequest request;
    private final Batch.Kind kind;
    private final Reports reports;
    private final BufferedImage[] images;
    private final Latents[] latents;
    private final Set<String> warnings = new LinkedHashSet<>();
    private RuntimeException failure;
    /** 0: not yet foreseen. */
    private int batches;
    /** Written by any thread. */
    private volatile boolean cancelled;

    public Order(GenerationRequest request, Batch.Kind kind) {
        this.request = request;
        this.kind = kind;
        this.reports = new Reports(request.listener());
        this.images = new BufferedImage[request.count()];
        this.latents = new Latents[request.count()];
    }

    public GenerationRequest request() {
        return request;
    }

    public Batch.Kind kind() {
        return kind;
    }

    /** Whether somebody is told how far it is. */
    boolean isWatched() {
        return request.listener() != ProgressListener.NONE;
    }

    /** On any thread: ends this order, and no other that was made of the same request. */
    public void cancel() {
        cancelled = true;
    }

    public boolean isCancelled() {
        return cancelled || request.cancellation().isCancelled();
    }

    /** Whether there is anything left to do for it. */
    public boolean isOpen() {
        return failure == null && !isCancelled() && !reports.failed() && finished() < images.length;
    }

    void fail(RuntimeException reason) {
        if (failure == null) {
            failure = reason;
        }
    }

    /**
     * What came of it, once nothing is done for it any more.
     *
     * @throws RuntimeException why there is nothing: a {@link java.util.concurrent.CancellationException} when nobody waits
     */
    public GenerationResult result() {
        if (failure != null) {
            throw failure;
        }
        if (reports.failed() || finished() < images.length) {
            throw reports.cancelled();
        }
        return new GenerationResult(List.of(images), List.of(latents), List.copyOf(warnings));
    }

    // --- pictures ---------------------------------------------------------------------------------------------------

    boolean has(int picture) {
        return images[picture] != null;
    }

    public int[] missing() {
        return IntStream.range(0, images.length).filter(i -> !has(i)).toArray();
    }

    private int finished() {
        return (int) Arrays.stream(images).filter(image -> image != null).count();
    }

    public void finish(int picture, Latents latentsOfIt, BufferedImage image) {
        images[picture] = image;
        latents[picture] = latentsOfIt;
        reports.picture(picture, image);
        reports.step("decoding", finished(), images.length, List::of);
    }

    // --- reports ----------------------------------------------------------------------------------------------------

    public void warn(String sentence) {
        warnings.add(sentence);
    }

    /** In how many batches its pictures are made, as far as can be foreseen: its steps are those of all of them. */
    void expectBatches(int expected) {
        if (batches == 0) {
            batches = expected;
        }
    }

    void inverting(int step, int steps) {
        reports.step("inverting", step, steps, List::of);
    }

    /** @param pictures of this order that have made {@code step} of {@code steps} steps */
    void generating(int pictures, int step, int steps, Supplier<List<BufferedImage>> preview) {
        long done = (long) finished() * steps + (long) pictures * step;
        int reached = (int) (done * batches / images.length);
        reports.step("generating", reached, steps * batches, preview);
    }
}
