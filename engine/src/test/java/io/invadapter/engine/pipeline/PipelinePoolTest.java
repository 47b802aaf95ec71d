package io.invadapter.engine.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.making.Batch;
import io.invadapter.engine.making.Order;
import io.invadapter.engine.Latents;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a server relies on. The devices here finish a batch when the test says so. */
@Timeout(600)
class PipelinePoolTest {

    /** A batch that a device has begun. */
    private record Begun(FakeEngine engine, List<Order> orders, CompletableFuture<Void> end, boolean interrupted) {
        List<String> prompts() {
            return orders.stream().map(order -> order.request().prompt()).toList();
        }

        void finish() {
            orders.stream().filter(Order::isOpen).forEach(Begun::finish);
            end.complete(null);
        }

        /** Of each request one picture. */
        void finishOne() {
            orders.forEach(order -> order.finish(order.missing()[0], LATENTS, IMAGE));
            end.complete(null);
        }

        /** The warning says which it was. */
        static void finish(Order order) {
            order.warn(order.request().prompt());
            for (int i : order.missing()) {
                order.finish(i, LATENTS, IMAGE);
            }
        }
    }

    private static final Latents LATENTS = new Latents(new float[1], 1, 1, 1, 1);
    private static final BufferedImage IMAGE = new BufferedImage(1, 1, BufferedImage.TYPE_INT_RGB);

    private static final List<LoraUse> STYLE = List.of(LoraUse.of(Path.of("style.safetensors"), 0.5));
    private static final List<LoraUse> WORDS = List.of(LoraUse.of(Path.of("words.safetensors"), 1));

    private static final class FakeEngine implements PoolEngine {
        private final String name;
        private final LinkedBlockingQueue<Begun> begun;
        private volatile boolean closed;

        FakeEngine(String name, LinkedBlockingQueue<Begun> begun) {
            this.name = name;
            this.begun = begun;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public Order order(GenerationRequest request) {
            if (request.width() % 8 != 0) {
                throw new InvalidRequestException("not a width, says the test");
            }
            GenerationRequest filled = request.filled(50, 7.5, 1, 512, 512);
            return new Order(filled, Batch.Kind.of(filled, new Ddim()));
        }

        @Override
        public int picturesPerBatch() {
            return 100;
        }

        @Override
        public void carryOut(List<Order> orders) {
            Begun batch = new Begun(this, orders, new CompletableFuture<>(), Thread.currentThread().isInterrupted());
            begun.add(batch);
            try {
                batch.end.join();
            } catch (CompletionException e) {
                throw (RuntimeException) e.getCause();
            }
        }

        @Override
        public boolean isOwnThread() {
            return false;
        }

        @Override
        public void close() {
            closed = true;
        }
    }

    private final LinkedBlockingQueue<Begun> begun = new LinkedBlockingQueue<>();
    private final FakeEngine first = new FakeEngine("cuda:0", begun);
    private final FakeEngine second = new FakeEngine("cuda:1", begun);

    private PipelinePool one(int capacity, int picturesPerBatch) {
        return pool(capacity, picturesPerBatch, first);
    }

    private static PipelinePool pool(int capacity, int picturesPerBatch, FakeEngine... engines) {
        return new PipelinePool(Stream.of(engines).map(engine -> new PipelinePool.Source(engine, null)).toList(), capacity,
                picturesPerBatch, Duration.ofMillis(1));
    }

    private static GenerationRequest.Builder request(String prompt) {
        return GenerationRequest.builder().prompt(prompt);
    }

    private Begun next() throws InterruptedException {
        return begun.take();
    }

    private static Throwable failure(CompletableFuture<?> future) {
        return assertThrows(CompletionException.class, future::join).getCause();
    }

    @Test
    void resultsComeInTheOrderOfTheRequests() throws Exception {
        try (PipelinePool pool = one(10, 1)) {
            List<CompletableFuture<GenerationResult>> results = new ArrayList<>();
            for (String prompt : List.of("a", "b", "c")) {
                results.add(pool.submit(request(prompt).build()));
            }
            for (int i = 0; i < 3; i++) {
                Begun batch = next();
                assertEquals(List.of(List.of("a", "b", "c").get(i)), batch.prompts());
                batch.finish();
                assertEquals(batch.prompts(), results.get(i).join().warnings());
            }
        }
        assertTrue(first.closed);
    }

