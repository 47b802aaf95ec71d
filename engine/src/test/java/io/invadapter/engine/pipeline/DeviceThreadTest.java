package io.invadapter.engine.pipeline;

import io.invadapter.engine.making.DeviceThread;
import io.invadapter.engine.making.Order;
import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.STEPS;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.ChildProcess;
import io.invadapter.engine.identity.IdentityFolder;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Callers wait and can be interrupted; one thread computes, and stops soon when nobody waits. */
@Timeout(600)
class DeviceThreadTest {
    @TempDir
    private Path folder;

    // --- interrupts -------------------------------------------------------------------------------------------------

    @Test
    void whatIsWithdrawnAsItBeginsIsCancelled() {
        DeviceThread thread = new DeviceThread("test");
        CountDownLatch busy = new CountDownLatch(1);
        thread.queue(() -> {
            try {
                return busy.await(1, TimeUnit.MINUTES);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        DeviceThread.Turn<String> turn = thread.queue(() -> "done");
        // The first half of a withdrawal; the thread comes before the second.
        turn.taken().set(true);
        busy.countDown();
        assertThrows(CancellationException.class, () -> turn.await(() -> { }));
        thread.close(() -> { });
    }

    /** What a call in a thread of its own came to when the thread was interrupted. */
    private record Interrupted(Throwable thrown, boolean stillInterrupted) {
    }

    private static CompletableFuture<Interrupted> call(Runnable call, CompletableFuture<Thread> started) {
        CompletableFuture<Interrupted> end = new CompletableFuture<>();
        started.complete(Thread.ofPlatform().start(() -> {
            Throwable thrown = null;
            try {
                call.run();
            } catch (Throwable e) {
                thrown = e;
            }
            end.complete(new Interrupted(thrown, Thread.currentThread().isInterrupted()));
        }));
        return end;
    }

    private static void assertCancelled(Interrupted end) {
        assertEquals(CancellationException.class, end.thrown == null ? null : end.thrown.getClass());
        assertTrue(end.stillInterrupted);
    }

    @Test
    void anInterruptCancelsTheRequestUnderWayAndNoOther() throws IOException {
        IdentityBudget onDisk = new IdentityBudget(0, 0, 1L << 30, folder);
        GenerationRequest good = request(FACES.get(0), "a person", 1).build();
        try (Pipeline pipeline = open(onDisk)) {
            GenerationResult expected = pipeline.generate(good);
            List<Path> files = files();
            List<String> steps = new ArrayList<>();
            CompletableFuture<Thread> caller = new CompletableFuture<>();
            Cancellation shared = new Cancellation();
            CompletableFuture<Interrupted> end = call(() -> pipeline.generate(request(FACES.get(0), "a person", 2).cancellation(shared)
                    .listener((phase, step, all) -> {
                        steps.add(phase + step);
                        caller.join().interrupt();
                        // It takes the interrupt, cancels and waits on.
                        await(() -> !caller.join().isInterrupted() && caller.join().getState() == Thread.State.WAITING);
                    }).build()), caller);
            assertCancelled(end.join());
            assertEquals(List.of("generating1"), steps);
            assertFalse(shared.isCancelled(), "which other requests may share");
            assertEquals(files, files(), "the face's files");
            assertSame(expected, pipeline.generate(good));
        }
    }

    @Test
    void whoIsInterruptedAlreadyOpensNothing() {
        DeviceThread thread = new DeviceThread("test");
        // So that the thread is there and begins at once.
        thread.call(() -> null, () -> { });
        AtomicInteger opened = new AtomicInteger();
        Thread.currentThread().interrupt();
        try {
            for (int i = 0; i < 200; i++) {
                assertThrows(CancellationException.class, () -> thread.call(opened::incrementAndGet, () -> { }));
            }
        } finally {
            assertTrue(Thread.interrupted());
            thread.close(() -> { });
        }
        assertEquals(0, opened.get());
    }

    @Test
    void anInterruptEndsTheWaitForTheDevice() {
        try (Pipeline pipeline = open(IdentityBudget.NONE)) {
            CountDownLatch begun = new CountDownLatch(1);
            CountDownLatch goOn = new CountDownLatch(1);
            CompletableFuture<Thread> first = new CompletableFuture<>();
            CompletableFuture<Interrupted> running = call(() -> pipeline.generate(request(null, "a person", 1).listener((phase, step, steps) -> {
                begun.countDown();
                await(() -> goOn.getCount() == 0);
            }).build()), first);
            await(() -> begun.getCount() == 0);
            List<String> steps = new ArrayList<>();
            CompletableFuture<Thread> second = new CompletableFuture<>();
            CompletableFuture<Interrupted> waiting = call(() -> pipeline.generate(request(null, "a person", 2)
                    .listener((phase, step, all) -> steps.add(phase)).build()), second);
            second.join().interrupt();
            assertCancelled(waiting.join());
            goOn.countDown();
            assertEquals(new Interrupted(null, false), running.join());
            pipeline.generate(request(null, "a person", 3).build());
            assertEquals(List.of(), steps);
        }
    }

    @Test
    void aCancellationEndsTheWaitForTheDeviceAndNothingIsKeptOfIt() {
        try (Pipeline pipeline = open(IdentityBudget.NONE)) {
            CountDownLatch begun = new CountDownLatch(1);
            CountDownLatch goOn = new CountDownLatch(1);
            CompletableFuture<Interrupted> running = call(() -> pipeline.generate(request(null, "a person", 1).listener((phase, step, steps) -> {
                begun.countDown();
                await(() -> goOn.getCount() == 0);
            }).build()), new CompletableFuture<>());
            await(() -> begun.getCount() == 0);
            for (boolean interrupt : new boolean[] {false, true}) {
                Cancellation one = new Cancellation();
                Cancellation other = new Cancellation();
                CompletableFuture<Thread> caller = new CompletableFuture<>();
                AtomicReference<List<GenerationRequest>> given = new AtomicReference<>(List.of(
                        request(null, "a person", 2).cancellation(one).build(), request(null, "a person", 3).cancellation(other).build()));
                WeakReference<GenerationRequest> request = new WeakReference<>(given.get().getFirst());
                CompletableFuture<Interrupted> waiting = call(() -> pipeline.generate(given.getAndSet(null)), caller);
                await(() -> caller.join().getState() == Thread.State.WAITING);
                one.cancel();
                assertFalse(waiting.isDone(), "the other of its batch is wanted");
                if (interrupt) {
                    caller.join().interrupt();
                } else {
                    other.cancel();
                }
                Interrupted end = waiting.join();
                assertEquals(CancellationException.class, end.thrown == null ? null : end.thrown.getClass());
                assertEquals("cancelled while waiting for the device", end.thrown.getMessage());
                assertEquals(interrupt, end.stillInterrupted);
                await(() -> {
                    System.gc();
                    return request.refersTo(null);
                });
            }
            goOn.countDown();
            assertEquals(new Interrupted(null, false), running.join());
        }
    }

    private static void await(BooleanSupplier condition) {
        while (!condition.getAsBoolean()) {
            Thread.onSpinWait();
        }
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(Files::isRegularFile).sorted().toList();
        }
    }

    @Test
    void aFileThatCannotBeReadNowIsNotDamaged() throws IOException {
        GenerationRequest.Builder request = request(FACES.get(0), "a person", 1);
        try (Pipeline pipeline = open(new IdentityBudget(0, 0, 1L << 30, folder))) {
            pipeline.generate(request.build());
        }
        Path step = files().getFirst();
        IdentityFolder identities = new IdentityFolder(folder, 1L << 30, notice -> { });
        Thread.currentThread().interrupt();
        try (Arena arena = Arena.ofConfined()) {
            assertFalse(identities.read(step.getParent().getFileName().toString(), 0, arena.allocate(Pictures.STEP_BYTES)));
        } finally {
            assertTrue(Thread.interrupted());
        }
        assertEquals(STEPS, files().size());
    }

    // --- within a step ----------------------------------------------------------------------------------------------

    @Test
    void aCancelledRequestEndsWithinItsStepAndTheNextIsAsEver() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = open(Pictures.PLENTY, device); Pipeline other = open(IdentityBudget.NONE)) {
            GenerationRequest.Builder request = request(FACES.get(0), "a person", 1);
            int all = convolutions(pipeline, device, request);
            for (int last : new int[] {1, all / 3, all / 2, all - 10}) {
                Cancellation cancellation = new Cancellation();
                int[] count = {0};
                device.beforeConvolution = () -> {
                    if (++count[0] == last) {
                        cancellation.cancel();
                    }
                };
                GenerationRequest.Builder cancelled = request(FACES.get(1), "a person", last).cancellation(cancellation);
                assertThrows(CancellationException.class, () -> pipeline.generate(cancelled.build()));
                assertEquals(last, count[0], "convolutions begun");
                device.beforeConvolution = () -> { };
                assertSame(other.generate(request.build()), pipeline.generate(request.build()));
                long kept = device.keptBytes();
                assertThrows(CancellationException.class, () -> pipeline.generate(cancelled.build()));
                assertEquals(kept, device.keptBytes());
            }
        }
        assertEquals(0, device.keptBytes());
    }

