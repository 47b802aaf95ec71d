package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/**
 * A server's days in minutes, as a program: clients that send requests of mixed sizes, counts, guidance and faces through a
 * {@link PipelinePool}, cancel some, fail in listeners and ask for what cannot be. Every good request must give the bytes that
 * it gives alone, and the process must not grow. Takes the number of requests; ends with status 1 when not.
 */
final class Soak {
    private static final int VARIANTS = 40;
    private static final int UNDER_WAY = 12;
    private static final int[][] SIZES = {{64, 64}, {72, 104}, {128, 128}, {104, 64}, {8, 200}};
    /** From here on the process must not grow. */
    private static final Duration WARM = Duration.ofMinutes(2);
    private static final double MOST_GROWTH = 0.05;

    /** A request that is made again and again. */
    private record Variant(int number, BufferedImage face, int[] size, int count, int steps, double guidance) {
        static Variant of(int number, Random random) {
            return new Variant(number, random.nextInt(3) == 0 ? null : FACES.get(random.nextInt(FACES.size())),
                    SIZES[random.nextInt(SIZES.length)], 1 + random.nextInt(3), 2 + random.nextInt(2),
                    random.nextInt(3) == 0 ? 1 : 2 + random.nextInt(4));
        }

        GenerationRequest.Builder request() {
            return Pictures.request(face, "a person number " + number, number).size(size[0], size[1]).count(count).steps(steps)
                    .guidanceScale(guidance).identityScale(0.5);
        }
    }

    /** What becomes of a request. */
    private enum Fate {
        GOOD, CANCELLED_BY_ITSELF, CANCELLED_BY_ITS_FUTURE, FAILED_BY_ITS_LISTENER, BAD;

        static Fate of(Random random) {
            return random.nextInt(5) > 0 ? GOOD : values()[1 + random.nextInt(4)];
        }
    }

    private final int requests;
    private final Random random = new Random(1);
    private final List<Variant> variants;
    private final long[] alone;
    private final AtomicInteger good = new AtomicInteger();
    private final AtomicInteger cancelled = new AtomicInteger();
    private final AtomicInteger wrong = new AtomicInteger();
    private final List<Long> residentWhenWarm = new ArrayList<>();
    private final long start = System.nanoTime();
    private int refused;

    private Soak(int requests) {
        this.requests = requests;
        this.variants = IntStream.range(0, Math.min(VARIANTS, requests / 3)).mapToObj(i -> Variant.of(i, random)).toList();
        this.alone = new long[variants.size()];
    }

    public static void main(String[] arguments) throws Exception {
        System.exit(new Soak(Integer.parseInt(arguments[0])).run() ? 0 : 1);
    }

    private boolean run() throws Exception {
        try (Pipeline pipeline = Pictures.open(IdentityBudget.NONE)) {
            for (Variant variant : variants) {
                alone[variant.number] = checksum(pipeline.generate(variant.request().build()));
            }
        }
        say("%d kinds of requests alone", variants.size());
        // One keeps faces and makes picture by picture, the other has room for few and takes the steps of several together.
        try (PipelinePool pool = PipelinePool.builder().pipeline(() -> Pictures.open(Pictures.PLENTY))
                .pipeline(() -> Pictures.builder(new IdentityBudget(3 * Pictures.STEP_BYTES, 0, 0, null)).picturesPerBatch(3).open())
                .queueCapacity(UNDER_WAY).picturesPerBatch(3).build()) {
            List<CompletableFuture<?>> underWay = new ArrayList<>();
            for (int i = 1; i <= requests; i++) {
                underWay.add(submit(pool, variants.get(random.nextInt(variants.size())), Fate.of(random)));
                underWay.removeIf(CompletableFuture::isDone);
                if (seconds() > WARM.toSeconds()) {
                    residentWhenWarm.add(resident());
                }
                if (i % 100 == 0) {
                    say("%d requests", i);
                }
            }
            underWay.forEach(future -> future.exceptionally(e -> null).join());
        }
        double growth = growth();
        say("%d good, %d cancelled, %d refused, %d wrong, %.1f %% larger than after %d minutes", good.get(), cancelled.get(), refused,
                wrong.get(), 100 * growth, WARM.toMinutes());
        return wrong.get() == 0 && good.get() > requests / 2 && cancelled.get() > 0 && refused > 0 && growth < MOST_GROWTH;
    }

