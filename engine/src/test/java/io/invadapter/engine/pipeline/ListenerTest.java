package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.STEPS;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.builder;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.making.Order;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.kernels.DeviceException;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a request's listener is told, and what it can do to others: nothing. */
@Timeout(600)
class ListenerTest {
    private static Pipeline pipeline;

    @BeforeAll
    static void openPipeline() {
        pipeline = builder(IdentityBudget.NONE).picturesPerBatch(2).open();
    }

    @AfterAll
    static void closePipeline() {
        pipeline.close();
    }

    /** Holds what it was told. */
    private static final class Told implements ProgressListener {
        private final List<String> steps = new ArrayList<>();
        private final Map<Integer, BufferedImage> pictures = new HashMap<>();

        @Override
        public void onStep(String phase, int step, int steps) {
            this.steps.add(phase + " " + step + "/" + steps);
        }

        @Override
        public void onPicture(int index, BufferedImage picture) {
            assertEquals(pictures.size(), index);
            pictures.put(index, picture);
        }
    }

    @Test
    void aLargeCountIsMadeInBatchesAndEachPictureGivenWhenItIsDone() {
        Told told = new Told();
        GenerationRequest.Builder five = request(null, "a person", 1).count(5).listener(told);
        GenerationResult result = pipeline.generate(five.build());
        assertEquals(List.of("generating 1/9", "generating 2/9", "generating 3/9", "decoding 1/5", "decoding 2/5"), told.steps.subList(0, 5));
        assertEquals(List.of("generating 9/9", "decoding 5/5"), told.steps.subList(told.steps.size() - 2, told.steps.size()));
        assertGrowing(told.steps);
        for (int i = 0; i < 5; i++) {
            assertEquals(result.images().get(i), told.pictures.get(i));
            assertSame(pipeline.generate(request(null, "a person", 1 + i).build()), new GenerationResult(
                    List.of(result.images().get(i)), List.of(result.latents().get(i)), List.of()));
        }
    }

    @Test
    void aLargeCountInAPoolLetsOthersInAndIsTheSame() {
        List<String> done = Collections.synchronizedList(new ArrayList<>());
        try (PipelinePool pool = PipelinePool.builder().pipeline(open(Pictures.PLENTY)).build()) {
            CompletableFuture<CompletableFuture<GenerationResult>> other = new CompletableFuture<>();
            Told told = new Told();
            GenerationRequest.Builder large = request(FACES.get(0), "a person", 1).count(4);
            GenerationResult result = pool.submit("large", large.listener(new ProgressListener() {
                @Override
                public void onStep(String phase, int step, int steps) {
                    told.onStep(phase, step, steps);
                }

                @Override
                public void onPicture(int index, BufferedImage picture) {
                    told.onPicture(index, picture);
                    done.add("picture " + index);
                    if (index == 0) {
                        other.complete(CompletableFuture.supplyAsync(() -> pool.submit("other", request(null, "a person", 9).build())).join());
                        other.join().thenRun(() -> done.add("other"));
                    }
                }
            }).build()).join();
            assertSame(pipeline.generate(request(null, "a person", 9).build()), other.join().join());
            assertEquals(List.of("picture 0", "other", "picture 1", "picture 2", "picture 3"), done);
            assertSame(pipeline.generate(large.listener(ProgressListener.NONE).build()), result);
            assertGrowing(told.steps);
            assertEquals(List.of("generating 12/12", "decoding 4/4"), told.steps.subList(told.steps.size() - 2, told.steps.size()));
        }
    }

    @Test
    void whatIsFinishedBeforeACancellationWasGiven() {
        Cancellation cancellation = new Cancellation();
        Told told = new Told();
        assertThrows(CancellationException.class, () -> pipeline.generate(request(null, "a person", 1).count(4)
                .cancellation(cancellation).listener(new ProgressListener() {
                    @Override
                    public void onStep(String phase, int step, int steps) {
                        if (step == STEPS + 1) {
                            cancellation.cancel();
                        }
                    }

                    @Override
                    public void onPicture(int index, BufferedImage picture) {
                        told.onPicture(index, picture);
                    }
                }).build()));
        assertEquals(2, told.pictures.size());
    }

    @Test
    void stepsOnlyGrowWhenABatchIsTooLarge() {
        WatchedDevice device = new WatchedDevice();
        device.prefersLargeBatches = true;
        List<String> notices = new ArrayList<>();
        try (Pipeline small = builder(IdentityBudget.NONE).notices(notices::add).open(() -> device)) {
            device.mostRows = 5;
            Told told = new Told();
            GenerationResult found = small.generate(request(null, "a person", 1).count(4).listener(told).build());
            Pictures.assertClose(pipeline.generate(request(null, "a person", 1).count(4).build()), found);
            assertEquals(List.of("cpu: no memory for 4 pictures at once, so they are made in two parts (no memory for 8 rows, says the test)"),
                    notices);
            assertGrowing(told.steps);
            assertEquals("decoding 4/4", told.steps.getLast());
        }
    }

