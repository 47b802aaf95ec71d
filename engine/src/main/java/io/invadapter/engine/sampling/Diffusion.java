package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.Influence;
import io.invadapter.engine.adapter.Layout;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.Device;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The loops: DDIM inversion, and sampling along any {@link Walk} with guidance and whatever else steers the pictures. Used by one
 * thread at a time.
 */
public final class Diffusion implements AutoCloseable {
    /** Each holds memory, on some devices that of a whole pass; servers see few sizes. */
    private static final int MOST_PLANS = 6;

    private final Device device;
    private final Part<UNet> unet;
    private final NoiseSchedule schedule;
    private final EmptyPictures emptyPictures;
    private final Map<DenoisingPlan.Shape, DenoisingPlan> plans = new LinkedHashMap<>(16, 0.75f, true);

    /** Told after every step; {@code latents} copies the current ones from the device when asked. */
    public interface StepListener {
        void step(int done, int steps, Supplier<Latents> latents);

        /** Whether somebody still waits for row number {@code picture}; asked before and, on some devices, within every step. */
        default boolean wants(int picture) {
            return true;
        }

        /** Whether somebody still waits for any of the first {@code pictures} rows. */
        default boolean wantsAny(int pictures) {
            return IntStream.range(0, pictures).anyMatch(this::wants);
        }
    }

    /**
     * Texts of a picture, of any number S of tokens, the same in all texts that go through the network together.
     *
     * @param prompt   text encoder output {@code [S, C]}
     * @param negative the same for the negative prompt
     * @param scale    1 or more; given less, 1: no guidance
     * @param rescale  how much of what guidance does to the deviation of the prediction is taken back: 0 to 1 (Lin et al. 2023, phi)
     */
    public record Guidance(float[] prompt, float[] negative, double scale, double rescale) {
        public Guidance {
            Objects.requireNonNull(prompt, "prompt");
            Objects.requireNonNull(negative, "negative");
            scale = Math.max(1, scale);
        }

        /** Without rescale. */
        public Guidance(float[] prompt, float[] negative, double scale) {
            this(prompt, negative, scale, 0);
        }

        /** None, towards one text. */
        public static Guidance none(float[] prompt) {
            return new Guidance(prompt, prompt, 1);
        }

        boolean isRescaled() {
            return scale > 1 && rescale > 0;
        }
    }

    /** @param vae makes the empty pictures that a network which is trained for inpainting is given where nothing is known */
    public Diffusion(Device device, Part<UNet> unet, Part<Vae> vae, NoiseSchedule schedule) {
        this.device = device;
        this.unet = unet;
        this.schedule = schedule;
        emptyPictures = new EmptyPictures(device, vae);
        unet.beforeLeaving(this::trim);
    }

    /** Over networks that stay. */
    public Diffusion(Device device, UNet unet, Vae vae, NoiseSchedule schedule) {
        this(device, Part.of(unet), Part.of(vae), schedule);
    }

    /** DDIM (eta 0) over the model's own noise. */
    public Walk ddim(int steps) {
        return new Ddim().walk(schedule, steps, 1);
    }

    /**
     * DDIM inversion without guidance, of any number of pictures: the clean {@code z0} first, then the latents after every step,
     * the noise last. A network that is trained for inpainting is told that all of the picture is to be repainted, which is grey.
     *
     * @param captions of each row
     * @param pictures the way of pictures that it is for; its levels backwards are the way
     * @throws CancellationException when the listener wants none of the rows any more
     */
    public List<Latents> invert(Latents z0, List<float[]> captions, Walk pictures, StepListener listener) {
        List<Latents> trajectory = new ArrayList<>(List.of(z0));
        invertToNoise(z0, captions, pictures, (done, all, latents) -> {
            trajectory.add(latents.get());
            listener.step(done, all, latents);
        });
        return trajectory;
    }

    /** The end of {@link #invert}. */
    public Latents invertToNoise(Latents z0, List<float[]> captions, Walk pictures, StepListener listener) {
        return generate(unguided(z0, captions, IdentityWalk.inversion(pictures, schedule.prediction()), listener), listener);
    }

    /** Sampling without guidance: the way back from {@link #invert}. */
    public Latents denoise(Latents noise, List<float[]> captions, Walk pictures, StepListener listener) {
        return generate(beside(noise, captions, pictures, listener), listener);
    }

