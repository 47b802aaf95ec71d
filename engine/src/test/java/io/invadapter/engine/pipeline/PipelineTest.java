package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.PLENTY;
import static io.invadapter.engine.pipeline.Pictures.assertClose;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.difference;
import static io.invadapter.engine.pipeline.Pictures.latents;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.making.Order;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What someone who makes pictures relies on, with the bundled model on the CPU. */
@Timeout(600)
class PipelineTest {
    private static Pipeline pipeline;

    @BeforeAll
    static void openPipeline() {
        pipeline = open(IdentityBudget.NONE);
    }

    @AfterAll
    static void closePipeline() {
        pipeline.close();
    }

    @Test
    void theSameRequestGivesTheSameLatents() {
        for (GenerationRequest.Builder request : List.of(request(FACES.get(0), "a happy person", 1),
                request(FACES.get(0), "a happy person", 1).size(0, 0), request(null, "a person", 1))) {
            assertSame(pipeline.generate(request.build()), pipeline.generate(request.build()));
        }
    }

    @Test
    void countGivesThePicturesOfTheFollowingSeeds() {
        GenerationResult three = pipeline.generate(request(FACES.get(0), "a person", 5).count(3).build());
        assertEquals(3, three.images().size());
        for (int i = 0; i < 3; i++) {
            float[] alone = latents(pipeline, request(FACES.get(0), "a person", 5 + i));
            assertArrayEquals(alone, three.latents().get(i).values());
        }
    }

    @Test
    void aBatchGivesWhatItsRequestsGiveAlone() {
        assertBatch(List.of(
                request(FACES.get(0), "a happy person in a red hoodie", 1).build(),
                request(null, "a serious person", 2).build(),
                request(FACES.get(1), "a smiling person", 3).identityScale(0.5).guidanceScale(1).build(),
                request(FACES.get(0), "a person", 4).negativePrompt("hat").guidanceScale(6).count(2).build(),
                request(FACES.get(2), "a person", 5).identityScale(0).build(),
                request(FACES.get(0), "a person", 6).caption("a cartoon portrait").guidanceScale(0).build()));
    }

    @Test
    void aBatchWithoutGuidanceGivesWhatItsRequestsGiveAlone() {
        assertBatch(List.of(request(FACES.get(0), "a happy person", 1).guidanceScale(1).build(),
                request(FACES.get(1), "a serious person", 2).guidanceScale(1).build(),
                request(null, "a person", 3).guidanceScale(1).build()));
    }

    @Test
    void aBatchWithoutFacesGivesWhatItsRequestsGiveAlone() {
        assertBatch(List.of(request(null, "a happy person", 1).build(), request(null, "a serious person", 2).guidanceScale(1).build()));
    }

    /** To the bit, whatever is beside a picture: with and without guidance or a face, and more of them. */
    @ParameterizedTest
    @CsvSource({"FP32, 72, 104", "FP32, 128, 128", "FP32, 8, 200", "BF16, 64, 64", "BF16, 136, 72"})
    void aPictureIsTheSameBesideAnyOther(Precision precision, int width, int height) {
        List<GenerationRequest> requests = Stream.of(request(null, "a person", 1), request(null, "a person", 1).guidanceScale(1),
                request(FACES.get(0), "a happy person", 2), request(FACES.get(1), "a serious person", 3).guidanceScale(0.5),
                request(FACES.get(0), "a person", 4).count(2)).map(request -> request.size(width, height).steps(2).build()).toList();
        try (Pipeline sideBySide = Pictures.builder(IdentityBudget.NONE).precision(precision).picturesPerBatch(6).open();
                Pipeline alone = Pictures.builder(PLENTY).precision(precision).open()) {
            List<GenerationResult> together = sideBySide.generate(requests);
            for (int i = 0; i < requests.size(); i++) {
                assertSame(alone.generate(requests.get(i)), together.get(i));
            }
            assertSame(together.get(3), sideBySide.generate(requests.subList(2, 5)).get(1));
        }
    }

    @Test
    void whatARequestLeavesOpenIsTheModelsOwn() {
        GenerationRequest open = GenerationRequest.builder().prompt("a person").size(64, 64).build();
        assertEquals(20, pipeline.defaultSteps());
        assertEquals(3.5, pipeline.defaultGuidanceScale());
        assertSame(pipeline.generate(request(null, "a person", 0).steps(20).guidanceScale(3.5).build()), pipeline.generate(open));
    }

    private static void assertBatch(List<GenerationRequest> requests) {
        List<GenerationResult> together = pipeline.generate(requests);
        for (int i = 0; i < requests.size(); i++) {
            assertSame(pipeline.generate(requests.get(i)), together.get(i));
        }
    }

