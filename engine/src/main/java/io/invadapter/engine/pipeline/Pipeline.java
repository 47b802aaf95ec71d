package io.invadapter.engine.pipeline;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.making.Batch;
import io.invadapter.engine.making.DeviceThread;
import io.invadapter.engine.making.Inversion;
import io.invadapter.engine.making.Order;
import io.invadapter.engine.making.Reports;
import io.invadapter.engine.making.Workshop;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.request.Cancellation;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
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
 * <p>Any number of threads may call at once: they wait while one thread of the pipeline's own does the computing, in the order
 * in which they came. A thread that is interrupted while it waits gets a {@link CancellationException}, soon, and stays
 * interrupted; its request is cancelled. A server takes a {@link PipelinePool}, which queues requests, shares them among
 * devices and joins what fits into one batch.
 *
 * <p>The same request gives the same bytes on the same kind of device. On one that prefers large batches (a GPU) a picture may
 * differ in its last bits by how many are made beside it; elsewhere each is made by itself and it never does.
 *
 * <p>Of each face the keys and values of every step are kept as far as {@link Builder#identityBudget} allows: the next picture
 * of the same face, caption and number of steps is made faster by its inversion and its rows.
 */
public final class Pipeline implements AutoCloseable {
    private final DeviceThread thread;
    private final Workshop workshop;
    private final Acceptance acceptance;
    private final String adapterName;

    public static Builder builder() {
        return new Builder();
    }

    /** Where the parts come from. */
    public static final class Builder {
        // What Opening reads; all but the device and its precision.
        Path model;
        Path adapter;
        final List<LoraUse> loras = new ArrayList<>();
        final List<Path> embeddings = new ArrayList<>();
        IdentityBudget identityBudget;
        int picturesPerBatch;
        Consumer<String> notices = Log::warning;
        ProgressListener loading = ProgressListener.NONE;
        private String device = "auto";
        private Precision precision;

        private Builder() {
        }

        /** A folder in the diffusers layout or a single-file checkpoint. */
        public Builder model(Path value) {
            model = Objects.requireNonNull(value, "model");
            return this;
        }

        /** An Inv-Adapter file, or {@code null} for text to image only. */
        public Builder adapter(Path value) {
            adapter = value;
            return this;
        }

        /**
         * A LoRA for all requests, beside the others that are given; a request may bring more.
         *
         * @param file  in whichever naming; or the folder that PEFT or diffusers saved it into
         * @param scale 1: as it was trained
         */
        public Builder lora(Path file, double scale) {
            return lora(LoraUse.of(file, scale));
        }

        /** As {@link #lora(Path, double)}, with scales of their own for text encoder and UNet. */
        public Builder lora(LoraUse value) {
            loras.add(Objects.requireNonNull(value, "lora"));
            return this;
        }

        /**
         * One more file of a textual inversion, diffusers' or stable-diffusion-webui's, or a folder of such files: what texts call them by
         * is their placeholder, or else their name. A file in a folder that is none, or of another model, is a notice.
         */
        public Builder embeddings(Path fileOrFolder) {
            embeddings.add(Objects.requireNonNull(fileOrFolder, "fileOrFolder"));
            return this;
        }

        /** {@code auto}, {@code cpu}, {@code cuda} or {@code cuda:n}. */
        public Builder device(String value) {
            device = Objects.requireNonNull(value, "device");
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

        /**
         * How many pictures go through the network together at most; what is more is made in several batches, one after the
         * other. When nothing is said: 8 on a device that prefers large batches, elsewhere 1, for there it is as fast and the
         * first picture is done sooner (4, when what they need of a face cannot be kept from one to the next).
         *
         * @throws IllegalArgumentException when it is less than 1
         */
        public Builder picturesPerBatch(int value) {
            if (value < 1) {
                throw new IllegalArgumentException("a batch has room for at least 1 picture, not " + value);
            }
            picturesPerBatch = value;
            return this;
        }

        /**
         * Told, in one sentence each, what whoever runs the program should know: why {@code auto} passed a device over, what in the
         * files has no meaning here (keys of configurations that are not known, weights of no layer), that faces are not kept because
         * the disk is full, that a batch had to be split. When nothing is said, the logger
         * {@code io.invadapter} of {@link System.Logger} is; it also gets what {@code value} throws, which disturbs no request.
         */
        public Builder notices(Consumer<String> value) {
            notices = Log.guarded(Objects.requireNonNull(value, "notices"));
            return this;
        }

        /** Told, in the phase {@code "loading"}, how many of the model's tensors are loaded; what it throws ends {@link #open}. */
        public Builder loading(ProgressListener value) {
            loading = Objects.requireNonNull(value, "loading");
            return this;
        }

        /**
         * Loads everything.
         *
         * @throws io.invadapter.weights.WeightException  when a file is not what it should be
         * @throws io.invadapter.kernels.DeviceException when there is no such device
         * @throws CancellationException                 when the thread is interrupted before loading has begun
         */
        public Pipeline open() {
            return open(() -> Devices.open(device, precision, notices));
        }

        /** On a device of the caller's, closed with the pipeline. */
        Pipeline open(Supplier<Device> devices) {
            Objects.requireNonNull(model, "a pipeline needs a model");
            DeviceThread thread = new DeviceThread("invadapter");
            try {
                return thread.call(() -> {
                    ModelDefaults defaults = ModelDefaults.of(model);
                    return new Pipeline(thread, new Opening(this).open(() -> {
                        Device opened = devices.get();
                        thread.rename("invadapter " + opened.name());
                        return opened;
                    }), defaults, adapter == null ? "" : LoraUse.nameOf(adapter));
                }, () -> { });
            } catch (RuntimeException | Error e) {
                thread.close(() -> { });
                throw e;
            }
        }
    }

    private Pipeline(DeviceThread thread, Workshop workshop, ModelDefaults defaults, String adapterName) {
        this.thread = thread;
        this.workshop = workshop;
        this.acceptance = new Acceptance(workshop, defaults);
        this.adapterName = adapterName;
    }

    private StableDiffusion model() {
        return workshop.model();
    }

    public Device device() {
        return workshop.device();
    }

    public boolean hasAdapter() {
        return workshop.adapter() != null;
    }

    /** The adapter's file without its ending; empty without. */
    String adapterName() {
        return adapterName;
    }

    /** Those that lie over the model for all requests. */
    public List<LoraUse> loras() {
        return workshop.ownLoras();
    }

    /** Width of the pictures the model was trained on. */
    public int defaultWidth() {
        return acceptance.width();
    }

    /** Height of the pictures the model was trained on. */
    public int defaultHeight() {
        return acceptance.height();
    }

    /** The steps of a request that does not say: what the model's folder names in {@code invadapter.json}, or 50; of a latent consistency model 4. */
    public int defaultSteps() {
        return acceptance.steps();
    }

    /** The guidance of a request that does not say: what the model's folder names in {@code invadapter.json}, or 7.5; of a latent consistency model 8.5. */
    public double defaultGuidanceScale() {
        return acceptance.guidanceScale();
    }

    /** The adapter's recommended lambda. */
    public double defaultIdentityScale() {
        return acceptance.identityScale();
    }

    // --- generating -------------------------------------------------------------------------------------------------

    /**
     * Makes pictures; the request's listener gets each when it is finished.
     *
     * @throws InvalidRequestException                         when the request cannot be carried out as asked
     * @throws CancellationException                           when it was cancelled, the thread was interrupted, or its listener
     *                                                         failed (which is the cause then)
     * @throws io.invadapter.weights.WeightException            when the weights do not give a picture
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException when the device has not enough memory for one picture
     * @throws io.invadapter.kernels.DeviceException            when the device fails
     * @throws IllegalStateException                           when the pipeline is closed, or the caller is one of its listeners
     */
    public GenerationResult generate(GenerationRequest request) {
        return generate(List.of(Objects.requireNonNull(request, "request"))).getFirst();
    }

    /**
     * Makes the pictures of several requests, together as far as the device gains by it: other prompts, faces, seeds, guidance
     * and identity scales, but the same size, steps, sampler, identity layers and rows, and none or all of them with a picture to
     * start from, of one strength, and with a mask. When one of them fails, the others are still finished and given to their
     * listeners.
     *
     * @return in the order of the requests
     * @throws InvalidRequestException when a request cannot be carried out as asked, or they do not agree
     * @throws CancellationException   and the others of {@link #generate(GenerationRequest)}: of the first request that failed
     */
    public List<GenerationResult> generate(List<GenerationRequest> requests) {
        if (Objects.requireNonNull(requests, "requests").isEmpty()) {
            throw new InvalidRequestException("a batch needs at least one request");
        }
        List<Order> orders = requests.stream().map(acceptance::order).toList();
        for (Order order : orders) {
            if (!order.kind().equals(orders.getFirst().kind())) {
                throw new InvalidRequestException("requests of one batch must agree in size, steps, sampler, strength, identity layers, "
                        + "identity rows and LoRAs: one asks for " + orders.getFirst().kind() + ", another for " + order.kind());
            }
        }
        carryOut(orders, false);
        return orders.stream().map(Order::result).toList();
    }

    /**
     * What can be found out about {@link GenerationRequest.Builder#sampler} before a pipeline is open.
     *
     * @throws InvalidRequestException when there is no sampler of that name; the message lists them
     */
    public static void requireSampler(String name) {
        if (!name.isEmpty()) {
            Samplers.named(name);
        }
    }

    /** What becomes of requests before they are carried out. */
    Acceptance acceptance() {
        return acceptance;
    }

    /**
     * @param orders  of one kind; each knows afterwards what came of it
     * @param oneTurn whether those of many pictures may stay open, to be carried on with
     */
    void carryOut(List<Order> orders, boolean oneTurn) {
        thread.refuseItself("make pictures");
        DeviceThread.Turn<Void> turn = thread.queue(() -> {
            Batch.run(workshop, orders, oneTurn);
            return null;
        });
        Runnable cancelled = () -> {
            if (orders.stream().allMatch(Order::isCancelled)) {
                turn.withdraw();
            }
        };
        orders.forEach(order -> order.request().cancellation().addListener(cancelled));
        try {
            turn.await(() -> orders.forEach(Order::cancel));
        } finally {
            orders.forEach(order -> order.request().cancellation().removeListener(cancelled));
        }
    }

    /** Pictures that go through the network together, at most. */
    int picturesPerBatch() {
        return workshop.picturesPerBatch();
    }

    /** Whether this is the thread that listeners are called on. */
    boolean isOwnThread() {
        return thread.isCurrent();
    }

    // --- inverting --------------------------------------------------------------------------------------------------

    /** As {@link #invert(BufferedImage, String, int, ProgressListener, Cancellation)}, which nothing but an interrupt cancels. */
    public InversionResult invert(BufferedImage face, String caption, int steps, ProgressListener listener) {
        return invert(face, caption, steps, listener, new Cancellation());
    }

    /**
     * Turns a face into noise and back, to see how much of it the model can hold.
     *
     * @param face         at least 32 x 32 pixels
     * @param caption      describes the picture
     * @param steps        of the inversion, and of the way back
     * @param listener     told of the phases {@code "inverting"} and {@code "reconstructing"}
     * @param cancellation ends it from any thread
     * @throws InvalidRequestException when there are no such steps, the network cannot turn a picture back into noise, the face is too
     *                                 small, or characters of the caption were lost before it came here
     * @throws CancellationException   and the others of {@link #generate(GenerationRequest)}
     */
    public InversionResult invert(BufferedImage face, String caption, int steps, ProgressListener listener, Cancellation cancellation) {
        Objects.requireNonNull(face, "face");
        Objects.requireNonNull(caption, "caption");
        Objects.requireNonNull(cancellation, "cancellation");
        FacePicture.requireSize(face.getWidth(), face.getHeight());
        GenerationRequest.requireCharacters("caption", caption);
        GenerationRequest.requireSteps(steps);
        acceptance.requireInversion(steps);
        thread.refuseItself("invert a face");
        Cancellation interrupt = new Cancellation();
        Reports reports = new Reports(Objects.requireNonNull(listener, "listener"));
        Inversion inversion = new Inversion(workshop, face, caption, steps, reports,
                () -> !interrupt.isCancelled() && !cancellation.isCancelled() && !reports.failed());
        DeviceThread.Turn<InversionResult> turn = thread.queue(() -> {
            try {
                workshop.withWholeRoom(0, inversion);
                return inversion.result();
            } catch (CancellationException e) {
                throw reports.cancelled();
            }
        });
        Runnable withdraw = turn::withdraw;
        cancellation.addListener(withdraw);
        try {
            return turn.await(interrupt::cancel);
        } finally {
            cancellation.removeListener(withdraw);
        }
    }

    // --- closing ----------------------------------------------------------------------------------------------------

    /** Whether it takes no more requests. */
    boolean isClosed() {
        return thread.isClosed();
    }

    /**
     * Waits for the requests that came before, saves what is kept of faces when there is a folder for it, and frees the
     * device's memory. Requests that come later are an {@link IllegalStateException}.
     *
     * @throws IllegalStateException when the caller is a listener of a request under way
     */
    @Override
    public void close() {
        thread.refuseItself("close the pipeline");
        thread.close(workshop::close);
    }
}
