package io.invadapter.engine.sampling;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.Device;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.function.IntConsumer;
import java.util.function.IntPredicate;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The loops: DDIM inversion, sampling along any {@link Walk} with guidance, and with the identity beside it. Used by one thread
 * at a time.
 */
public final class Diffusion implements AutoCloseable {
    /** Each holds memory, on some devices that of a whole pass; servers see few sizes. */
    private static final int MOST_PLANS = 6;

    private final Device device;
    private final Part<UNet> unet;
    private final Part<Vae> vae;
    private final NoiseSchedule schedule;
    private final Map<DenoisingPlan.Shape, DenoisingPlan> plans = new LinkedHashMap<>(16, 0.75f, true);
    /** By their height and width. */
    private final Map<List<Integer>, Latents> emptyPictures = new HashMap<>();

    /** Told after every step; {@code latents} copies the current ones from the device when asked. */
    public interface StepListener {
        void step(int done, int steps, Supplier<Latents> latents);

        /** Whether somebody still waits for row number {@code picture}; asked before and, on some devices, within every step. */
        default boolean wants(int picture) {
            return true;
        }
    }

    /**
     * Texts of a picture, of any number S of tokens, the same in all texts that go through the network together.
     *
     * @param prompt   text encoder output {@code [S, C]}
     * @param negative the same for the negative prompt
     * @param scale    1 or less: no guidance
     * @param rescale  how much of what guidance does to the deviation of the prediction is taken back: 0 to 1 (Lin et al. 2023, phi)
     */
    public record Guidance(float[] prompt, float[] negative, double scale, double rescale) {
        public Guidance {
            Objects.requireNonNull(prompt, "prompt");
            Objects.requireNonNull(negative, "negative");
        }

        /** Without rescale. */
        public Guidance(float[] prompt, float[] negative, double scale) {
            this(prompt, negative, scale, 0);
        }

        private boolean isGuided() {
            return scale > 1;
        }

        private boolean isRescaled() {
            return isGuided() && rescale > 0;
        }
    }

    /**
     * The people to keep.
     *
     * @param people     where their keys and values come from
     * @param ofPictures the number of each picture's person
     * @param scales     lambda of each picture
     */
    public record IdentityControl(EmbeddedAttentionAdapter adapter, People people, int[] ofPictures, double[] scales,
            IdentityLayers layers, IdentityRows rows) {

        public IdentityControl {
            Objects.requireNonNull(adapter, "adapter");
            Objects.requireNonNull(people, "people");
            Objects.requireNonNull(ofPictures, "ofPictures");
            Objects.requireNonNull(scales, "scales");
            Objects.requireNonNull(layers, "layers");
            Objects.requireNonNull(rows, "rows");
        }

        /** One person in one picture. */
        public static IdentityControl of(EmbeddedAttentionAdapter adapter, Latents noise, float[] caption, double scale,
                IdentityLayers layers, IdentityRows rows) {
            return new IdentityControl(adapter, new Inverted(noise, List.of(caption), null), new int[] {0},
                    new double[] {scale}, layers, rows);
        }
    }

    /** Where the identities' keys and values come from. */
    public sealed interface People {
        int count();
    }

    /**
     * Computed step by step from inverted faces.
     *
     * @param noise    the faces, inverted with their captions along the pictures' walk; a row each
     * @param captions text encoder output for each
     * @param keeper   gets them after every step, or {@code null}
     */
    public record Inverted(Latents noise, List<float[]> captions, Keeper keeper) implements People {
        public Inverted {
            Objects.requireNonNull(noise, "noise");
            Objects.requireNonNull(captions, "captions");
        }

        @Override
        public int count() {
            return captions.size();
        }
    }

    /** Kept from an earlier walk over the same levels. */
    public record Stored(int count, Keeper keeper) implements People {
        public Stored {
            Objects.requireNonNull(keeper, "keeper");
        }
    }

    /** Called around the steps with the features of all identities of the batch. */
    public interface Keeper {
        /** {@link Inverted}: after step number {@code step}, reads the features. {@link Stored}: before it, fills them. */
        void exchange(int step, IdentityFeatures features);
    }

    /** @param latents clean; @param identity the identities' own latents, denoised beside; {@code null} without or when stored */
    public record Result(Latents latents, Latents identity) {
        public Result {
            Objects.requireNonNull(latents, "latents");
        }
    }

    /** @param vae makes the empty pictures that a network which is trained for inpainting is given where nothing is known */
    public Diffusion(Device device, Part<UNet> unet, Part<Vae> vae, NoiseSchedule schedule) {
        this.device = device;
        this.unet = unet;
        this.vae = vae;
        this.schedule = schedule;
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
        walk(z0, captions, IdentityWalk.inversion(pictures, schedule.prediction()), (done, all, latents) -> {
            trajectory.add(latents.get());
            listener.step(done, all, latents);
        });
        return trajectory;
    }

    /** The end of {@link #invert}. */
    public Latents invertToNoise(Latents z0, List<float[]> captions, Walk pictures, StepListener listener) {
        return walk(z0, captions, IdentityWalk.inversion(pictures, schedule.prediction()), listener);
    }