    private static void assertGrowing(List<String> steps) {
        Map<String, Integer> last = new HashMap<>();
        for (String step : steps) {
            String[] parts = step.split("[ /]");
            int number = Integer.parseInt(parts[1]);
            assertTrue(number > last.getOrDefault(parts[0], 0) && number <= Integer.parseInt(parts[2]), steps.toString());
            last.put(parts[0], number);
        }
    }

    // --- listeners that fail ----------------------------------------------------------------------------------------

    @Test
    void oneThatFailsEndsItsOwnRequestOnly() {
        IllegalArgumentException mistake = new IllegalArgumentException("the client's own");
        Told told = new Told();
        Order failing = pipeline.acceptance().order(request(FACES.get(0), "a person", 1).listener((phase, step, steps) -> {
            throw mistake;
        }).build());
        GenerationRequest.Builder other = request(FACES.get(1), "a person", 2);
        Order good = pipeline.acceptance().order(other.listener(told).build());
        pipeline.carryOut(List.of(failing, good), false);
        CancellationException end = assertThrows(CancellationException.class, failing::result);
        assertEquals(mistake, end.getCause());
        assertEquals(1 + 2 * STEPS, told.steps.size(), "nothing was done twice");
        assertSame(pipeline.generate(other.listener(ProgressListener.NONE).build()), good.result());
    }

    @Test
    void oneOfALanguageWithoutCheckedExceptionsFailsAlone() {
        IOException mistake = new IOException("the client has gone away");
        CancellationException end = assertThrows(CancellationException.class, () -> pipeline.generate(request(null, "a person", 1)
                .listener((phase, step, steps) -> ListenerTest.<RuntimeException>unchecked(mistake)).build()));
        assertEquals(mistake, end.getCause());
    }

    @SuppressWarnings("unchecked")
    private static <E extends Exception> void unchecked(Exception e) throws E {
        throw (E) e;
    }

    @Test
    void oneThatFailsDoesNotTakeTheDeviceAlong() {
        try (PipelinePool pool = PipelinePool.builder().pipeline(open(IdentityBudget.NONE)).build()) {
            DeviceException mistake = new DeviceException("of another device");
            CompletableFuture<GenerationResult> failing = pool.submit(request(null, "a person", 1).listener((phase, step, steps) -> {
                throw mistake;
            }).build());
            assertEquals(mistake, failing.handle((result, end) -> end.getCause()).join());
            assertTrue(failing.isCancelled());
            assertEquals(List.of("cpu"), pool.devicesInService());
            assertSame(pipeline.generate(request(null, "a person", 2).build()), pool.submit(request(null, "a person", 2).build()).join());
        }
    }

    @Test
    void anInterruptThatOneLeavesBehindEndsItsRequestAndNothingElse() {
        assertThrows(CancellationException.class, () -> pipeline.generate(request(null, "a person", 1)
                .listener((phase, step, steps) -> Thread.currentThread().interrupt()).build()));
        assertThrows(CancellationException.class, () -> pipeline.invert(FACES.get(0), "", STEPS,
                (phase, step, steps) -> Thread.currentThread().interrupt()));
        pipeline.generate(request(null, "a person", 1).build());
    }

    // --- the pipeline from within -----------------------------------------------------------------------------------

    @Test
    void thePipelineCannotBeCalledFromWithinAndThePictureIsTheSame() {
        GenerationRequest plain = request(FACES.get(0), "a person", 1).build();
        List<String> refusals = new ArrayList<>();
        GenerationRequest calling = request(FACES.get(0), "a person", 1).listener((phase, step, steps) -> {
            if (phase.equals("generating") && step == 2) {
                refusals.add(assertThrows(IllegalStateException.class, () -> pipeline.generate(plain)).getMessage());
                refusals.add(assertThrows(IllegalStateException.class,
                        () -> pipeline.invert(FACES.get(0), "", STEPS, ProgressListener.NONE)).getMessage());
                refusals.add(assertThrows(IllegalStateException.class, pipeline::close).getMessage());
            }
        }).build();
        GenerationResult found = pipeline.generate(calling);
        String why = ": the pipeline is at work on this very thread";
        assertEquals(List.of("a listener cannot make pictures" + why, "a listener cannot invert a face" + why,
                "a listener cannot close the pipeline" + why), refusals);
        assertSame(pipeline.generate(plain), found);
    }

