package io.invadapter.engine;

import io.invadapter.engine.model.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.Latents;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.ModelFiles;
import io.invadapter.weights.Safetensors;
import io.invadapter.weights.WeightSource;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A model, an adapter and a device, ready to make pictures.
 *
 * {@snippet :
 * try (Pipeline pipeline = Pipeline.builder().model(Path.of("model")).adapter(Path.of("eaa.safetensors")).open()) {
 *     BufferedImage face = FacePicture.read(Path.of("face.png"), System.err::println);
 *     GenerationResult result = pipeline.generate(GenerationRequest.builder()
 *             .face(face).prompt("a portrait of a happy person in a red hoodie").seed(7).build());
 *     ImageIO.write(result.images().getFirst(), "png", new File("out.png"));
 * }
 * }
 *
 * <p>Any number of threads may call at once; the device works on one request at a time, in the order they came. A server
 * takes a {@link PipelinePool}, which queues requests, shares them among devices and joins what fits into one batch.
 *
 * <p>Of each face the keys and values of every step are kept as far as {@link Builder#identityBudget} allows: the next picture
 * of the same face, caption and number of steps is made faster by its inversion and its rows.
 */
public final class Pipeline implements AutoCloseable {
    private final Device device;
    private final StableDiffusion model;
    private final EmbeddedAttentionAdapter adapter;
    private final Diffusion diffusion;
    private final IdentityCache cache;
    private final String weights;
    private final ReentrantLock turn = new ReentrantLock(true);
    private boolean closed;

    public static Builder builder() {
        return new Builder();
    }

    /** Where the parts come from. */
    public static final class Builder {
        private Path model;
        private Path adapter;
        private String device = "auto";
        private Precision precision;
        private IdentityBudget identityBudget;
        private Consumer<String> notices = notice -> { };

        private Builder() {
        }

        /** A folder in the diffusers layout or a single-file checkpoint. */
        public Builder model(Path value) {
            model = value;
            return this;
        }

        /** An Inv-Adapter file, or {@code null} for text to image only. */
        public Builder adapter(Path value) {
            adapter = value;
            return this;
        }

        /** {@code auto}, {@code cpu}, {@code cuda} or {@code cuda:n}. */
        public Builder device(String value) {
            device = value;
            return this;
        }

        /** {@code null}: the device's own default. */
        public Builder precision(Precision value) {
            precision = value;
            return this;
        }

        /**
         * How much memory the keys and values of faces may take for their next picture; {@code null}, or nothing said: a
         * quarter of the device's free memory, 4 GiB at most.
         */
        public Builder identityBudget(IdentityBudget value) {
            identityBudget = value;
            return this;
        }

        /** Told why {@code auto} passed a device over. */
        public Builder notices(Consumer<String> value) {
            notices = value;
            return this;
        }

        /**
         * Loads everything.
         *
         * @throws io.invadapter.weights.WeightException  when a file is not what it should be
         * @throws io.invadapter.kernels.DeviceException when there is no such device
         */
        public Pipeline open() {
            Objects.requireNonNull(model, "a pipeline needs a model");
            try (ModelFiles files = ModelFiles.open(model)) {
                return open(files, Devices.open(device, precision, notices));
            }
        }

        /** On a device that is open already, and closed with the pipeline. */
        Pipeline open(Device opened) {
            try (ModelFiles files = ModelFiles.open(model)) {
                return open(files, opened);
            }
        }

        private Pipeline open(ModelFiles files, Device opened) {
            try {
                StableDiffusion loaded = StableDiffusion.load(files, opened);
                IdentityBudget budget = identityBudget == null ? IdentityBudget.defaultFor(opened) : identityBudget;
                return new Pipeline(loaded, adapter == null ? null : loadAdapter(loaded), budget, weights(files, budget));
            } catch (RuntimeException | Error e) {
                opened.close();
                throw e;
            }
        }

        /** Only identities that outlive the process must know which weights they belong to. */
        private String weights(ModelFiles files, IdentityBudget budget) {
            if (adapter == null || budget.folder() == null) {
                return "";
            }
            try (WeightSource source = Safetensors.open(adapter)) {
                return new Fingerprint().add(files).add(source).value();
            }
        }

        private EmbeddedAttentionAdapter loadAdapter(StableDiffusion loaded) {
            try (WeightSource source = Safetensors.open(adapter)) {
                return EmbeddedAttentionAdapter.load(source, loaded.unet(), loaded.device());
            }
        }
    }

    private Pipeline(StableDiffusion model, EmbeddedAttentionAdapter adapter, IdentityBudget budget, String weights) {
        this.device = model.device();
        this.model = model;
        this.adapter = adapter;
        this.diffusion = new Diffusion(model);
        this.cache = new IdentityCache(device, budget);
        this.weights = weights;
    }

    public Device device() {
        return device;
    }

    public boolean hasAdapter() {
        return adapter != null;
    }

    /** Width of the pictures the model was trained on. */
    public int defaultWidth() {
        return model.unet().config().sampleSize() * model.vae().factor();
    }

    /** Height of the pictures the model was trained on. */
    public int defaultHeight() {
        return defaultWidth();
    }

    /** The adapter's recommended lambda. */
    public double defaultIdentityScale() {
        return adapter == null ? 0 : adapter.defaultScale();
    }

    /**
     * Makes pictures.
     *
     * @throws InvalidRequestException                         when the request cannot be carried out as asked
     * @throws CancellationException                           when it was cancelled, or the thread interrupted while it waited
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException when the device has not enough memory for it
     * @throws io.invadapter.kernels.DeviceException            when the device fails
     * @throws IllegalStateException                           when the pipeline is closed
     */
    public GenerationResult generate(GenerationRequest request) {
        return generate(List.of(request)).getFirst();
    }

    /**
     * Makes the pictures of several requests in one batch: other prompts, faces, seeds, guidance and identity scales, but the
     * same size, steps, identity layers and rows.
     *
     * @return in the order of the requests
     * @throws InvalidRequestException when a request cannot be carried out as asked, or they do not agree
     * @throws CancellationException   when one was cancelled
     */
    public List<GenerationResult> generate(List<GenerationRequest> requests) {
        List<GenerationResult> results = generateAll(requests);
        if (results.contains(null)) {
            throw new CancellationException("the request was cancelled");
        }
        return results;
    }

    /** As {@link #generate(List)}, with {@code null} for requests that were cancelled while others went on. */
    List<GenerationResult> generateAll(List<GenerationRequest> requests) {
        if (requests.isEmpty()) {
            throw new InvalidRequestException("a batch needs at least one request");
        }
        Batch.Kind kind = kind(requests.getFirst());
        for (GenerationRequest request : requests) {
            check(request);
            if (!kind(request).equals(kind)) {
                throw new InvalidRequestException("requests of one batch must agree in size, steps, identity layers and identity "
                        + "rows: one asks for " + kind + ", another for " + kind(request));
            }
        }
        return inTurn(() -> new Batch(model, adapter, diffusion, cache, weights, kind, requests).run());
    }

    /** What requests must agree in to share a batch. */
    Batch.Kind kind(GenerationRequest request) {
        return Batch.Kind.of(request, defaultWidth(), defaultHeight());
    }

    /**
     * Turns a face into noise and back, to see how much of it the model can hold.
     *
     * @param caption  describes the picture
     * @param steps    of the inversion, and of the way back
     * @param listener told of the phases {@code "inverting"} and {@code "reconstructing"}
     * @throws InvalidRequestException when there are no such steps, or characters of the caption were lost before it came here
     */
    public InversionResult invert(BufferedImage face, String caption, int steps, ProgressListener listener) {
        GenerationRequest.requireCharacters("caption", caption);
        model.schedule().timesteps(steps);
        return inTurn(() -> {
            Cancellation never = new Cancellation();
            BufferedImage seen = FacePicture.square(face, identitySize());
            List<float[]> text = List.of(model.textEncoder().encode(model.tokenizer().encode(caption).ids()));
            Latents clean = FacePicture.encode(seen, model.vae());
            Latents noise = diffusion.invertToNoise(clean, text, steps, steps("inverting", listener, never));
            Latents back = diffusion.denoise(noise, text, steps, steps("reconstructing", listener, never));
            return new InversionResult(seen, FacePicture.decode(back, model.vae()), noise, relativeError(back.values(), clean.values()));
        });
    }

    /** @throws InvalidRequestException when the request cannot be carried out as asked */
    void check(GenerationRequest request) {
        model.schedule().timesteps(request.steps());
        Batch.Kind kind = kind(request);
        int factor = model.vae().factor();
        if (kind.width() < factor || kind.height() < factor || kind.width() % factor != 0 || kind.height() % factor != 0) {
            throw new InvalidRequestException("size " + kind.width() + "x" + kind.height()
                    + ": width and height must be multiples of " + factor);
        }
        if (request.face() != null && adapter == null) {
            throw new InvalidRequestException("a face needs an adapter: none was given for this model");
        }
    }

    private int identitySize() {
        return (adapter == null ? model.unet().config().sampleSize() : adapter.identityLatentSize()) * model.vae().factor();
    }

    private static Diffusion.StepListener steps(String phase, ProgressListener listener, Cancellation cancellation) {
        return (done, steps, latents) -> {
            listener.onStep(phase, done, steps);
            cancellation.check();
        };
    }

    private static double relativeError(float[] found, float[] expected) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < found.length; i++) {
            difference += Math.pow((double) found[i] - expected[i], 2);
            norm += (double) expected[i] * expected[i];
        }
        return Math.sqrt(difference / norm);
    }

    /** @param work that can be done again: once more, when memory runs out, with all of it for itself */
    private <T> T inTurn(Supplier<T> work) {
        try {
            turn.lockInterruptibly();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CancellationException("interrupted while waiting for the device");
        }
        try {
            if (closed) {
                throw new IllegalStateException("the pipeline is closed");
            }
            try {
                return work.get();
            } catch (OutOfDeviceMemoryException e) {
                // What is kept for later requests is worth less than this one.
                diffusion.trim();
                cache.leaveDevice();
                device.trim();
                return work.get();
            }
        } finally {
            turn.unlock();
        }
    }

    /**
     * Waits for the requests that came before, saves what is kept of faces when there is a folder for it, and frees the
     * device's memory. Requests that come later are an {@link IllegalStateException}.
     */
    @Override
    public void close() {
        turn.lock();
        try {
            if (!closed) {
                closed = true;
                try {
                    cache.close();
                    diffusion.close();
                } finally {
                    device.close();
                }
            }
        } finally {
            turn.unlock();
        }
    }
}