    /**
     * That way back as faces go it beside pictures.
     *
     * @throws CancellationException when the listener wants none of the rows any more
     */
    public Sampling beside(Latents noise, List<float[]> captions, Walk pictures, StepListener listener) {
        return unguided(noise, captions, IdentityWalk.beside(pictures, schedule.prediction()), listener);
    }

    private Sampling unguided(Latents start, List<float[]> captions, Walk walk, StepListener listener) {
        return withCanvas(new Sampling(start, captions.stream().map(Guidance::none).toList(), walk), listener);
    }

    /** A network that is trained for inpainting is told of whole pictures that all of them is to be repainted, over grey. */
    private Sampling withCanvas(Sampling sampling, StepListener listener) {
        Latents start = sampling.start();
        return sampling.inpainting() != null || !unet.network().config().inpainting() ? sampling
                : sampling.withInpainting(emptyPictures.of(start.batch(), start.height(), start.width(),
                        () -> listener.wantsAny(start.batch())));
    }

    /**
     * Sampling with classifier-free guidance. A network that is trained for inpainting gets the mask and the known picture beside the
     * latents; with another the rest of the picture is put back after every step.
     *
     * @return clean latents
     * @throws CancellationException when the listener wants none of the pictures any more; of those that it did not want at
     *         some time the latents are undefined
     */
    public Latents generate(Sampling pictures, StepListener listener) {
        // That may need the VAE, for which the UNet, and so the plan, may have to leave.
        Sampling sampling = withCanvas(pictures, listener);
        DenoisingPlan plan = plan(shape(sampling));
        plan.start(sampling);
        int steps = sampling.walk().steps().size();
        for (int i = 0; i < steps; i++) {
            plan.step(i, listener);
            listener.step(i + 1, steps, plan::latents);
        }
        return plan.latents();
    }

    private DenoisingPlan.Shape shape(Sampling sampling) {
        Layout pictures = new Layout(parts(sampling.guidance()), sampling.start().height(), sampling.start().width());
        List<Influence.Shape> influences = sampling.influences().stream().map(influence -> influence.shape(pictures)).toList();
        Walk walk = sampling.walk();
        return new DenoisingPlan.Shape(pictures, influences, walk.registers(), walk.steps().stream().anyMatch(Step::noise),
                sampling.inpainting() != null && !unet.network().config().inpainting());
    }

    /** Everything at once where that pays; elsewhere each picture by itself, so that it does not matter what is beside it. */
    private List<Layout.Part> parts(List<Guidance> guidance) {
        return device.prefersLargeBatches() ? List.of(part(guidance)) : guidance.stream().map(own -> part(List.of(own))).toList();
    }

    private Layout.Part part(List<Guidance> guidance) {
        List<Guidance> guided = guidance.stream().filter(own -> isGuided(own.scale)).toList();
        return new Layout.Part(guidance.size(), unet.network().tokens(guidance.getFirst().prompt), !guided.isEmpty(),
                guided.stream().anyMatch(Guidance::isRescaled));
    }

    /** Whether a picture of that scale takes a row of its negative prompt beside its own; a network that is told the scale needs none. */
    public boolean isGuided(double scale) {
        return scale > 1 && unet.network().config().guidanceChannels() == 0;
    }

    private DenoisingPlan plan(DenoisingPlan.Shape shape) {
        UNet network = unet.use();
        DenoisingPlan known = plans.get(shape);
        if (known != null) {
            return known;
        }
        while (plans.size() >= MOST_PLANS) {
            Iterator<DenoisingPlan> oldest = plans.values().iterator();
            DenoisingPlan unused = oldest.next();
            oldest.remove();
            unused.close();
        }
        DenoisingPlan plan = new DenoisingPlan(device, network, shape);
        plans.put(shape, plan);
        return plan;
    }

    /** Whether the memory of these pictures' steps is kept from earlier ones of the same shape, as devices do that prefer large batches. */
    public boolean keeps(Sampling sampling) {
        return device.prefersLargeBatches() && plans.containsKey(shape(sampling));
    }

    /** Whether that of any pass over so many rows of latents, or more, is kept: there is as much, though that pass may have to go for it. */
    public boolean keepsAny(int rows, int height, int width) {
        return device.prefersLargeBatches() && plans.keySet().stream().map(DenoisingPlan.Shape::pictures)
                .anyMatch(pictures -> pictures.rows().size() >= rows && pictures.height() == height && pictures.width() == width);
    }

    /** Frees what is kept for the sizes seen so far. */
    public void trim() {
        plans.values().forEach(DenoisingPlan::close);
        plans.clear();
    }

    @Override
    public void close() {
        trim();
    }
}