    @Test
    void anInterruptThatAStageLeavesBehindEndsNobodysRequest() throws Exception {
        try (PipelinePool pool = one(10, 1)) {
            CompletableFuture<GenerationResult> interrupting = pool.submit(request("a").build());
            Begun batch = next();
            CompletableFuture<Void> stage = interrupting.thenRun(() -> Thread.currentThread().interrupt());
            batch.finish();
            stage.join();
            CompletableFuture<GenerationResult> other = pool.submit(request("b").build());
            Begun next = next();
            assertFalse(next.interrupted());
            next.finish();
            other.join();
        }
    }

    @Test
    void whoWaitsForEverMay() throws Exception {
        try (PipelinePool pool = one(1, 1)) {
            CompletableFuture<GenerationResult> result = pool.submit("x", request("a").build(), ChronoUnit.FOREVER.getDuration());
            next().finish();
            result.join();
        }
    }

    @Test
    void clientsAreServedInTurn() throws Exception {
        try (PipelinePool pool = one(10, 1)) {
            pool.submit("busy", request("busy 0").build());
            Begun running = next();
            for (int i = 1; i <= 3; i++) {
                pool.submit("busy", request("busy " + i).build());
            }
            pool.submit("x", request("x 1").build());
            pool.submit("y", request("y 1").build());
            pool.submit("x", request("x 2").build());
            List<String> order = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                running.finish();
                running = next();
                order.addAll(running.prompts());
            }
            running.finish();
            assertEquals(List.of("busy 1", "x 1", "y 1", "busy 2", "x 2", "busy 3"), order);
        }
    }

    @Test
    void aRequestOfManyPicturesLetsOthersInBetween() throws Exception {
        try (PipelinePool pool = one(10, 1)) {
            CompletableFuture<GenerationResult> large = pool.submit("a", request("large").count(3).build());
            Begun running = next();
            pool.submit("a", request("a 2").build());
            pool.submit("b", request("b 1").build());
            List<String> order = new ArrayList<>();
            for (int i = 0; i < 5; i++) {
                order.addAll(running.prompts());
                running.finishOne();
                running = i < 4 ? next() : null;
            }
            assertEquals(List.of("large", "b 1", "large", "large", "a 2"), order);
            assertEquals(3, large.join().images().size());
        }
    }

    @Test
    void aRequestOfManyPicturesThatIsCancelledInBetweenLeavesTheQueue() throws Exception {
        try (PipelinePool pool = one(10, 1)) {
            CompletableFuture<GenerationResult> large = pool.submit("a", request("large").count(3).build());
            Begun running = next();
            pool.submit("b", request("b 1").build());
            running.finishOne();
            running = next();
            large.cancel(true);
            assertEquals(0, pool.waiting());
            running.finish();
        }
        assertEquals(0, begun.size());
    }

    @Test
    void whatWaitsAndFitsTogetherIsJoined() throws Exception {
        try (PipelinePool pool = one(20, 4)) {
            pool.submit("a", request("a 0").build());
            Begun running = next();
            assertEquals(List.of("a 0"), running.prompts(), "the first waits for nobody");
            pool.submit("a", request("a 1").build());
            pool.submit("a", request("a 2").count(2).build());
            pool.submit("a", request("a 3").build());
            pool.submit("b", request("b 1").steps(20).build());
            pool.submit("b", request("b 2").build());
            pool.submit("c", request("c 1").build());
            pool.submit("d", request("large").count(9).build());
            List<List<String>> batches = new ArrayList<>();
            while (pool.waiting() > 0) {
                running.finish();
                running = next();
                batches.add(running.prompts());
            }
            running.finish();
            assertEquals(List.of(List.of("a 1", "c 1", "a 2"), List.of("b 1"), List.of("large"), List.of("a 3", "b 2")), batches);
        }
    }

