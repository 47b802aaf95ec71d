package io.invadapter.engine.sampling;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.unet.IdentityAttention;
import io.invadapter.engine.unet.TextFeatures;
import io.invadapter.engine.unet.UNet;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * One denoising step for batches of one shape: its tensors and its operators, recorded once and run for every step of every
 * request of that shape. What differs between steps and requests is written into the tensors; what no step changes, the keys
 * and values of the texts, is computed when a request starts.
 */
final class DenoisingPlan implements AutoCloseable {
    /** Timesteps that are embedded together where that pays: of most walks all. */
    private static final int MOST_TIMES = 64;

    /**
     * Everything that decides which operators a step consists of.
     *
     * @param parts  of the pictures: each goes through the network by itself
     * @param people or {@code null} for the plain model
     * @param tokens of each text
     */
    record Shape(List<Part> parts, int height, int width, People people, int tokens) {
        int pictures() {
            return parts.stream().mapToInt(Part::pictures).sum();
        }

        int rows() {
            return parts.stream().mapToInt(Part::rows).sum();
        }
    }

    /**
     * Pictures that go through the network together.
     *
     * @param guided     two rows for each picture: those of the negative prompts, then those of the prompts
     * @param customised whether the identities go into them
     */
    record Part(int pictures, boolean guided, boolean customised) {
        int rows() {
            return guided ? 2 * pictures : pictures;
        }
    }

    /**
     * The identities of a batch.
     *
     * @param height   of their latents
     * @param width    of their latents
     * @param source   where their keys and values come from
     * @param keep     whether computed keys and values are wanted in {@link #features} after each step
     */
    record People(int count, int height, int width, Source source, boolean keep, IdentityLayers layers) {
    }

    /** Where the identities' keys and values come from. */
    enum Source {
        /** From rows of their own in the pictures' batch, of which there is one part. */
        TOGETHER,
        /** From a pass of their own, all together, before that of the pictures, of which there is one part. */
        APART,
        /** From a pass of its own for each. */
        ONE_BY_ONE,
        /** From {@link #features}, filled by the caller. */
        STORED
    }

    /** A piece of a step, for some of the pictures. */
    private record Work(Device.Recording recording, int firstPicture, int pictures) {
        boolean wanted(IntPredicate picture) {
            return IntStream.range(firstPicture, firstPicture + pictures).anyMatch(picture);
        }
    }

    private final Device device;
    private final UNet unet;
    private final EmbeddedAttentionAdapter adapter;
    private final Shape shape;
    private final int identityRows;
    private final Tensor timesteps;
    private final Tensor times;
    private final Tensor time;
    private final Tensor factors;
    private final Tensor latents;
    private final Tensor guidance;
    private final Tensor contexts;
    private final Tensor identityLatents;
    private final Tensor rowIdentities;
    private final Tensor rowScales;
    private final IdentityFeatures features;
    /** Of each pass through the network, in the order of their rows. */
    private final List<TextFeatures> textFeatures = new ArrayList<>();
    private final List<Work> works = new ArrayList<>();
    private final List<Tensor> owned = new ArrayList<>();
    private NoiseSchedule.Level[] levels;

    /** @param adapter may be {@code null} for a shape without people */
    DenoisingPlan(Device device, UNet unet, EmbeddedAttentionAdapter adapter, Shape shape) {
        this.device = device;
        this.unet = unet;
        this.adapter = adapter;
        this.shape = shape;
        People people = shape.people;
        boolean computed = people != null && people.source != Source.STORED;
        identityRows = computed ? people.count : 0;
        int channels = unet.config().inChannels();
        int rows = identityRows + shape.rows();
        // In a scope until all of it is there: when memory runs out in between, nothing stays behind.
        try (Scope scope = device.scope()) {
            int together = device.prefersLargeBatches() ? MOST_TIMES : 1;
            timesteps = own(DataType.FLOAT32, together);
            times = own(unet.times(together));
            time = own(unet.times(1));
            factors = own(DataType.FLOAT32, 2);
            latents = own(DataType.FLOAT32, shape.pictures(), shape.height, shape.width, channels);
            guidance = own(DataType.FLOAT32, shape.pictures());
            contexts = own(device.precision().type(), rows, shape.tokens, unet.config().contextChannels());
            identityLatents = computed ? own(DataType.FLOAT32, people.count, people.height, people.width, channels) : null;
            rowIdentities = people == null ? null : own(DataType.INT32, rows);
            rowScales = people == null ? null : own(DataType.FLOAT32, rows);
            features = people == null || people.source == Source.TOGETHER && !people.keep ? null
                    : adapter.features(people.count, people.height, people.width);
            record();
            owned.forEach(device::keep);
            textFeatures.forEach(TextFeatures::keep);
            if (features != null) {
                features.keep();
            }
        }
    }

    private Tensor own(DataType type, int... extents) {
        return own(device.allocate(type, extents));
    }

    private Tensor own(Tensor tensor) {
        owned.add(tensor);
        return tensor;
    }

    EmbeddedAttentionAdapter adapter() {
        return adapter;
    }

    int pictures() {
        return shape.pictures();
    }

    /** The identities' keys and values of the last step run, or of the next when they are stored; else {@code null}. */
    IdentityFeatures features() {
        return features;
    }

    /**
     * @param texts      of the identities' rows, then of the rows of every part: {@code [S, contextChannels]} each
     * @param scales     of guidance, for each picture
     * @param ofAllSteps the way of the latents
     */
    void start(Latents noise, float[][] texts, float[] scales, NoiseSchedule.Level[] ofAllSteps) {
        levels = ofAllSteps;
        device.write(latents, noise.channelsLast());
        device.write(contexts, UNet.joined(texts));
        device.write(guidance, scales);
        int row = 0;
        for (TextFeatures text : textFeatures) {
            unet.project(contexts.rows(row, text.rows()), text);
            row += text.rows();
        }
    }