    private static int convolutions(Pipeline pipeline, WatchedDevice device, GenerationRequest.Builder request) {
        int[] count = {0};
        device.beforeConvolution = () -> count[0]++;
        pipeline.generate(request.build());
        return count[0];
    }

    @Test
    void onlyThePicturesOfACancelledRequestStopWithinAStep() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).picturesPerBatch(2).open(() -> device)) {
            GenerationRequest good = request(FACES.get(0), "a person", 1).build();
            GenerationResult expected = pipeline.generate(good);
            int alone = convolutions(pipeline, device, request(FACES.get(0), "a person", 1));
            Cancellation cancellation = new Cancellation();
            int[] count = {0};
            device.beforeConvolution = () -> {
                if (++count[0] == alone / 2) {
                    cancellation.cancel();
                }
            };
            Order cancelled = pipeline.acceptance().order(request(null, "a person", 2).cancellation(cancellation).build());
            Order kept = pipeline.acceptance().order(good);
            pipeline.carryOut(List.of(cancelled, kept), false);
            assertThrows(CancellationException.class, cancelled::result);
            assertSame(expected, kept.result());
        }
    }

    // --- one thread -------------------------------------------------------------------------------------------------

    @Test
    void nothingIsDoneOnADeviceThatIsClosed() throws Exception {
        for (int i = 0; i < 3000; i++) {
            DeviceThread thread = new DeviceThread("invadapter test");
            AtomicBoolean closed = new AtomicBoolean();
            FutureTask<Void> calling = new FutureTask<>(() -> {
                while (true) {
                    thread.call(() -> {
                        assertFalse(closed.get());
                        return null;
                    }, () -> { });
                }
            });
            Thread caller = Thread.ofPlatform().start(calling);
            thread.close(() -> closed.set(true));
            caller.join();
            assertEquals("the pipeline is closed", assertThrows(ExecutionException.class, calling::get).getCause().getMessage());
        }
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void callersBringNoThreadsAlong() {
        ChildProcess child = ChildProcess.run(List.of(), ManyCallers.class);
        assertEquals(0, child.status(), child.output());
        assertEquals("0", child.output().lines().reduce("", (before, line) -> line), child.output());
    }

    /** Prints by how many threads a process has grown beyond the callers themselves while many have called. */
    static final class ManyCallers {
        private static final int CALLERS = 12;

        public static void main(String[] arguments) throws Exception {
            try (Pipeline pipeline = open(IdentityBudget.NONE)) {
                GenerationRequest request = request(null, "a person", 1).steps(1).build();
                for (int i = 0; i < 3; i++) {
                    pipeline.generate(request);
                }
                int before = threads();
                CountDownLatch called = new CountDownLatch(CALLERS);
                CountDownLatch end = new CountDownLatch(1);
                for (int i = 0; i < CALLERS; i++) {
                    Thread.ofPlatform().daemon().start(() -> {
                        pipeline.generate(request);
                        called.countDown();
                        await(() -> end.getCount() == 0);
                    });
                }
                called.await();
                // A compiler's or collector's thread of Java may come or go.
                int more = threads() - before - CALLERS;
                end.countDown();
                System.out.println(Math.max(0, more - CALLERS / 2));
            }
        }

        private static int threads() throws IOException {
            return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("Threads:"))
                    .mapToInt(line -> Integer.parseInt(line.replaceAll("\\D", ""))).findFirst().orElseThrow();
        }
    }
}
