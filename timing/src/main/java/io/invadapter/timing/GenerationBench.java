package io.invadapter.timing;

import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.timing.BenchReport.Kind;
import io.invadapter.timing.BenchReport.Part;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * Times whole requests, from texts and a face's picture to the new pictures: plain Stable Diffusion, the first picture of a
 * face, and the next one of the same face; then one step of each, operator by operator.
 */
public final class GenerationBench implements AutoCloseable {
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    private static final double GUIDANCE = 7.5;
    private static final double SCALE = 0.6;
    private static final int WARM_UPS = 1;

    private final Device device;
    private final MeasuringDevice measuring;
    private final SyntheticModel synthetic;
    private final StableDiffusion model;
    private final FeatureStore store;
    private final Options options;
    private final Consumer<String> progress;
    private BenchReport report;
    private Ballast ballast;

    /**
     * What to time.
     *
     * @param steps          of DDIM
     * @param batches        pictures of a request
     * @param size           height and width of the pictures, a multiple of 8
     * @param repeats        of each request, after one that does not count
     * @param secondsPerCase no more repeats of a request begin after that time
     */
    public record Options(int steps, List<Integer> batches, int size, int repeats, double secondsPerCase) {
    }

    /** @param progress told what is being timed, and the times of each run at once */
    public GenerationBench(Device device, Structure structure, Options options, Consumer<String> progress) {
        this.device = device;
        this.options = options;
        this.progress = progress;
        measuring = new MeasuringDevice(device);
        measuring.measure(false);
        progress.accept("making weights");
        synthetic = SyntheticModel.load(structure, options.size, measuring);
        model = synthetic.model();
        store = new FeatureStore(device);
    }

    /** Times everything; what does not fit into memory is left out, and said. */
    public BenchReport run() {
        return run(Kind.values());
    }

    /** Times requests of those kinds, like {@link #run()}. A face is known from the last time that one was new. */
    public BenchReport run(Kind... kinds) {
        report = new BenchReport(device.description(), options.size, options.steps);
        for (int batch : options.batches) {
            for (Kind kind : kinds) {
                try {
                    if (kind != Kind.NEXT) {
                        store.close();
                    } else if (store.isEmpty()) {
                        meet(batch);
                    }
                    Map<Part, Double> operations = count(kind, batch);
                    try (Diffusion diffusion = model.diffusion()) {
                        time(kind, batch, diffusion, operations);
                    }
                } catch (OutOfDeviceMemoryException e) {
                    report.leftOut(kind, batch, e.getMessage());
                    // Perhaps not of all steps.
                    store.close();
                }
                device.trim();
            }
        }
        report.device(device.description());
        return report;
    }

    /** A new face, untimed. */
    private void meet(int batch) {
        progress.accept(Kind.FIRST + ", batch " + batch + ", to be known");
        try (Diffusion diffusion = model.diffusion()) {
            new Request(Kind.FIRST, batch, options.steps, diffusion, QUIET).run((part, work) -> work.run());
        }
    }

    private void time(Kind kind, int batch, Diffusion diffusion, Map<Part, Double> operations) {
        List<Map<Part, Double>> runs = new ArrayList<>();
        long[] memory = {0};
        long start = System.nanoTime();
        for (int i = -WARM_UPS; i < options.repeats && (i <= 0 || (System.nanoTime() - start) / 1e9 < options.secondsPerCase); i++) {
            String what = kind + ", batch " + batch + ", " + (i < 0 ? "warm-up" : "run " + (i + 1) + " of " + options.repeats);
            progress.accept(what);
            Map<Part, Double> times = new EnumMap<>(Part.class);
            new Request(kind, batch, options.steps, diffusion, QUIET).run((part, work) -> {
                long from = System.nanoTime();
                work.run();
                times.put(part, (System.nanoTime() - from) / 1e6);
                // Pools give nothing back during a request: what is in use after a part is its peak.
                memory[0] = Math.max(memory[0], device.usedMemory());
            });
            progress.accept(what + ": " + BenchReport.line(times));
            if (i >= 0) {
                runs.add(times);
            }
        }
        report.add(kind, batch, runs, operations, memory[0]);
    }