    /**
     * The people of the batch.
     *
     * @param noise  inverted; {@code null} when their keys and values are stored
     * @param people of each row of the parts
     * @param scales lambda of each row of the parts
     */
    void startIdentities(Latents noise, int[] people, float[] scales) {
        if (identityLatents != null) {
            device.write(identityLatents, noise.channelsLast());
        }
        int rows = identityRows + people.length;
        int[] allPeople = new int[rows];
        float[] allScales = new float[rows];
        System.arraycopy(people, 0, allPeople, identityRows, people.length);
        System.arraycopy(scales, 0, allScales, identityRows, scales.length);
        device.write(rowIdentities, allPeople);
        device.write(rowScales, allScales);
    }

    /**
     * Moves the latents by one noise level.
     *
     * @param step   of those given to {@link #start}, which come in their order
     * @param wanted whether somebody still waits for a picture; what nobody waits for may stay behind
     */
    void step(int step, IntPredicate wanted) {
        // One scope for all of it: one pass of the device's pool, whatever it consists of.
        try (Scope scope = device.scope()) {
            embedTime(step);
            device.write(factors, levels[step].factors());
            for (Work work : works) {
                Wanted.run(device, () -> work.wanted(wanted), work.recording::run);
            }
        }
    }

    /** The step's time for the recordings; with it, from time to time, those of the steps to come. */
    private void embedTime(int step) {
        int row = step % times.batch();
        if (row == 0) {
            int count = Math.min(times.batch(), levels.length - step);
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = levels[step + i].timestep();
            }
            device.write(timesteps.rows(0, count), values);
            unet.embed(timesteps.rows(0, count), times.rows(0, count));
        }
        device.copy(times.rows(row, 1), time);
    }

    Latents latents() {
        return Latents.download(device, latents);
    }

    /** {@code null} when the identities' keys and values are stored. */
    Latents identityLatents() {
        return identityLatents == null ? null : Latents.download(device, identityLatents);
    }

    // --- what is recorded -------------------------------------------------------------------------------------------

    private void record() {
        Source source = shape.people == null ? null : shape.people.source;
        if (source == Source.TOGETHER) {
            TextFeatures text = texts(identityRows + shape.rows());
            record(() -> together(text), 0, shape.pictures());
            return;
        }
        if (source == Source.APART) {
            // One recording, for each holds memory of its own.
            TextFeatures captions = texts(identityRows);
            TextFeatures text = texts(shape.rows());
            record(() -> {
                identityPass(0, captions);
                pass(shape.parts.getFirst(), 0, identityRows, text);
            }, 0, shape.pictures());
            return;
        }
        if (source == Source.ONE_BY_ONE) {
            for (int i = 0; i < identityRows; i++) {
                int identity = i;
                TextFeatures caption = texts(1);
                record(() -> identityPass(identity, caption), 0, shape.pictures());
            }
        }
        int picture = 0;
        int row = identityRows;
        for (Part part : shape.parts) {
            int firstPicture = picture;
            int firstRow = row;
            TextFeatures text = texts(part.rows());
            record(() -> pass(part, firstPicture, firstRow, text), firstPicture, part.pictures);
            picture += part.pictures;
            row += part.rows();
        }
    }

    /** For a pass of that many rows. */
    private TextFeatures texts(int rows) {
        TextFeatures text = unet.textFeatures(rows, shape.tokens);
        textFeatures.add(text);
        return text;
    }

    private void record(Runnable work, int firstPicture, int pictures) {
        works.add(new Work(device.record(work), firstPicture, pictures));
    }

    /** The identities move by the same DDIM step as the pictures, without guidance. */
    private void together(TextFeatures text) {
        Part part = shape.parts.getFirst();
        int people = shape.people.count;
        Tensor batch = part.guided ? device.toActivations(identityLatents, latents, latents)
                : device.toActivations(identityLatents, latents);
        Tensor noise = unet.forward(batch, time, text,
                adapter.together(people, rowIdentities, rowScales, shape.people.layers, features));
        device.ddimStep(identityLatents, noise.rows(0, people), null, factors);
        device.ddimStep(latents, noise.rows(people, part.rows()), part.guided ? guidance : null, factors);
    }

    private void identityPass(int first, TextFeatures captions) {
        try (Scope scope = device.scope()) {
            Tensor own = identityLatents.rows(first, captions.rows());
            Tensor noise = unet.forward(device.toActivations(own), time, captions, adapter.record(features, first));
            device.ddimStep(own, noise, null, factors);
        }
    }

    private void pass(Part part, int firstPicture, int firstRow, TextFeatures text) {
        Tensor own = latents.rows(firstPicture, part.pictures);
        IdentityAttention identity = part.customised ? adapter.inject(features, rowIdentities.rows(firstRow, part.rows()),
                rowScales.rows(firstRow, part.rows()), shape.people.layers) : IdentityAttention.NONE;
        Tensor noise = unet.forward(part.guided ? device.toActivations(own, own) : device.toActivations(own), time, text,
                identity);
        device.ddimStep(own, noise, part.guided ? guidance.rows(firstPicture, part.pictures) : null, factors);
    }

    @Override
    public void close() {
        works.forEach(work -> work.recording.close());
        owned.forEach(device::release);
        textFeatures.forEach(TextFeatures::close);
        if (features != null) {
            features.close();
        }
    }
}