    @Test
    void aFreeDeviceIsBetterThanALargerBatch() {
        PoolQueue queue = new PoolQueue();
        for (String prompt : List.of("a", "b", "c")) {
            GenerationRequest request = request(prompt).build();
            queue.add(new PoolJob(new PoolState(3), "client", first.order(request)));
        }
        assertEquals(2, queue.take(List.of(), 8, 2).size());
        assertEquals(1, queue.take(List.of(), 8, 2).size());
        assertEquals(0, queue.take(List.of(), 8, 2).size());
    }

    @Test
    void aDeviceGoesOnWithTheLorasThatItHasAndNobodyIsPassedOverForLong() throws Exception {
        try (PipelinePool pool = one(20, 1)) {
            pool.submit("a", request("a 0").loras(STYLE).build());
            Begun running = next();
            for (int i = 1; i <= 2; i++) {
                pool.submit("b", request("b " + i).build());
                pool.submit("c", request("c " + i).loras(WORDS).build());
            }
            for (int i = 1; i <= 6; i++) {
                pool.submit("a", request("a " + i).loras(STYLE).build());
            }
            List<String> order = new ArrayList<>();
            while (pool.waiting() > 0) {
                running.finish();
                running = next();
                order.addAll(running.prompts());
            }
            running.finish();
            assertEquals(List.of("a 1", "a 2", "a 3", "a 4", "b 1", "c 1", "c 2", "a 5", "a 6", "b 2"), order);
        }
    }

    @Test
    void theFreeDeviceThatHasItsLorasTakesARequest() throws Exception {
        List<FakeEngine> expected = new ArrayList<>();
        List<FakeEngine> found = new ArrayList<>();
        try (PipelinePool pool = pool(10, 1, first, second)) {
            CompletableFuture<GenerationResult> styled = pool.submit(request("style").loras(STYLE).build());
            Begun style = next();
            CompletableFuture<GenerationResult> worded = pool.submit(request("words").loras(WORDS).build());
            Begun words = next();
            style.finish();
            words.finish();
            styled.join();
            worded.join();
            for (int i = 0; i < 20; i++) {
                awaitIdle();
                boolean isStyle = i % 3 == 0;
                CompletableFuture<GenerationResult> result = pool.submit(request("another").loras(isStyle ? STYLE : WORDS).build());
                Begun batch = next();
                expected.add(isStyle ? style.engine : words.engine);
                found.add(batch.engine);
                batch.finish();
                result.join();
            }
        }
        assertEquals(expected, found);
    }

    /** Once the results are there, until the devices' threads wait for more, or for the lock that others get after them. */
    private static void awaitIdle() {
        while (Thread.getAllStackTraces().entrySet().stream().filter(thread -> thread.getKey().getName().startsWith("invadapter pool cuda:"))
                .anyMatch(thread -> Stream.of(thread.getValue()).noneMatch(frame -> frame.getClassName().equals(PoolState.class.getName())
                        && frame.getMethodName().equals("take")) || thread.getKey().getState() != Thread.State.WAITING)) {
            Thread.yield();
        }
    }

    @Test
    void everyDeviceTakesWhatIsNext() throws Exception {
        try (PipelinePool pool = pool(10, 1, first, second)) {
            pool.submit(request("a").build());
            pool.submit(request("b").build());
            Begun one = next();
            Begun other = next();
            assertTrue(one.engine != other.engine);
            CompletableFuture<GenerationResult> third = pool.submit(request("c").build());
            other.finish();
            Begun last = next();
            assertSame(other.engine, last.engine);
            last.finish();
            third.join();
            one.finish();
        }
        assertTrue(first.closed && second.closed);
    }