    @Test
    void thePoolCannotBeClosedFromWithin() {
        try (PipelinePool pool = PipelinePool.builder().pipeline(open(IdentityBudget.NONE)).build()) {
            List<String> refusals = new ArrayList<>();
            pool.submit(request(null, "a person", 1).listener((phase, step, steps) -> {
                if (phase.equals("decoding")) {
                    refusals.add(assertThrows(IllegalStateException.class, pool::close).getMessage());
                }
            }).build()).join();
            assertEquals(List.of("the thread of a device cannot wait for itself: close the pool on another"), refusals);
        }
    }

    @Test
    void aListenerCannotSubmitToItsPoolButAStageOfTheResultCan() {
        try (PipelinePool pool = PipelinePool.builder().pipeline(open(IdentityBudget.NONE)).build()) {
            List<String> refusals = new ArrayList<>();
            GenerationRequest next = request(null, "a person", 2).build();
            CompletableFuture<GenerationResult> followed = pool.submit(request(null, "a person", 1).listener((phase, step, steps) -> {
                if (phase.equals("decoding")) {
                    refusals.add(assertThrows(IllegalStateException.class, () -> pool.submit(next)).getMessage());
                    refusals.add(assertThrows(IllegalStateException.class,
                            () -> pool.submit("client", next, Duration.ofHours(1))).getMessage());
                }
            }).build()).thenCompose(result -> pool.submit(next));
            assertSame(pipeline.generate(next), followed.join());
            String refusal = "a listener cannot submit a request: its device stands still until it returns; submit on another thread";
            assertEquals(List.of(refusal, refusal), refusals);
        }
    }

    // --- notices ----------------------------------------------------------------------------------------------------

    @Test
    void whoeverIsGivenTheNoticesCannotEndARequest() {
        WatchedDevice device = new WatchedDevice();
        device.prefersLargeBatches = true;
        List<String> notices = new ArrayList<>();
        try (Pipeline small = builder(IdentityBudget.NONE).notices(notice -> {
            notices.add(notice);
            Thread.currentThread().interrupt();
            throw new DeviceException("a mistake, says the test");
        }).open(() -> device)) {
            device.mostRows = 5;
            GenerationRequest four = request(null, "a person", 1).count(4).build();
            assertEquals(4, small.generate(four).images().size());
            assertEquals(1, notices.size());
        }
    }

    // --- previews ---------------------------------------------------------------------------------------------------

    @Test
    void aPreviewLooksLikeThePictureAndDoesNotChangeIt() {
        List<List<BufferedImage>> previews = new ArrayList<>();
        AtomicReference<Supplier<List<BufferedImage>>> kept = new AtomicReference<>();
        GenerationRequest.Builder asked = request(FACES.get(0), "a person in a red hoodie", 1).size(128, 128).count(2).steps(8);
        GenerationResult result = pipeline.generate(asked.listener(new ProgressListener() {
            @Override
            public void onStep(String phase, int step, int steps) {
                throw new AssertionError("the other one is overridden");
            }

            @Override
            public void onStep(String phase, int step, int steps, Supplier<List<BufferedImage>> preview) {
                if (phase.equals("generating")) {
                    previews.add(preview.get());
                } else {
                    assertEquals(List.of(), preview.get());
                }
                kept.set(preview);
            }
        }).build());
        assertSame(pipeline.generate(asked.listener(ProgressListener.NONE).build()), result);
        assertThrows(IllegalStateException.class, kept.get()::get);
        assertEquals(8, previews.size());
        for (int i = 0; i < 2; i++) {
            double first = difference(previews.getFirst().get(i), result.images().get(i));
            double last = difference(previews.getLast().get(i), result.images().get(i));
            double other = difference(previews.getLast().get(i), result.images().get(1 - i));
            assertTrue(last < 25 && last < first && last < other, "noise " + first + ", end " + last + ", the other picture " + other);
        }
    }

    /** Of a preview's pixels and the means of the picture's that they stand for, of 255. */
    private static double difference(BufferedImage preview, BufferedImage picture) {
        assertEquals(picture.getWidth(), preview.getWidth() * 8);
        double sum = 0;
        for (int y = 0; y < preview.getHeight(); y++) {
            for (int x = 0; x < preview.getWidth(); x++) {
                for (int shift = 0; shift <= 16; shift += 8) {
                    double mean = 0;
                    for (int i = 0; i < 64; i++) {
                        mean += (picture.getRGB(8 * x + i % 8, 8 * y + i / 8) >> shift & 255) / 64.0;
                    }
                    sum += Math.abs(mean - (preview.getRGB(x, y) >> shift & 255));
                }
            }
        }
        return sum / (3.0 * preview.getWidth() * preview.getHeight());
    }
}
