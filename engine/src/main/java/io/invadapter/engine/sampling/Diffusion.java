package io.invadapter.engine.sampling;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.unet.UNet;
import io.invadapter.kernels.Device;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.function.IntPredicate;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The loops: DDIM inversion, DDIM sampling with guidance, and sampling with the identity beside it. Used by one thread at a
 * time.
 */
public final class Diffusion implements AutoCloseable {
    /** Each holds memory, on some devices that of a whole pass; servers see few sizes. */
    private static final int MOST_PLANS = 6;

    private final Device device;
    private final UNet unet;
    private final NoiseSchedule schedule;
    private final int tokens;
    private final Map<DenoisingPlan.Shape, DenoisingPlan> plans = new LinkedHashMap<>(16, 0.75f, true);

    /** Told after every step; {@code latents} copies the current ones from the device when asked. */
    public interface StepListener {
        void step(int done, int steps, Supplier<Latents> latents);

        /** Whether somebody still waits for row number {@code picture}; asked before and, on some devices, within every step. */
        default boolean wants(int picture) {
            return true;
        }
    }

    /** @param prompt text encoder output {@code [S, C]}; @param negative the same for the negative prompt; @param scale 1 or less: no guidance */
    public record Guidance(float[] prompt, float[] negative, double scale) {
        public Guidance {
            Objects.requireNonNull(prompt, "prompt");
            Objects.requireNonNull(negative, "negative");
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
     * @param noise    the faces, inverted with their captions in the same number of steps; a row each
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

    /** Kept from an earlier walk through the same steps. */
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

    /** @param tokens of each text */
    public Diffusion(Device device, UNet unet, NoiseSchedule schedule, int tokens) {
        this.device = device;
        this.unet = unet;
        this.schedule = schedule;
        this.tokens = tokens;
    }

    /**
     * DDIM inversion without guidance, of any number of pictures: {@code steps + 1} latents, the clean {@code z0} first, the
     * noise last.
     *
     * @param captions of each row
     * @throws CancellationException when the listener wants none of the rows any more
     */
    public List<Latents> invert(Latents z0, List<float[]> captions, int steps, StepListener listener) {
        List<Latents> trajectory = new ArrayList<>(List.of(z0));
        walk(z0, captions, schedule.inversionLevels(steps), (done, all, latents) -> {
            trajectory.add(latents.get());
            listener.step(done, all, latents);
        });
        return trajectory;
    }

    /** The end of {@link #invert}. */
    public Latents invertToNoise(Latents z0, List<float[]> captions, int steps, StepListener listener) {
        return walk(z0, captions, schedule.inversionLevels(steps), listener);
    }

    /** Sampling without guidance: the way back from {@link #invert}. */
    public Latents denoise(Latents noise, List<float[]> captions, int steps, StepListener listener) {
        return walk(noise, captions, schedule.samplingLevels(steps), listener);
    }

    private Latents walk(Latents start, List<float[]> captions, NoiseSchedule.Level[] levels, StepListener listener) {
        DenoisingPlan plan = plan(shape(start, parts(start.batch(), row -> false, row -> false), null), null);
        plan.start(start, captions.toArray(float[][]::new), new float[start.batch()], levels);
        for (int i = 0; i < levels.length; i++) {
            step(plan, i, listener);
            listener.step(i + 1, levels.length, plan::latents);
        }
        return plan.latents();
    }

    /**
     * Sampling with classifier-free guidance. With identities, every step also takes the identities' own latents one step
     * on, and their features go into the pictures' attention.
     *
     * @param noise    where to start, a row for each picture
     * @param guidance of each picture
     * @param identity or {@code null}
     * @throws CancellationException when the listener wants none of the pictures any more; of those that it did not want at
     *         some time the latents are undefined
     */
    public Result generate(Latents noise, List<Guidance> guidance, int steps, IdentityControl identity, StepListener listener) {
        boolean customised = identity != null && Arrays.stream(identity.scales).anyMatch(scale -> scale != 0);
        DenoisingPlan.People people = customised ? people(noise, identity) : null;
        List<DenoisingPlan.Part> parts = parts(noise.batch(), i -> guidance.get(i).scale > 1, i -> customised && identity.scales[i] != 0);
        DenoisingPlan plan = plan(shape(noise, parts, people), customised ? identity.adapter : null);
        List<float[]> texts = new ArrayList<>();
        if (customised && identity.people instanceof Inverted inverted) {
            texts.addAll(inverted.captions);
        }
        for (Row row : rows(parts)) {
            Guidance own = guidance.get(row.picture);
            texts.add(row.negative ? own.negative : own.prompt);
        }
        float[] scales = new float[guidance.size()];
        for (int i = 0; i < scales.length; i++) {
            // A picture that wants none beside one that does: eps_negative + 1 (eps_prompt - eps_negative) is eps_prompt.
            scales[i] = (float) Math.max(1, guidance.get(i).scale);
        }
        NoiseSchedule.Level[] levels = schedule.samplingLevels(steps);
        plan.start(noise, texts.toArray(float[][]::new), scales, levels);
        if (customised) {
            startIdentities(plan, identity, rows(parts));
        }
        for (int i = 0; i < levels.length; i++) {
            if (customised && identity.people instanceof Stored stored) {
                stored.keeper.exchange(i, plan.features());
            }
            step(plan, i, listener);
            if (customised && identity.people instanceof Inverted inverted && inverted.keeper != null) {
                inverted.keeper.exchange(i, plan.features());
            }
            listener.step(i + 1, levels.length, plan::latents);
        }
        return new Result(plan.latents(), customised ? plan.identityLatents() : null);
    }

    private static void step(DenoisingPlan plan, int step, StepListener listener) {
        plan.step(step, listener::wants);
        if (IntStream.range(0, plan.pictures()).noneMatch(listener::wants)) {
            throw new CancellationException("nobody waits for these pictures");
        }
    }

    /** Everything at once where that pays; elsewhere each picture by itself, so that it does not matter what is beside it. */
    private List<DenoisingPlan.Part> parts(int pictures, IntPredicate guided, IntPredicate customised) {
        IntStream all = IntStream.range(0, pictures);
        return device.prefersLargeBatches()
                ? List.of(new DenoisingPlan.Part(pictures, all.anyMatch(guided), IntStream.range(0, pictures).anyMatch(customised)))
                : all.mapToObj(i -> new DenoisingPlan.Part(1, guided.test(i), customised.test(i))).toList();
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

    private DenoisingPlan.People people(Latents noise, IdentityControl identity) {
        return switch (identity.people) {
            case Inverted inverted -> {
                Latents own = inverted.noise;
                DenoisingPlan.Source source = !device.prefersLargeBatches() ? DenoisingPlan.Source.ONE_BY_ONE
                        : own.height() == noise.height() && own.width() == noise.width() ? DenoisingPlan.Source.TOGETHER
                        : DenoisingPlan.Source.APART;
                yield new DenoisingPlan.People(inverted.count(), own.height(), own.width(), source, inverted.keeper != null,
                        identity.layers);
            }
            case Stored stored -> {
                int size = identity.adapter.identityLatentSize();
                yield new DenoisingPlan.People(stored.count, size, size, DenoisingPlan.Source.STORED, true, identity.layers);
            }
        };
    }

    private static void startIdentities(DenoisingPlan plan, IdentityControl identity, List<Row> rows) {
        int[] people = new int[rows.size()];
        float[] scales = new float[rows.size()];
        for (int i = 0; i < people.length; i++) {
            Row row = rows.get(i);
            people[i] = identity.ofPictures[row.picture];
            scales[i] = row.negative && identity.rows == IdentityRows.PROMPT ? 0 : (float) identity.scales[row.picture];
        }
        plan.startIdentities(identity.people instanceof Inverted inverted ? inverted.noise : null, people, scales);
    }

    private DenoisingPlan.Shape shape(Latents latents, List<DenoisingPlan.Part> parts, DenoisingPlan.People people) {
        return new DenoisingPlan.Shape(parts, latents.height(), latents.width(), people, tokens);
    }

    private DenoisingPlan plan(DenoisingPlan.Shape shape, EmbeddedAttentionAdapter adapter) {
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
        plan = new DenoisingPlan(device, unet, adapter, shape);
        plans.put(shape, plan);
        return plan;
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