    @Test
    void aFullQueueIsTold() throws Exception {
        try (PipelinePool pool = one(2, 1)) {
            pool.submit(request("running").build());
            Begun running = next();
            CompletableFuture<GenerationResult> waiting = pool.submit(request("a").build());
            pool.submit(request("b").build());
            GenerationRequest late = request("late").build();
            assertEquals("too many requests: 2 are waiting already",
                    assertThrows(PoolRejectedException.class, () -> pool.submit(late)).getMessage());
            assertThrows(PoolRejectedException.class, () -> pool.submit("x", late, Duration.ofNanos(1)));
            CompletableFuture<CompletableFuture<GenerationResult>> patient = CompletableFuture.supplyAsync(() -> {
                try {
                    return pool.submit("x", late, Duration.ofHours(1));
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            waiting.cancel(true);
            CompletableFuture<GenerationResult> accepted = patient.join();
            assertEquals(2, pool.waiting());
            running.finish();
            Begun b = next();
            b.finish();
            next().finish();
            assertEquals(List.of("late"), accepted.join().warnings());
        }
    }

    @Test
    void aWaitingRequestThatIsCancelledLeavesTheQueue() throws Exception {
        try (PipelinePool pool = one(3, 1)) {
            pool.submit(request("running").build());
            Begun running = next();
            Cancellation cancellation = new Cancellation();
            CompletableFuture<GenerationResult> a = pool.submit(request("a").cancellation(cancellation).build());
            CompletableFuture<GenerationResult> b = pool.submit(request("b").build());
            CompletableFuture<GenerationResult> c = pool.submit(request("c").build());
            cancellation.cancel();
            assertTrue(a.isCancelled());
            b.cancel(true);
            assertEquals(1, pool.waiting());
            c.completeExceptionally(new TimeoutException());
            assertEquals(0, pool.waiting());
            CompletableFuture<GenerationResult> d = pool.submit(request("d").cancellation(cancellation).build());
            assertTrue(d.isCancelled(), "cancelled before it came");
            running.finish();
        }
        assertEquals(0, begun.size());
    }

    @Test
    void aRunningRequestThatIsCancelledStopsAloneAndAtItsNextStep() throws Exception {
        try (PipelinePool pool = one(3, 4)) {
            CompletableFuture<GenerationResult> alone = pool.submit(request("alone").build());
            Begun running = next();
            GenerationRequest.Builder shared = request("shared");
            CompletableFuture<GenerationResult> a = pool.submit(shared.build());
            CompletableFuture<GenerationResult> b = pool.submit(shared.build());
            alone.cancel(true);
            assertTrue(running.orders.getFirst().isCancelled());
            running.end.completeExceptionally(new CancellationException());
            Begun both = next();
            a.cancel(true);
            assertTrue(both.orders.get(0).isCancelled());
            assertFalse(both.orders.get(1).isCancelled(), "though both came from one builder");
            both.finish();
            assertEquals(List.of("shared"), b.join().warnings());
        }
    }

    @Test
    void aRequestThatFailsFailsAlone() throws Exception {
        try (PipelinePool pool = one(10, 4)) {
            CompletableFuture<GenerationResult> failing = pool.submit(request("failing").build());
            Begun running = next();
            List<CompletableFuture<GenerationResult>> results = new ArrayList<>();
            for (String prompt : List.of("a", "b", "c")) {
                results.add(pool.submit(request(prompt).build()));
            }
            IllegalStateException thrown = new IllegalStateException("says the test");
            running.end.completeExceptionally(thrown);
            assertSame(thrown, failure(failing));

            Begun batch = next();
            assertEquals(List.of("a", "b", "c"), batch.prompts());
            batch.end.completeExceptionally(new OutOfDeviceMemoryException("no memory for three"));
            Begun a = next();
            assertEquals(List.of("a"), a.prompts());
            a.finish();
            OutOfDeviceMemoryException none = new OutOfDeviceMemoryException("no memory for one");
            next().end.completeExceptionally(none);
            next().finish();
            assertEquals(List.of("a"), results.get(0).join().warnings());
            assertSame(none, failure(results.get(1)));
            assertEquals(List.of("c"), results.get(2).join().warnings());
            assertEquals(List.of("cuda:0"), pool.devicesInService());
        }
    }

    @Test
    void aDeviceThatFailsGoesOutOfServiceAndTheOthersGoOn() throws Exception {
        try (PipelinePool pool = pool(10, 1, first, second)) {
            CompletableFuture<GenerationResult> a = pool.submit(request("a").build());
            Begun lost = next();
            CompletableFuture<GenerationResult> b = pool.submit(request("b").build());
            Begun good = next();
            CompletableFuture<GenerationResult> c = pool.submit(request("c").build());
            lost.end.completeExceptionally(new DeviceException("it fell off the bus"));
            assertEquals("the device " + lost.engine.name() + " has failed and is out of service: it fell off the bus",
                    failure(a).getMessage());
            good.finish();
            Begun last = next();
            assertSame(good.engine, last.engine);
            assertEquals(List.of(good.engine.name()), pool.devicesInService());
            CompletableFuture<GenerationResult> d = pool.submit(request("d").build());
            last.end.completeExceptionally(new DeviceException("that one, too"));
            for (CompletableFuture<GenerationResult> future : List.of(c, d)) {
                assertEquals("the device " + good.engine.name() + " has failed and is out of service: that one, too",
                        failure(future).getMessage());
            }
            b.join();
            assertEquals("no device is left: the device " + good.engine.name() + " has failed and is out of service: that one, too",
                    assertThrows(PoolRejectedException.class, () -> pool.submit(request("e").build())).getMessage());
        }
        assertTrue(first.closed && second.closed);
    }

    @Test
    void aDeviceThatFailedComesBack() throws Exception {
        LinkedBlockingQueue<Supplier<PoolEngine>> opening = new LinkedBlockingQueue<>();
        Supplier<PoolEngine> opener = () -> {
            try {
                return opening.take().get();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        };
        try (PipelinePool pool = new PipelinePool(List.of(new PipelinePool.Source(first, opener)), 10, 1, Duration.ofMillis(1))) {
            CompletableFuture<GenerationResult> lost = pool.submit(request("lost").build());
            Begun running = next();
            CompletableFuture<GenerationResult> waiting = pool.submit(request("waiting").build());
            running.end.completeExceptionally(new DeviceException("it fell off the bus"));
            assertEquals(failure(lost).getMessage(), failure(waiting).getMessage());
            assertEquals("no device is left: the device cuda:0 has failed and is out of service: it fell off the bus",
                    assertThrows(PoolRejectedException.class, () -> pool.submit(request("now").build())).getMessage());
            for (int i = 0; i < 3; i++) {
                opening.add(() -> {
                    throw new DeviceException("not yet");
                });
            }
            opening.add(() -> second);
            while (pool.devicesInService().isEmpty()) {
                Thread.sleep(1);
            }
            assertTrue(first.closed);
            assertEquals(List.of("cuda:1"), pool.devicesInService());
            CompletableFuture<GenerationResult> after = pool.submit(request("after").build());
            Begun again = next();
            assertSame(second, again.engine);
            again.finish();
            assertEquals(List.of("after"), after.join().warnings());
            CompletableFuture<GenerationResult> lostAgain = pool.submit(request("lost again").build());
            next().end.completeExceptionally(new DeviceException("and again"));
            assertTrue(failure(lostAgain).getMessage().endsWith("and again"));
            opening.add(() -> {
                throw new DeviceException("while the pool is closed");
            });
        }
        assertTrue(second.closed);
    }

    @Test
    void aPipelineThatSomebodyElseClosedIsOutOfServiceAndComesBackAsOneThatFailed() throws Exception {
        Pipeline closed = Pictures.open(IdentityBudget.NONE);
        PoolEngine engine = PoolEngine.of(closed);
        closed.close();
        try (PipelinePool pool = new PipelinePool(List.of(new PipelinePool.Source(engine, null)), 10, 1, Duration.ofMillis(1))) {
            GenerationRequest request = Pictures.request(null, "a person", 1).build();
            String why = "the device cpu has failed and is out of service: somebody else has closed its pipeline";
            assertEquals(why, failure(pool.submit(request)).getMessage());
            assertEquals("no device is left: " + why, assertThrows(PoolRejectedException.class, () -> pool.submit(request)).getMessage());
        }
        try (PipelinePool pool = new PipelinePool(List.of(new PipelinePool.Source(engine, () -> second)), 10, 1, Duration.ofMillis(1))) {
            failure(pool.submit(Pictures.request(null, "a person", 1).build()));
            while (pool.devicesInService().isEmpty()) {
                Thread.sleep(1);
            }
            CompletableFuture<GenerationResult> after = pool.submit(request("after").build());
            next().finish();
            assertEquals(List.of("after"), after.join().warnings());
        }
    }

    @Test
    void aPipelineThatCannotBeOpenedKeepsThePoolFromBeingMade() {
        Pipeline good = Pictures.open(IdentityBudget.NONE);
        DeviceException why = new DeviceException("no such device");
        PipelinePool.Builder builder = PipelinePool.builder().pipeline(good).pipeline(() -> {
            throw why;
        });
        assertSame(why, assertThrows(DeviceException.class, builder::build));
        assertThrows(IllegalStateException.class, () -> good.generate(Pictures.request(null, "a person", 1).build()), "closed");
    }

    @Test
    void closingFinishesWhatWasAccepted() throws Exception {
        PipelinePool pool = one(10, 1);
        CompletableFuture<GenerationResult> a = pool.submit(request("a").build());
        CompletableFuture<GenerationResult> b = pool.submit(request("b").build());
        Begun running = next();
        CompletableFuture<Void> closed = CompletableFuture.runAsync(pool::close);
        running.finish();
        next().finish();
        closed.join();
        assertTrue(first.closed && a.isDone() && b.isDone() && !b.isCompletedExceptionally());
        assertEquals("the pool is closed", assertThrows(PoolRejectedException.class, () -> pool.submit(request("c").build())).getMessage());
        pool.close();
    }

    @Test
    void closingNowCancels() throws Exception {
        PipelinePool pool = one(10, 1);
        CompletableFuture<GenerationResult> a = pool.submit(request("a").build());
        CompletableFuture<GenerationResult> b = pool.submit(request("b").build());
        Begun running = next();
        CompletableFuture<Void> closed = CompletableFuture.runAsync(pool::closeNow);
        assertThrows(CancellationException.class, a::join);
        assertThrows(CancellationException.class, b::join);
        assertTrue(running.orders.getFirst().isCancelled());
        running.finish();
        closed.join();
        assertTrue(first.closed && begun.isEmpty());
    }

    // --- stages, which are the client's code ------------------------------------------------------------------------

    @Test
    void aStageThatTakesLongHoldsUpNeitherADeviceNorTheEnd() throws Exception {
        CompletableFuture<Void> goOn = new CompletableFuture<>();
        List<CompletableFuture<Void>> stages = new ArrayList<>();
        // More than there are processors, and none of them gives its own away.
        for (int i = 0; i <= Runtime.getRuntime().availableProcessors(); i++) {
            stages.add(new CompletableFuture<>());
        }
        List<CompletableFuture<GenerationResult>> results = new ArrayList<>();
        try (PipelinePool pool = one(10, 1)) {
            for (CompletableFuture<Void> stage : stages) {
                CompletableFuture<GenerationResult> result = pool.submit(request("a").build());
                result.thenRun(() -> {
                    stage.complete(null);
                    while (!goOn.isDone()) {
                        Thread.onSpinWait();
                    }
                });
                results.add(result);
                next().finish();
                stage.join();
            }
            results.add(pool.submit(request("last").build()));
            next().finish();
        }
        assertTrue(results.stream().allMatch(CompletableFuture::isDone));
        goOn.complete(null);
    }

    @Test
    void aStageMayWaitForAnotherRequestOfItsPoolAndMayCloseIt() throws Exception {
        PipelinePool pool = one(10, 1);
        CompletableFuture<List<String>> both = pool.submit(request("a").build())
                .thenApply(a -> Stream.of(a, pool.submit(request("b").build()).join()).flatMap(r -> r.warnings().stream()).toList());
        next().finish();
        next().finish();
        assertEquals(List.of("a", "b"), both.join());
        CompletableFuture<Void> closed = pool.submit(request("c").build()).thenRun(pool::close);
        next().finish();
        closed.join();
        assertTrue(first.closed);
        assertEquals(List.of(), pool.devicesInService());
    }

    @Test
    void whatIsCancelledIsGivenUpBeforeItsStagesRun() throws Exception {
        try (PipelinePool pool = one(10, 1)) {
            CompletableFuture<GenerationResult> underWay = pool.submit(request("under way").build());
            Begun running = next();
            CompletableFuture<GenerationResult> waiting = pool.submit(request("waiting").build());
            List<Object> seen = new ArrayList<>();
            waiting.whenComplete((result, failure) -> seen.add(pool.waiting()));
            waiting.completeExceptionally(new TimeoutException());
            underWay.whenComplete((result, failure) -> seen.add(running.orders.getFirst().isCancelled()));
            underWay.cancel(true);
            assertEquals(List.of(0, true), seen);
            running.finish();
        }
    }

    @Test
    void whatIsCancelledTogetherMayWaitForOneAnother() throws Exception {
        PipelinePool pool = one(10, 1);
        Cancellation shared = new Cancellation();
        CompletableFuture<GenerationResult> running = pool.submit(request("running").build());
        Begun batch = next();
        List<CompletableFuture<GenerationResult>> cancelled = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            GenerationRequest.Builder request = request("waiting");
            cancelled.add(pool.submit((i < 2 ? request.cancellation(shared) : request).build()));
        }
        List<CompletableFuture<GenerationResult>> stages = new ArrayList<>();
        for (int i : new int[] {0, 1, 2, 3}) {
            CompletableFuture<GenerationResult> other = cancelled.get(i ^ 1);
            stages.add(cancelled.get(i).exceptionally(reason -> other.exceptionally(reasonToo -> null).join()));
        }
        shared.cancel();
        assertTrue(cancelled.get(0).isCancelled() && cancelled.get(1).isCancelled() && !cancelled.get(2).isDone());
        CompletableFuture<Void> closed = CompletableFuture.runAsync(pool::closeNow);
        stages.forEach(CompletableFuture::join);
        assertThrows(CancellationException.class, running::join);
        batch.finish();
        closed.join();
    }

    @Test
    void aWayToOpenThatGivesNoPipelineIsTold() {
        Supplier<Pipeline> none = () -> null;
        assertEquals("the opener of a pipeline gave none",
                assertThrows(NullPointerException.class, () -> PipelinePool.builder().pipeline(none).build()).getMessage());
    }

    @Test
    void wrongRequestsAreRefusedAtOnce() {
        try (PipelinePool pool = one(1, 1)) {
            GenerationRequest wrong = request("a").size(100, 104).build();
            assertThrows(InvalidRequestException.class, () -> pool.submit(wrong));
        }
        assertThrows(IllegalArgumentException.class, () -> PipelinePool.builder().build());
        assertThrows(IllegalArgumentException.class, () -> PipelinePool.builder().queueCapacity(0).pipeline(() -> {
            throw new IllegalStateException("opened for nothing");
        }).build());
    }

    @Test
    void realPipelinesGiveThePicturesTheyGiveAlone() {
        List<GenerationRequest> requests = new ArrayList<>();
        for (int seed = 0; seed < 6; seed++) {
            requests.add(Pictures.request(seed == 5 ? null : Pictures.FACES.get(seed % 2), "a person", seed).build());
        }
        try (Pipeline alone = Pictures.open(IdentityBudget.NONE);
                PipelinePool pool = PipelinePool.builder().pipeline(Pictures.open(Pictures.PLENTY))
                        .pipeline(Pictures.open(Pictures.PLENTY)).picturesPerBatch(2).build()) {
            List<CompletableFuture<GenerationResult>> results = requests.stream().map(pool::submit).toList();
            for (int i = 0; i < requests.size(); i++) {
                Pictures.assertClose(alone.generate(requests.get(i)), results.get(i).join());
            }
        }
    }
}