    /** Sampling without guidance: the way back from {@link #invert}. */
    public Latents denoise(Latents noise, List<float[]> captions, Walk pictures, StepListener listener) {
        return walk(noise, captions, IdentityWalk.beside(pictures, schedule.prediction()), listener);
    }

    private Latents walk(Latents start, List<float[]> captions, Walk walk, StepListener listener) {
        float[] none = new float[start.batch()];
        Arrays.fill(none, 1);
        Inpainting empty = empty(start);
        DenoisingPlan plan = plan(new DenoisingPlan.Shape(parts(captions.stream().map(caption -> new Guidance(caption, caption, 1)).toList(),
                row -> false), start.height(), start.width(), null, walk.registers(), false, false), null);
        plan.startInpainting(empty);
        plan.start(start, captions.toArray(float[][]::new), new Guided(none, new float[none.length]), walk, FreshNoise.NONE);
        return run(plan, walk, listener);
    }

    /** As {@link #generate(Latents, Inpainting, List, Walk, FreshNoise, IdentityControl, StepListener)}, of whole pictures. */
    public Result generate(Latents start, List<Guidance> guidance, Walk walk, FreshNoise noise, IdentityControl identity,
            StepListener listener) {
        return generate(start, null, guidance, walk, noise, identity, listener);
    }

    /**
     * Sampling with classifier-free guidance. With identities, every step also takes the identities' own latents one step
     * on, and their features go into the pictures' attention. A network that is trained for inpainting gets the mask and the known
     * picture beside the latents; with another the rest of the picture is put back after every step. The identities' rows have neither
     * picture nor mask: such a network is told that all of them is to be repainted, over grey.
     *
     * @param start      a row for each picture: noise times the walk's scale, or {@link Latents#noised} at the level of its first step
     * @param inpainting of all pictures, or {@code null} to make whole ones
     * @param guidance   of each picture
     * @param noise      for a walk that takes some
     * @param identity   or {@code null}
     * @throws CancellationException when the listener wants none of the pictures any more; of those that it did not want at
     *         some time the latents are undefined
     */
    public Result generate(Latents start, Inpainting inpainting, List<Guidance> guidance, Walk walk, FreshNoise noise, IdentityControl identity,
            StepListener listener) {
        boolean customised = identity != null && Arrays.stream(identity.scales).anyMatch(scale -> scale != 0);
        List<DenoisingPlan.Part> parts = parts(guidance, i -> customised && identity.scales[i] != 0);
        DenoisingPlan.People people = customised ? people(start, parts, identity) : null;
        // These need the VAE, for which the UNet, and so the plan, may have to leave.
        Inpainting ofPictures = inpainting == null ? empty(start) : inpainting;
        Inpainting ofFaces = customised && identity.people instanceof Inverted inverted ? empty(inverted.noise) : null;
        boolean blended = inpainting != null && !unet.network().config().inpainting();
        DenoisingPlan plan = plan(new DenoisingPlan.Shape(parts, start.height(), start.width(), people, walk.registers(),
                walk.steps().stream().anyMatch(Step::noise), blended), customised ? identity.adapter : null);
        List<float[]> texts = new ArrayList<>();
        if (customised && identity.people instanceof Inverted inverted) {
            texts.addAll(inverted.captions);
        }
        for (Row row : rows(parts)) {
            Guidance own = guidance.get(row.picture);
            texts.add(row.negative ? own.negative : own.prompt);
        }
        plan.startInpainting(ofPictures);
        plan.start(start, texts.toArray(float[][]::new), guided(guidance), walk, noise);
        if (!customised) {
            return new Result(run(plan, walk, listener), null);
        }
        startIdentities(plan, identity, ofFaces, IdentityWalk.beside(walk, schedule.prediction()), rows(parts));
        return switch (identity.people) {
            case Inverted inverted -> new Result(run(plan, walk, listener, step -> { }, step -> {
                if (inverted.keeper != null) {
                    inverted.keeper.exchange(step, plan.features());
                }
            }), plan.identityLatents());
            case Stored stored -> new Result(run(plan, walk, listener, step -> stored.keeper.exchange(step, plan.features()), step -> { }), null);
        };
    }

    /** That all of the pictures is to be repainted, for a network that is trained for inpainting; {@code null} for another. */
    private Inpainting empty(Latents pictures) {
        return unet.network().config().inpainting() ? Inpainting.everything(emptyPictures.computeIfAbsent(List.of(pictures.height(), pictures.width()),
                size -> PictureLatents.empty(size.getFirst(), size.getLast(), vae.use())), pictures.batch()) : null;
    }

    private Guided guided(List<Guidance> guidance) {
        float[] scales = new float[guidance.size()];
        float[] amounts = new float[scales.length];
        for (int i = 0; i < scales.length; i++) {
            Guidance own = guidance.get(i);
            // A picture that wants none beside one that does: of eps_negative + 1 (eps_prompt - eps_negative) only eps_prompt is left.
            scales[i] = (float) (takesGuidance() ? own.scale : Math.max(1, own.scale));
            amounts[i] = own.isRescaled() ? (float) own.rescale : 0;
        }
        return new Guided(scales, amounts);
    }