    /** Operations of each part; on the way the time of each operator, from a step that is called, not recorded. */
    private Map<Part, Double> count(Kind kind, int batch) {
        progress.accept(kind + ", batch " + batch + ", operators");
        Map<Part, Double> operations = new EnumMap<>(Part.class);
        // The rows of the prompts: IdentityRows.PROMPT.
        measuring.attendingRows(batch);
        measuring.measure(true);
        try (Diffusion diffusion = model.diffusion()) {
            // The first request allocates and plans, the second is measured; so is the second of two steps, for the first does
            // what serves them all.
            for (boolean measured : new boolean[] {false, true}) {
                double[] firstStep = new double[1];
                double[] step = new double[1];
                Diffusion.StepListener listener = (done, steps, latents) -> {
                    if (done == 1) {
                        firstStep[0] = measuring.operations();
                        measuring.reset();
                        load(measured, firstStep[0]);
                    }
                };
                new Request(kind, batch, 2, diffusion, listener).run((part, work) -> {
                    measuring.reset();
                    if (part == Part.DECODE) {
                        load(measured, step[0]);
                    }
                    work.run();
                    double last = measuring.operations();
                    operations.put(part, part.repeatsEachStep() ? firstStep[0] + (options.steps - 1) * last : last);
                    if (part == Part.DENOISE) {
                        step[0] = last;
                    }
                    if (measured && (part == Part.DENOISE || part == Part.DECODE && kind == Kind.PLAIN)) {
                        report.add(kind, batch, part, measuring.totals());
                    }
                });
            }
        } finally {
            measuring.reset();
            measuring.measure(false);
        }
        return operations;
    }

    /** Keeps the device busy while what is measured is handed over. */
    private void load(boolean measured, double operations) {
        if (measured) {
            ballast(operations).load();
        }
    }

    private Ballast ballast(double operations) {
        if (ballast == null) {
            ballast = new Ballast(device, operations);
        }
        return ballast;
    }

    /** One request; each part ends with a result on the host. */
    private final class Request {
        private final Kind kind;
        private final int batch;
        private final int steps;
        private final Diffusion diffusion;
        private final Diffusion.StepListener listener;
        private float[] prompt;
        private float[] negative;
        private float[] caption;
        private Latents face;
        private Latents noise;
        private Latents clean;

        Request(Kind kind, int batch, int steps, Diffusion diffusion, Diffusion.StepListener listener) {
            this.kind = kind;
            this.batch = batch;
            this.steps = steps;
            this.diffusion = diffusion;
            this.listener = listener;
        }

        /** @param doing is given each part in turn and does it */
        void run(BiConsumer<Part, Runnable> doing) {
            doing.accept(Part.TEXT, this::text);
            if (kind == Kind.FIRST) {
                doing.accept(Part.ENCODE, this::encode);
                doing.accept(Part.INVERT, () -> noise = diffusion.invertToNoise(face, List.of(caption), diffusion.ddim(steps), listener));
            }
            doing.accept(Part.DENOISE, this::denoise);
            doing.accept(Part.DECODE, this::decode);
        }

        private void text() {
            prompt = text("a portrait of a smiling person wearing a red hoodie, blue background");
            negative = text("");
            caption = kind == Kind.FIRST ? text("a face photo") : null;
        }

        private float[] text(String text) {
            return model.textEncoder().encode(model.tokenizer().encode(text).ids());
        }

        private void encode() {
            float[] picture = new float[3 * options.size * options.size];
            for (int i = 0; i < picture.length; i++) {
                picture[i] = (float) Math.sin(i * 0.01);
            }
            face = model.vae().encode(picture, options.size, options.size).mean().times(model.vae().scalingFactor());
        }

        private void denoise() {
            int size = options.size / model.vae().factor();
            List<Latents> start = new ArrayList<>();
            List<Diffusion.Guidance> guidance = new ArrayList<>();
            for (int i = 0; i < batch; i++) {
                start.add(SeededNoise.latents(i, model.vae().latentChannels(), size, size));
                guidance.add(new Diffusion.Guidance(prompt, negative, GUIDANCE));
            }
            Walk walk = diffusion.ddim(steps);
            Sampling plain = new Sampling(Latents.stack(start), guidance, walk);
            clean = diffusion.generate(switch (kind) {
                case PLAIN -> plain;
                case FIRST -> plain.withInfluences(of(new People.Inverted(diffusion.beside(noise, List.of(caption), walk, listener), store.writer())));
                case NEXT -> plain.withInfluences(of(new People.Stored(1, store.reader())));
            }, listener);
        }

        private IdentityInfluence of(People people) {
            double[] scales = new double[batch];
            Arrays.fill(scales, SCALE);
            return new IdentityInfluence(synthetic.adapter(), people, new int[batch], scales, IdentityLayers.BOTH, IdentityRows.PROMPT);
        }

        private void decode() {
            for (int i = 0; i < batch; i++) {
                model.vae().decode(clean.row(i).times(1 / model.vae().scalingFactor()));
            }
        }
    }

    /** Frees what the requests left on the device; the weights stay until the device is closed. */
    @Override
    public void close() {
        store.close();
        device.trim();
    }
}
