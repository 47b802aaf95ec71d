package io.invadapter.engine;

import io.invadapter.engine.model.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.Latents;
import io.invadapter.engine.model.Vae;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.ModelFiles;
import io.invadapter.weights.Safetensors;
import io.invadapter.weights.WeightSource;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

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
 * <p>Any number of threads may call at once; the device works on one request at a time, in the order they came.
 */
public final class Pipeline implements AutoCloseable {
    private final Device device;
    private final StableDiffusion model;
    private final EmbeddedAttentionAdapter adapter;
    private final Diffusion diffusion;
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
                Device opened = Devices.open(device, precision, notices);
                try {
                    StableDiffusion loaded = StableDiffusion.load(files, opened);
                    return new Pipeline(loaded, adapter == null ? null : loadAdapter(loaded));
                } catch (RuntimeException | Error e) {
                    opened.close();
                    throw e;
                }
            }
        }

        private EmbeddedAttentionAdapter loadAdapter(StableDiffusion loaded) {
            try (WeightSource source = Safetensors.open(adapter)) {
                return EmbeddedAttentionAdapter.load(source, loaded.unet(), loaded.device());
            }
        }
    }

    private Pipeline(StableDiffusion model, EmbeddedAttentionAdapter adapter) {
        this.device = model.device();
        this.model = model;
        this.adapter = adapter;
        this.diffusion = new Diffusion(model);
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
     * @throws InvalidRequestException when the request cannot be carried out as asked
     * @throws CancellationException   when it was cancelled
     */
    public GenerationResult generate(GenerationRequest request) {
        Vae vae = model.vae();
        int width = request.width() == 0 ? defaultWidth() : request.width();
        int height = request.height() == 0 ? defaultHeight() : request.height();
        check(request, width, height);
        List<String> warnings = new ArrayList<>();
        return inTurn(() -> {
            float[] prompt = encode(request.prompt(), "prompt", warnings);
            float[] negative = encode(request.negativePrompt(), "negative prompt", warnings);
            Diffusion.IdentityControl identity = request.face() == null ? null : identity(request, warnings);
            Latents noise = noise(request, height / vae.factor(), width / vae.factor());
            Latents clean = diffusion.generate(noise, new Diffusion.Guidance(prompt, negative, request.guidanceScale()),
                    request.steps(), identity, steps("generating", request.listener(), request.cancellation())).latents();
            List<BufferedImage> images = new ArrayList<>();
            List<Latents> latents = new ArrayList<>();
            for (int i = 0; i < request.count(); i++) {
                request.cancellation().check();
                latents.add(clean.row(i));
                images.add(decode(clean.row(i)));
                request.listener().onStep("decoding", i + 1, request.count());
            }
            return new GenerationResult(images, latents, warnings);
        });
    }

    /** Turns a face into noise and back, to see how much of it the model can hold. */
    public InversionResult invert(BufferedImage face, String caption, int steps, ProgressListener listener) {
        model.schedule().timesteps(steps);
        return inTurn(() -> {
            Cancellation never = new Cancellation();
            BufferedImage seen = FacePicture.square(face, identitySize());
            float[] text = encode(caption, "caption", new ArrayList<>());
            Latents clean = encode(seen);
            Latents noise = diffusion.invert(clean, text, steps, steps("inverting", listener, never)).getLast();
            Latents back = diffusion.denoise(noise, text, steps, steps("reconstructing", listener, never));
            return new InversionResult(seen, decode(back), noise, relativeError(back.values(), clean.values()));
        });
    }

    private void check(GenerationRequest request, int width, int height) {
        model.schedule().timesteps(request.steps());
        int factor = model.vae().factor();
        if (width < factor || height < factor || width % factor != 0 || height % factor != 0) {
            throw new InvalidRequestException("size " + width + "x" + height + ": width and height must be multiples of " + factor);
        }
        if (request.count() < 1) {
            throw new InvalidRequestException("count must be at least 1, not " + request.count());
        }
        if (request.face() != null && adapter == null) {
            throw new InvalidRequestException("a face needs an adapter: none was given for this model");
        }
        if (!Double.isFinite(request.guidanceScale())) {
            throw new InvalidRequestException("guidance must be a finite number, not " + request.guidanceScale());
        }
    }

    private Diffusion.IdentityControl identity(GenerationRequest request, List<String> warnings) {
        float[] caption = encode(request.caption(), "caption", warnings);
        double scale = Double.isNaN(request.identityScale()) ? adapter.defaultScale() : request.identityScale();
        Latents clean = encode(FacePicture.square(request.face(), identitySize()));
        Latents inverted = diffusion.invert(clean, caption, request.steps(),
                steps("inverting", request.listener(), request.cancellation())).getLast();
        return new Diffusion.IdentityControl(adapter, inverted, caption, scale, request.identityLayers(), request.identityRows());
    }

    private int identitySize() {
        return (adapter == null ? model.unet().config().sampleSize() : adapter.identityLatentSize()) * model.vae().factor();
    }

    private float[] encode(String text, String what, List<String> warnings) {
        ClipTokenizer.Encoding encoding = model.tokenizer().encode(text);
        if (!encoding.cut().isEmpty()) {
            warnings.add("the " + what + " is longer than " + model.textEncoder().maxTokens()
                    + " tokens; this was cut from its end: " + encoding.cut());
        }
        return model.textEncoder().encode(encoding.ids());
    }

    private Latents encode(BufferedImage picture) {
        return model.vae().encode(FacePicture.toModel(picture), picture.getHeight(), picture.getWidth()).mean()
                .times(model.vae().scalingFactor());
    }

    private BufferedImage decode(Latents latents) {
        int factor = model.vae().factor();
        return FacePicture.fromModel(model.vae().decode(latents.times(1 / model.vae().scalingFactor())), 0,
                latents.width() * factor, latents.height() * factor);
    }

    private Latents noise(GenerationRequest request, int height, int width) {
        int channels = model.vae().latentChannels();
        float[] all = new float[request.count() * channels * height * width];
        for (int i = 0; i < request.count(); i++) {
            float[] one = SeededNoise.latents(request.seed() + i, channels, height, width).values();
            System.arraycopy(one, 0, all, i * one.length, one.length);
        }
        return new Latents(all, request.count(), channels, height, width);
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

    private <T> T inTurn(java.util.function.Supplier<T> work) {
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
            return work.get();
        } finally {
            turn.unlock();
        }
    }

    /** Waits for the request that is running and frees the device's memory. */
    @Override
    public void close() {
        turn.lock();
        try {
            if (!closed) {
                closed = true;
                device.close();
            }
        } finally {
            turn.unlock();
        }
    }
}