    private static Latents run(DenoisingPlan plan, Walk walk, StepListener listener) {
        return run(plan, walk, listener, step -> { }, step -> { });
    }

    private static Latents run(DenoisingPlan plan, Walk walk, StepListener listener, IntConsumer before, IntConsumer after) {
        int steps = walk.steps().size();
        for (int i = 0; i < steps; i++) {
            before.accept(i);
            plan.step(i, listener::wants);
            if (IntStream.range(0, plan.pictures()).noneMatch(listener::wants)) {
                throw new CancellationException("nobody waits for these pictures");
            }
            after.accept(i);
            listener.step(i + 1, steps, plan::latents);
        }
        return plan.latents();
    }

    /** Everything at once where that pays; elsewhere each picture by itself, so that it does not matter what is beside it. */
    private List<DenoisingPlan.Part> parts(List<Guidance> guidance, IntPredicate customised) {
        int pictures = guidance.size();
        return device.prefersLargeBatches() ? List.of(part(guidance, IntStream.range(0, pictures).anyMatch(customised)))
                : IntStream.range(0, pictures).mapToObj(i -> part(List.of(guidance.get(i)), customised.test(i))).toList();
    }

    private DenoisingPlan.Part part(List<Guidance> guidance, boolean customised) {
        boolean rows = !takesGuidance();
        return new DenoisingPlan.Part(guidance.size(), tokens(guidance.getFirst().prompt), rows && guidance.stream().anyMatch(Guidance::isGuided),
                rows && guidance.stream().anyMatch(Guidance::isRescaled), customised);
    }

    /** Whether the network is told the scale, and needs no negative prompt. */
    private boolean takesGuidance() {
        return unet.network().config().guidanceChannels() > 0;
    }

    private int tokens(float[] text) {
        return text.length / unet.network().config().contextChannels();
    }

    /** A row of the network's batch. */
    private record Row(int picture, boolean negative) {
    }

    /** In the order of the plan. */
    private static List<Row> rows(List<DenoisingPlan.Part> parts) {
        List<Row> rows = new ArrayList<>();
        int first = 0;
        for (DenoisingPlan.Part part : parts) {
            for (int i = 0; i < part.rows(); i++) {
                rows.add(new Row(first + i % part.pictures(), part.guided() && i < part.pictures()));
            }
            first += part.pictures();
        }
        return rows;
    }

    private DenoisingPlan.People people(Latents pictures, List<DenoisingPlan.Part> parts, IdentityControl identity) {
        return switch (identity.people) {
            case Inverted inverted -> {
                Latents own = inverted.noise;
                int tokens = tokens(inverted.captions.getFirst());
                boolean alike = own.height() == pictures.height() && own.width() == pictures.width() && tokens == parts.getFirst().tokens();
                DenoisingPlan.Source source = !device.prefersLargeBatches() ? DenoisingPlan.Source.ONE_BY_ONE
                        : alike ? DenoisingPlan.Source.TOGETHER : DenoisingPlan.Source.APART;
                yield new DenoisingPlan.People(inverted.count(), own.height(), own.width(), tokens, source, inverted.keeper != null,
                        identity.layers);
            }
            case Stored stored -> {
                int size = identity.adapter.identityLatentSize();
                yield new DenoisingPlan.People(stored.count, size, size, 0, DenoisingPlan.Source.STORED, true, identity.layers);
            }
        };
    }

    private void startIdentities(DenoisingPlan plan, IdentityControl identity, Inpainting inpainting, Walk walk, List<Row> rows) {
        int[] people = new int[rows.size()];
        float[] scales = new float[rows.size()];
        for (int i = 0; i < people.length; i++) {
            Row row = rows.get(i);
            people[i] = identity.ofPictures[row.picture];
            scales[i] = row.negative && identity.rows == IdentityRows.PROMPT ? 0 : (float) identity.scales[row.picture];
        }
        Latents noise = identity.people instanceof Inverted inverted ? inverted.noise : null;
        plan.startIdentities(noise, inpainting, walk, people, scales);
    }

    private DenoisingPlan plan(DenoisingPlan.Shape shape, EmbeddedAttentionAdapter adapter) {
        UNet network = unet.use();
        DenoisingPlan plan = plans.get(shape);
        if (plan != null && plan.adapter() == adapter) {
            return plan;
        }
        if (plan != null) {
            plans.remove(shape).close();
        }
        while (plans.size() >= MOST_PLANS) {
            Iterator<DenoisingPlan> oldest = plans.values().iterator();
            DenoisingPlan unused = oldest.next();
            oldest.remove();
            unused.close();
        }
        plan = new DenoisingPlan(device, network, adapter, shape);
        plans.put(shape, plan);
        return plan;
    }

    /** Whether the memory of a pass over so many rows of latents is kept from an earlier walk, which devices do that prefer large batches. */
    public boolean keeps(int rows, int height, int width) {
        return device.prefersLargeBatches() && plans.keySet().stream()
                .anyMatch(shape -> shape.rows() == rows && shape.height() == height && shape.width() == width);
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