    @Test
    void aPictureNeedNotHaveTheSizeOfTheFace() {
        GenerationResult wide = pipeline.generate(request(FACES.get(0), "a person", 1).size(168, 104).build());
        assertEquals(168, wide.images().getFirst().getWidth());
        assertEquals(104, wide.images().getFirst().getHeight());
        float[] plain = latents(pipeline, request(null, "a person", 1).size(168, 104));
        assertTrue(difference(plain, wide.latents().getFirst().values()) > 1e-2);
    }

    @Test
    void anIdentityScaleOfZeroIsThePlainModel() {
        assertArrayEquals(latents(pipeline, request(null, "a person", 1)), latents(pipeline, request(FACES.get(0), "a person", 1).identityScale(0)));
    }

    @Test
    void withoutAnIdentityScaleItIsTheAdaptersOwn() {
        assertArrayEquals(latents(pipeline, request(FACES.get(0), "a person", 1).identityScale(pipeline.defaultIdentityScale())),
                latents(pipeline, request(FACES.get(0), "a person", 1).identityScale(Double.NaN)));
    }

    @Test
    void layersAndRowsDecideWhereTheIdentityGoes() {
        List<float[]> all = new ArrayList<>(List.of(latents(pipeline, request(null, "a person", 1))));
        for (IdentityLayers layers : IdentityLayers.values()) {
            for (IdentityRows rows : IdentityRows.values()) {
                all.add(latents(pipeline, request(FACES.get(0), "a person", 1).identityLayers(layers).identityRows(rows)));
            }
        }
        for (int i = 0; i < all.size(); i++) {
            for (int j = 0; j < i; j++) {
                assertTrue(difference(all.get(i), all.get(j)) > 1e-3, i + " is as " + j);
            }
        }
    }

    @Test
    void withoutGuidanceThereIsNoOtherRow() {
        assertArrayEquals(latents(pipeline, request(FACES.get(0), "a person", 1).guidanceScale(1).identityRows(IdentityRows.BOTH)),
                latents(pipeline, request(FACES.get(0), "a person", 1).guidanceScale(1).identityRows(IdentityRows.PROMPT)));
    }

    /** Devices that prefer large batches take the faces' rows and the pictures' through the network at once. */
    @ParameterizedTest
    @CsvSource({"true, 3.5", "true, 1", "false, 3.5", "false, 1"})
    void facesInThePicturesBatchGiveTheSame(boolean keep, double guidance) {
        List<GenerationRequest> requests = Stream.of(request(FACES.get(0), "a happy person", 1),
                request(FACES.get(1), "a serious person", 2).identityScale(0.7), request(null, "a person", 3))
                .map(request -> request.guidanceScale(guidance).size(0, 0).build()).toList();
        WatchedDevice device = new WatchedDevice();
        device.prefersLargeBatches = true;
        try (Pipeline together = open(keep ? PLENTY : IdentityBudget.NONE, device)) {
            List<GenerationResult> apart = pipeline.generate(requests);
            for (int round = 0; round < 2; round++) {
                List<GenerationResult> found = together.generate(requests);
                for (int i = 0; i < requests.size(); i++) {
                    assertClose(apart.get(i), found.get(i));
                }
            }
            assertClose(pipeline.generate(requests.get(0)), together.generate(requests.get(0)));
            GenerationRequest self = request(FACES.get(2), "a person", 4).guidanceScale(guidance).size(0, 0)
                    .identityLayers(IdentityLayers.SELF_ONLY).build();
            assertClose(pipeline.generate(self), together.generate(self));
        }
    }