    private CompletableFuture<?> submit(PipelinePool pool, Variant variant, Fate fate) throws InterruptedException {
        Cancellation cancellation = new Cancellation();
        int last = 1 + random.nextInt(variant.steps);
        GenerationRequest.Builder request = variant.request().cancellation(cancellation).listener((phase, step, steps) -> {
            if (phase.equals("generating") && step >= last) {
                if (fate == Fate.CANCELLED_BY_ITSELF) {
                    cancellation.cancel();
                } else if (fate == Fate.FAILED_BY_ITS_LISTENER) {
                    throw new IllegalStateException("the client's own mistake");
                }
            }
        });
        if (fate == Fate.BAD) {
            request.size(100, 100);
        }
        CompletableFuture<GenerationResult> future;
        try {
            future = pool.submit("client " + variant.number % 4, request.build(), Duration.ofHours(1));
        } catch (InvalidRequestException e) {
            refused++;
            return CompletableFuture.completedFuture(null);
        }
        if (fate == Fate.CANCELLED_BY_ITS_FUTURE) {
            CompletableFuture.runAsync(() -> future.cancel(true),
                    CompletableFuture.delayedExecutor(random.nextInt(200), TimeUnit.MILLISECONDS));
        }
        return future.whenComplete((result, failure) -> judge(variant, fate, result, failure));
    }

    private void judge(Variant variant, Fate fate, GenerationResult result, Throwable failure) {
        if (result != null && checksum(result) == alone[variant.number] && (fate == Fate.GOOD || fate == Fate.CANCELLED_BY_ITS_FUTURE)) {
            good.incrementAndGet();
        } else if (failure instanceof CancellationException && fate != Fate.GOOD) {
            cancelled.incrementAndGet();
        } else {
            wrong.incrementAndGet();
            System.out.println(fate + " " + variant + ": " + (failure == null ? "other bytes than alone" : failure));
        }
    }

    private static long checksum(GenerationResult result) {
        CRC32 sum = new CRC32();
        result.latents().forEach(latents -> {
            ByteBuffer bytes = ByteBuffer.allocate(4 * latents.values().length);
            bytes.asFloatBuffer().put(latents.values());
            sum.update(bytes);
        });
        result.images().forEach(image -> {
            int[] pixels = image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
            ByteBuffer bytes = ByteBuffer.allocate(4 * pixels.length);
            bytes.asIntBuffer().put(pixels);
            sum.update(bytes);
        });
        return sum.getValue();
    }

    // --- the process ------------------------------------------------------------------------------------------------

    private void say(String format, Object... values) throws IOException {
        System.out.printf(Locale.ROOT, "%4.0f s %5d MiB  " + format + "%n", Stream.concat(Stream.of(seconds(), resident() >> 20),
                Stream.of(values)).toArray());
    }

    private double seconds() {
        return (System.nanoTime() - start) / 1e9;
    }

    private static long resident() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10).findFirst().orElseThrow();
    }

    /** From the first to the last tenth of what was measured when warm; none when the run was over before. */
    private double growth() {
        int tenth = residentWhenWarm.size() / 10;
        return tenth == 0 ? 0 : mean(residentWhenWarm.subList(residentWhenWarm.size() - tenth, residentWhenWarm.size()))
                / mean(residentWhenWarm.subList(0, tenth)) - 1;
    }

    private static double mean(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).average().orElseThrow();
    }
}
