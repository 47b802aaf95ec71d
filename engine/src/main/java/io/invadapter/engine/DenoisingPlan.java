package io.invadapter.engine;

import io.invadapter.engine.model.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.IdentityAttention;
import io.invadapter.engine.model.IdentityFeatures;
import io.invadapter.engine.model.IdentityLayers;
import io.invadapter.engine.model.Latents;
import io.invadapter.engine.model.UNet;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * One denoising step for batches of one shape: its tensors and its operators, recorded once and run for every step of every
 * request of that shape. What differs between steps and requests is written into the tensors.
 */
final class DenoisingPlan implements AutoCloseable {

    /**
     * Everything that decides which operators a step consists of.
     *
     * @param guided two rows for each picture
     * @param people or {@code null} for the plain model
     * @param tokens of each text
     */
    record Shape(int pictures, int height, int width, boolean guided, People people, int tokens) {
        int guidedRows() {
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
        /** From rows of their own in the pictures' batch. */
        TOGETHER,
        /** From a pass of their own before the pictures'. */
        APART,
        /** From {@link #features}, filled by the caller. */
        STORED
    }

    private final Device device;
    private final UNet unet;
    private final EmbeddedAttentionAdapter adapter;
    private final Shape shape;
    private final int identityRows;
    private final Tensor timestep;
    private final Tensor factors;
    private final Tensor latents;
    private final Tensor guidance;
    private final Tensor contexts;
    private final Tensor identityLatents;
    private final Tensor rowIdentities;
    private final Tensor rowScales;
    private final IdentityFeatures features;
    private final Device.Recording recording;
    private final List<Tensor> owned = new ArrayList<>();

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
        int rows = identityRows + shape.guidedRows();
        // In a scope until all of it is there: when memory runs out in between, nothing stays behind.
        try (Scope scope = device.scope()) {
            timestep = own(DataType.FLOAT32, 1);
            factors = own(DataType.FLOAT32, 2);
            latents = own(DataType.FLOAT32, shape.pictures, shape.height, shape.width, channels);
            guidance = shape.guided ? own(DataType.FLOAT32, shape.pictures) : null;
            contexts = own(device.precision().type(), rows, shape.tokens, unet.config().contextChannels());
            identityLatents = computed ? own(DataType.FLOAT32, people.count, people.height, people.width, channels) : null;
            rowIdentities = people == null ? null : own(DataType.INT32, rows);
            rowScales = people == null ? null : own(DataType.FLOAT32, rows);
            features = people == null || people.source == Source.TOGETHER && !people.keep ? null
                    : adapter.features(people.count, people.height, people.width);
            recording = device.record(this::work);
            owned.forEach(device::keep);
            if (features != null) {
                features.keep();
            }
        }
    }

    private Tensor own(DataType type, int... extents) {
        Tensor tensor = device.allocate(type, extents);
        owned.add(tensor);
        return tensor;
    }

    EmbeddedAttentionAdapter adapter() {
        return adapter;
    }

    /** The identities' keys and values of the last step run, or of the next when they are stored; else {@code null}. */
    IdentityFeatures features() {
        return features;
    }

    /** @param texts of the identities' rows, then of the negative prompts, then of the prompts: {@code [S, contextChannels]} each */
    void start(Latents noise, float[][] texts, double[] scales) {
        device.write(latents, noise.channelsLast());
        device.write(contexts, UNet.joined(texts));
        if (guidance != null) {
            float[] rounded = new float[scales.length];
            for (int i = 0; i < scales.length; i++) {
                rounded[i] = (float) scales[i];
            }
            device.write(guidance, rounded);
        }
    }

    /**
     * The people of the batch.
     *
     * @param noise  inverted; {@code null} when their keys and values are stored
     * @param people of each guided row
     * @param scales lambda of each guided row
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

    /** Moves all latents by one noise level. */
    void step(NoiseSchedule.Level level) {
        device.write(timestep, new float[] {level.timestep()});
        device.write(factors, level.factors());
        recording.run();
    }

    Latents latents() {
        return Latents.download(device, latents);
    }

    /** {@code null} when the identities' keys and values are stored. */
    Latents identityLatents() {
        return identityLatents == null ? null : Latents.download(device, identityLatents);
    }

    /** What is recorded. The identities move by the same DDIM step as the pictures, without guidance. */
    private void work() {
        People people = shape.people;
        int rows = shape.guidedRows();
        if (people == null) {
            Tensor noise = unet.forward(pictures(), timestep, contexts, IdentityAttention.NONE);
            device.ddimStep(latents, noise, guidance, factors);
        } else if (people.source == Source.TOGETHER) {
            Tensor batch = shape.guided ? device.toActivations(identityLatents, latents, latents)
                    : device.toActivations(identityLatents, latents);
            Tensor noise = unet.forward(batch, timestep, contexts,
                    adapter.together(people.count, rowIdentities, rowScales, people.layers, features));
            device.ddimStep(identityLatents, noise.rows(0, people.count), null, factors);
            device.ddimStep(latents, noise.rows(people.count, rows), guidance, factors);
        } else {
            if (people.source == Source.APART) {
                identityPass();
            }
            Tensor noise = unet.forward(pictures(), timestep, contexts.rows(identityRows, rows), adapter.inject(features,
                    rowIdentities.rows(identityRows, rows), rowScales.rows(identityRows, rows), people.layers));
            device.ddimStep(latents, noise, guidance, factors);
        }
    }

    private void identityPass() {
        try (Scope scope = device.scope()) {
            Tensor noise = unet.forward(device.toActivations(identityLatents), timestep, contexts.rows(0, identityRows),
                    adapter.record(features));
            device.ddimStep(identityLatents, noise, null, factors);
        }
    }

    private Tensor pictures() {
        return shape.guided ? device.toActivations(latents, latents) : device.toActivations(latents);
    }

    @Override
    public void close() {
        recording.close();
        owned.forEach(device::release);
        if (features != null) {
            features.close();
        }
    }
}