    @Test
    void afterTheFirstPicturesNoMemoryIsTakenAnyMore() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline watched = open(PLENTY, device)) {
            // What the first needs once, to open and to invert a face, is given back while the next ones are made.
            assertNoNewMemory(watched, device, request(null, "a person", 1));
            assertNoNewMemory(watched, device, request(FACES.get(0), "a person", 1));
        }
    }

    private static void assertNoNewMemory(Pipeline watched, WatchedDevice device, GenerationRequest.Builder request) {
        for (int i = 0; i < 3; i++) {
            watched.generate(request.build());
        }
        int seen = device.addresses.size();
        watched.generate(request.prompt("a happy person").seed(2).build());
        assertEquals(seen, device.addresses.size());
    }

    // --- cancellation -----------------------------------------------------------------------------------------------

    @Test
    void aCancelledRequestEndsBeforeItsNextStep() {
        List<String> steps = new ArrayList<>();
        Cancellation cancellation = new Cancellation();
        GenerationRequest request = request(FACES.get(0), "a person", 1).cancellation(cancellation).listener((phase, step, all) -> {
            steps.add(phase + step);
            if (phase.equals("generating") && step == 2) {
                cancellation.cancel();
            }
        }).build();
        assertThrows(CancellationException.class, () -> pipeline.generate(request));
        assertEquals(List.of("inverting1", "inverting2", "inverting3", "generating1", "generating2"), steps);
        assertThrows(CancellationException.class, () -> pipeline.generate(request));
        assertEquals(5, steps.size(), "nothing is begun that is cancelled already");
    }

    @Test
    void anInversionIsCancelledAsARequestIs() {
        List<String> steps = new ArrayList<>();
        Cancellation cancellation = new Cancellation();
        ProgressListener listener = (phase, step, all) -> {
            steps.add(phase + step);
            if (phase.equals("reconstructing") && step == 1) {
                cancellation.cancel();
            }
        };
        assertThrows(CancellationException.class, () -> pipeline.invert(FACES.get(0), "a person", Pictures.STEPS, listener, cancellation));
        assertEquals(List.of("inverting1", "inverting2", "inverting3", "reconstructing1"), steps);
        assertThrows(CancellationException.class, () -> pipeline.invert(FACES.get(0), "a person", Pictures.STEPS, listener, cancellation));
        assertEquals(4, steps.size(), "nothing is begun that is cancelled already");
    }

    @Test
    void aCaptionThatIsNotUsedAsItWasMeantIsToldOf() {
        List<String> warnings = pipeline.invert(FACES.get(0), "a (happy:1.3) person ".repeat(30), 1, ProgressListener.NONE).warnings();
        assertEquals(2, warnings.size());
        assertTrue(warnings.getFirst().startsWith("the caption is longer than"), warnings.getFirst());
        assertTrue(warnings.getLast().startsWith("the caption is read word for word, (happy:1.3)"), warnings.getLast());
        assertEquals(List.of(), pipeline.invert(FACES.get(0), "a person", 1, ProgressListener.NONE).warnings());
    }

    @Test
    void theOthersOfABatchGoOnWhenOneIsCancelled() {
        Cancellation cancellation = new Cancellation();
        GenerationRequest other = request(FACES.get(0), "a person", 1).build();
        List<GenerationRequest> requests = List.of(request(FACES.get(1), "a person", 2).cancellation(cancellation)
                .listener((phase, step, steps) -> cancellation.cancel()).build(), other);
        List<Order> orders = requests.stream().map(pipeline.acceptance()::order).toList();
        pipeline.carryOut(orders, false);
        assertThrows(CancellationException.class, orders.get(0)::result);
        assertSame(pipeline.generate(other), orders.get(1).result());
    }

    // --- several threads --------------------------------------------------------------------------------------------

    @Test
    void threadsAreServedInTheOrderTheyCame() {
        List<Long> order = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        List<CompletableFuture<GenerationResult>> results = new ArrayList<>();
        List<GenerationRequest> requests = new ArrayList<>();
        for (long seed = 0; seed < 4; seed++) {
            long own = seed;
            requests.add(request(FACES.get((int) seed % 2), "a person", seed).listener((phase, step, steps) -> {
                if (phase.equals("inverting") && step == 1) {
                    order.add(own);
                    begun.countDown();
                    await(goOn);
                }
            }).build());
            results.add(inThreadThatWaits(() -> pipeline.generate(requests.get((int) own)), begun));
        }
        goOn.countDown();
        results.forEach(CompletableFuture::join);
        assertEquals(List.of(0L, 1L, 2L, 3L), order);
        for (int i = 0; i < 4; i++) {
            assertSame(pipeline.generate(requests.get(i)), results.get(i).join());
        }
    }

    @Test
    void closingWaitsForThoseWhoCameBefore() {
        Pipeline closing = open(IdentityBudget.NONE);
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        GenerationRequest request = request(null, "a person", 1).listener((phase, step, steps) -> {
            begun.countDown();
            await(goOn);
        }).build();
        CompletableFuture<GenerationResult> running = inThreadThatWaits(() -> closing.generate(request), begun);
        CompletableFuture<GenerationResult> waiting = inThreadThatWaits(() -> closing.generate(request), begun);
        CompletableFuture<Object> closed = inThreadThatWaits(() -> {
            closing.close();
            return null;
        }, begun);
        CompletableFuture<GenerationResult> late = inThreadThatWaits(() -> closing.generate(request), begun);
        goOn.countDown();
        assertSame(running.join(), waiting.join());
        closed.join();
        Throwable failure = assertThrows(java.util.concurrent.CompletionException.class, late::join).getCause();
        assertEquals("the pipeline is closed", assertThrows(IllegalStateException.class, () -> {
            throw failure;
        }).getMessage());
        closing.close();
    }

    /** Returns when the thread has come to where it has to wait: for the test, or for its turn. */
    private static <T> CompletableFuture<T> inThreadThatWaits(java.util.concurrent.Callable<T> work, CountDownLatch begun) {
        CompletableFuture<T> result = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().start(() -> {
            try {
                result.complete(work.call());
            } catch (Throwable e) {
                result.completeExceptionally(e);
            }
        });
        await(begun);
        while (thread.getState() != Thread.State.WAITING && thread.isAlive()) {
            Thread.onSpinWait();
        }
        return result;
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    // --- what goes wrong --------------------------------------------------------------------------------------------

    @Test
    void whatIsKeptMakesRoomWhenMemoryRunsOut() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline watched = open(PLENTY, device)) {
            watched.generate(request(FACES.get(0), "a person", 1).build());
            GenerationRequest next = request(FACES.get(1), "a person", 2).build();
            device.allocationsLeft = 0;
            assertSame(pipeline.generate(next), watched.generate(next));
            assertEquals(Set.of("inverting", "generating", "decoding"), Pictures.phases(watched, request(FACES.get(0), "a person", 1)),
                    "what was kept is gone");

            device.allocationsLeft = 2;
            device.trimHelps = false;
            GenerationRequest third = request(FACES.get(2), "a person", 3).build();
            assertThrows(OutOfDeviceMemoryException.class, () -> watched.generate(third));
            device.allocationsLeft = -1;
            assertSame(pipeline.generate(third), watched.generate(third));
        }
    }

    @Test
    void whatCannotFitIsRefusedBeforeAnyStep() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline watched = open(IdentityBudget.NONE, device)) {
            // The next but last map of the decoder, the last before it is doubled, and a few rows.
            long least = 256 * 256 * (64 / 4 + 32) * 4;
            long grown = 0;
            // It is the whole process that is measured, whose heap may shrink meanwhile.
            for (int i = 0; i < 5 && grown <= least; i++) {
                device.trim();
                long used = device.usedMemory();
                watched.generate(request(null, "a", 1).size(512, 512).steps(1).build());
                grown = device.usedMemory() - used;
            }
            assertTrue(least < grown, "no more than it takes");

            device.reachableMemory = 0;
            GenerationRequest large = request(null, "a", 1).size(2048, 2048).steps(1).listener((phase, step, steps) -> {
                throw new AssertionError(phase);
            }).build();
            String message = assertThrows(OutOfDeviceMemoryException.class, () -> watched.generate(large)).getMessage();
            // What the text encoder and the VAE would leave.
            assertTrue(message.matches("out of memory: a picture of 2048x2048 needs more than \\d{3} MiB, and cpu has 36 MiB left"), message);
            device.reachableMemory = Long.MAX_VALUE;
            watched.generate(request(null, "a", 1).steps(1).build());
        }
    }

    @Test
    void wrongRequestsGetOneSentence() {
        assertRefused("size 100x128: width and height must be multiples of 8", request(null, "a", 1).size(100, 128));
        assertRefused("count must be between 1 and 1000, not 0", request(null, "a", 1).count(0));
        assertRefused("steps must be between 1 and 1000, not 0", request(null, "a", 1).steps(0));
        assertRefused("guidance must be between 0 and 100, not NaN", request(null, "a", 1).guidanceScale(Double.NaN));
        assertRefused("the identity's scale must be between -5 and 5, not Infinity",
                request(FACES.get(0), "a", 1).identityScale(Double.POSITIVE_INFINITY));
        try (Pipeline plain = Pipeline.builder().model(BundledModel.directory()).device("cpu").open()) {
            assertEquals("a face needs an adapter: none was given for this model",
                    assertThrows(InvalidRequestException.class, () -> plain.generate(request(FACES.get(0), "a", 1).build())).getMessage());
        }
    }

    private static void assertRefused(String message, GenerationRequest.Builder request) {
        assertEquals(message, assertThrows(InvalidRequestException.class, () -> pipeline.generate(request.build())).getMessage());
    }

    @Test
    void requestsThatCannotShareABatchAreTold() {
        assertEquals("requests of one batch must agree in size, steps, sampler, strength, identity layers, identity rows and LoRAs: one asks for 64x64 pixels "
                + "in 3 steps of DDIM with identity layers BOTH and identity rows PROMPT, another for 128x128 pixels in 3 steps of DDIM with identity "
                + "layers BOTH and identity rows BOTH",
                assertThrows(InvalidRequestException.class, () -> pipeline.generate(List.of(request(null, "a", 1).build(),
                        request(null, "a", 1).size(0, 0).identityRows(IdentityRows.BOTH).build()))).getMessage());
        assertThrows(InvalidRequestException.class, () -> pipeline.generate(List.of()));
    }

    @Test
    void aLongPromptThatIsReadWordForWordIsCutWithAWarning() {
        GenerationResult result = pipeline.generate(request(FACES.get(0), "very ".repeat(100) + "happy", 1).promptSyntax(false).build());
        assertEquals(1, result.warnings().size());
        assertTrue(result.warnings().getFirst().startsWith("the prompt is longer than"), result.warnings().getFirst());
    }
}
