package io.invadapter.engine.sampling;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.TextFeatures;
import io.invadapter.engine.unet.UNet;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * One denoising step for batches of one shape: its tensors and its operators, recorded once and run for every step of every
 * request of that shape. What differs between steps and requests is written into the tensors; what no step changes, the keys
 * and values of the texts, is computed when a request starts.
 */
final class DenoisingPlan implements AutoCloseable {
    /**
     * Everything that decides which operators a step consists of.
     *
     * @param parts     of the pictures: each goes through the network by itself
     * @param people    or {@code null} for the plain model
     * @param registers of {@link Walk}
     * @param noise     whether any step takes fresh noise
     * @param blended   whether parts of the pictures are kept by {@link Blending}
     */
    record Shape(List<Part> parts, int height, int width, People people, int registers, boolean noise, boolean blended) {
        int pictures() {
            return parts.stream().mapToInt(Part::pictures).sum();
        }

        int rows() {
            return parts.stream().mapToInt(Part::rows).sum();
        }

        /** What a register afterwards is a sum of: the registers before, both rows of the prediction and perhaps noise. */
        int terms() {
            return registers + 2 + (noise ? 1 : 0);
        }
    }

    /**
     * Pictures that go through the network together.
     *
     * @param tokens     of each text
     * @param guided     two rows for each picture: those of the negative prompts, then those of the prompts
     * @param rescaled   whether what guidance does to the deviation is taken back, as far as {@link Guided} says
     * @param customised whether the identities go into them
     */
    record Part(int pictures, int tokens, boolean guided, boolean rescaled, boolean customised) {
        int rows() {
            return guided ? 2 * pictures : pictures;
        }
    }

    /**
     * The identities of a batch.
     *
     * @param height   of their latents
     * @param width    of their latents
     * @param tokens   of each caption
     * @param source   where their keys and values come from
     * @param keep     whether computed keys and values are wanted in {@link #features} after each step
     */
    record People(int count, int height, int width, int tokens, Source source, boolean keep, IdentityLayers layers) {
    }

    /** Where the identities' keys and values come from. */
    enum Source {
        /** From rows of their own in the pictures' batch, of which there is one part with texts as long as the captions. */
        TOGETHER,
        /** From a pass of their own, all together, before that of the pictures, of which there is one part. */
        APART,
        /** From a pass of its own for each. */
        ONE_BY_ONE,
        /** From {@link #features}, filled by the caller. */
        STORED
    }

    /** The texts of one pass, and the keys and values made of them. */
    private record Texts(Tensor contexts, TextFeatures features) {
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
    private final StepTimes times;
    /** {@code [pictures, registers, terms]}: of this step, for each picture. */
    private final Tensor moves;
    /** {@code [pictures, 1, 2]}: of the negative prompt's row and of the prompt's, where guidance is rescaled; else {@code null}. */
    private final Tensor guidance;
    private final Tensor rescale;
    /** {@code [1, 1, 2]}: of the identities' latents and of what is predicted for them. */
    private final Tensor identityMove;
    /** The first are the latents. */
    private final List<Tensor> registers = new ArrayList<>();
    private final Tensor noise;
    /** {@link Inpainting#canvas} of the pictures, for a network that is trained for it; else {@code null}. */
    private final Tensor canvas;
    private final Blending blending;
    private final Tensor identityLatents;
    private final Tensor identityCanvas;
    private final Tensor rowIdentities;
    private final Tensor rowScales;
    private final IdentityFeatures features;
    /** Of each pass through the network, in the order of their rows. */
    private final List<Texts> texts = new ArrayList<>();
    private final List<Work> works = new ArrayList<>();
    private final List<Tensor> owned = new ArrayList<>();
    private Walk walk;
    private Walk identityWalk;
    private Guided guided;
    private FreshNoise freshNoise;

    /** @param adapter may be {@code null} for a shape without people */
    DenoisingPlan(Device device, UNet unet, EmbeddedAttentionAdapter adapter, Shape shape) {
        this.device = device;
        this.unet = unet;
        this.adapter = adapter;
        this.shape = shape;
        People people = shape.people;
        boolean computed = people != null && people.source != Source.STORED;
        identityRows = computed ? people.count : 0;
        int channels = unet.config().outChannels();
        int pictures = shape.pictures();
        int rows = identityRows + shape.rows();
        // In a scope until all of it is there: when memory runs out in between, nothing stays behind.
        try (Scope scope = device.scope()) {
            times = new StepTimes(device, unet, rows);
            times.tensors().forEach(this::own);
            moves = own(DataType.FLOAT32, pictures, shape.registers, shape.terms());
            for (int i = 0; i < shape.registers; i++) {
                registers.add(own(DataType.FLOAT32, pictures, shape.height, shape.width, channels));
            }
            noise = shape.noise ? own(DataType.FLOAT32, pictures, shape.height, shape.width, channels) : null;
            int given = unet.config().inChannels() - channels;
            canvas = given == 0 ? null : own(device.precision().type(), pictures, shape.height, shape.width, given);
            blending = shape.blended ? new Blending(device, this::own, pictures, shape.height, shape.width, channels) : null;
            boolean rescaled = shape.parts.stream().anyMatch(Part::rescaled);
            guidance = rescaled ? own(DataType.FLOAT32, pictures, 1, 2) : null;
            rescale = rescaled ? own(DataType.FLOAT32, pictures) : null;
            identityMove = computed ? own(DataType.FLOAT32, 1, 1, 2) : null;
            identityLatents = computed ? own(DataType.FLOAT32, people.count, people.height, people.width, channels) : null;
            identityCanvas = computed && given != 0 ? own(device.precision().type(), people.count, people.height, people.width, given) : null;
            rowIdentities = people == null ? null : own(DataType.INT32, rows);
            rowScales = people == null ? null : own(DataType.FLOAT32, rows);
            features = people == null || people.source == Source.TOGETHER && !people.keep ? null
                    : adapter.features(people.count, people.height, people.width);
            record();
            owned.forEach(device::keep);
            texts.forEach(text -> text.features.keep());
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
     * @param start      register 0
     * @param contexts   of the identities' rows, then of the rows of every part: {@code [S, contextChannels]} each
     * @param freshNoise for the steps that take some
     */
    void start(Latents start, float[][] contexts, Guided guided, Walk walk, FreshNoise freshNoise) {
        this.walk = walk;
        this.guided = guided;
        this.freshNoise = freshNoise;
        device.write(registers.getFirst(), start.channelsLast());
        times.start(scalesOfRows());
        if (guidance != null) {
            device.write(guidance, guided.factors());
            device.write(rescale, guided.amounts());
        }
        int row = 0;
        for (Texts text : texts) {
            int rows = text.features.rows();
            device.write(text.contexts, UNet.joined(Arrays.copyOfRange(contexts, row, row + rows)));
            unet.project(text.contexts, text.features);
            row += rows;
        }
    }

    /** What a network that takes the guidance is told: it makes the guided prediction from the prompt's row alone. */
    private float[] scalesOfRows() {
        float[] scales = new float[identityRows + guided.scales().length];
        Arrays.fill(scales, 0, identityRows, 1);
        System.arraycopy(guided.scales(), 0, scales, identityRows, guided.scales().length);
        return scales;
    }

    /**
     * What is repainted of the pictures; nothing to be called for a network that gets nothing but latents and a shape without blending.
     *
     * @param inpainting of each picture
     */
    void startInpainting(Inpainting inpainting) {
        if (canvas != null) {
            device.write(canvas, inpainting.canvas().channelsLast());
        }
        if (blending != null) {
            blending.start(inpainting);
        }
    }

    /**
     * The people of the batch.
     *
     * @param noise  inverted; {@code null} when their keys and values are stored
     * @param empty  where all of them is to be repainted, for a network that is trained for inpainting; else {@code null}
     * @param walk   beside that of the pictures
     * @param people of each row of the parts
     * @param scales lambda of each row of the parts
     */
    void startIdentities(Latents noise, Inpainting empty, Walk walk, int[] people, float[] scales) {
        identityWalk = walk;
        if (identityLatents != null) {
            device.write(identityLatents, noise.channelsLast());
        }
        if (identityCanvas != null) {
            device.write(identityCanvas, empty.canvas().channelsLast());
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
     * Makes one step.
     *
     * @param step   of the walk given to {@link #start}, which come in their order
     * @param wanted whether somebody still waits for a picture; what nobody waits for may stay behind
     */
    void step(int step, IntPredicate wanted) {
        // One scope for all of it: one pass of the device's pool, whatever it consists of.
        try (Scope scope = device.scope()) {
            times.embed(walk, step);
            device.write(moves, guided.moves(walk.steps().get(step), shape));
            if (walk.steps().get(step).noise()) {
                device.write(noise, freshNoise.draw(step).channelsLast());
            }
            if (blending != null) {
                blending.reach(step + 1 < walk.steps().size() ? walk.steps().get(step).alphaTo() : 1);
            }
            if (identityMove != null) {
                double[] move = identityWalk.steps().get(step).move()[0];
                device.write(identityMove, new float[] {(float) move[0], (float) move[1]});
            }
            for (Work work : works) {
                Wanted.run(device, () -> work.wanted(wanted), work.recording::run);
            }
        }
    }

    Latents latents() {
        return Latents.download(device, registers.getFirst());
    }

    /** {@code null} when the identities' keys and values are stored. */
    Latents identityLatents() {
        return identityLatents == null ? null : Latents.download(device, identityLatents);
    }

    // --- what is recorded -------------------------------------------------------------------------------------------

    private void record() {
        Source source = shape.people == null ? null : shape.people.source;
        if (source == Source.TOGETHER) {
            TextFeatures text = texts(identityRows + shape.rows(), shape.people.tokens);
            record(() -> together(text), 0, shape.pictures());
            return;
        }
        if (source == Source.APART) {
            // One recording, for each holds memory of its own.
            Part part = shape.parts.getFirst();
            TextFeatures captions = texts(identityRows, shape.people.tokens);
            TextFeatures text = texts(shape.rows(), part.tokens);
            record(() -> {
                identityPass(0, captions);
                pass(part, 0, identityRows, text);
            }, 0, shape.pictures());
            return;
        }
        if (source == Source.ONE_BY_ONE) {
            for (int i = 0; i < identityRows; i++) {
                int identity = i;
                TextFeatures caption = texts(1, shape.people.tokens);
                record(() -> identityPass(identity, caption), 0, shape.pictures());
            }
        }
        int picture = 0;
        int row = identityRows;
        for (Part part : shape.parts) {
            int firstPicture = picture;
            int firstRow = row;
            TextFeatures text = texts(part.rows(), part.tokens);
            record(() -> pass(part, firstPicture, firstRow, text), firstPicture, part.pictures);
            picture += part.pictures;
            row += part.rows();
        }
    }

    /** For a pass of that many rows. */
    private TextFeatures texts(int rows, int tokens) {
        TextFeatures features = unet.textFeatures(rows, tokens);
        texts.add(new Texts(own(device.precision().type(), rows, tokens, unet.config().contextChannels()), features));
        return features;
    }

    private void record(Runnable work, int firstPicture, int pictures) {
        works.add(new Work(device.record(work), firstPicture, pictures));
    }

    private void together(TextFeatures text) {
        Part part = shape.parts.getFirst();
        int people = shape.people.count;
        Tensor latents = registers.getFirst();
        Tensor batch = part.guided ? input(List.of(identityLatents, latents, latents), identityCanvas, canvas, canvas)
                : input(List.of(identityLatents, latents), identityCanvas, canvas);
        Tensor predicted = unet.forward(batch, times.of(0, people + part.rows()), text,
                adapter.together(people, rowIdentities, rowScales, shape.people.layers, features));
        moveIdentities(identityLatents, predicted.rows(0, people));
        move(part, 0, predicted.rows(people, part.rows()));
    }

    /** What the network gets: latents and, where it is trained for inpainting, the canvas of each behind them. */
    private Tensor input(List<Tensor> latents, Tensor... canvases) {
        Tensor noisy = device.toActivations(latents.toArray(Tensor[]::new));
        return canvas == null ? noisy : device.concat(-1, noisy, device.concat(0, canvases));
    }

    private static Tensor rows(Tensor x, int first, int count) {
        return x == null ? null : x.rows(first, count);
    }

    private void identityPass(int first, TextFeatures captions) {
        try (Scope scope = device.scope()) {
            Tensor own = identityLatents.rows(first, captions.rows());
            moveIdentities(own, unet.forward(input(List.of(own), rows(identityCanvas, first, captions.rows())), times.of(first, captions.rows()), captions,
                    adapter.record(features, first)));
        }
    }

    private void moveIdentities(Tensor own, Tensor predicted) {
        device.combine(List.of(own), identityMove, own, predicted);
    }

    private void pass(Part part, int firstPicture, int firstRow, TextFeatures text) {
        Tensor own = registers.getFirst().rows(firstPicture, part.pictures);
        Tensor ownCanvas = rows(canvas, firstPicture, part.pictures);
        AttentionHook identity = part.customised ? adapter.inject(features, rowIdentities.rows(firstRow, part.rows()),
                rowScales.rows(firstRow, part.rows()), shape.people.layers) : AttentionHook.NONE;
        move(part, firstPicture, unet.forward(part.guided ? input(List.of(own, own), ownCanvas, ownCanvas) : input(List.of(own), ownCanvas),
                times.of(firstRow, part.rows()), text, identity));
    }

    private void move(Part part, int first, Tensor predicted) {
        int count = part.pictures;
        // Without guidance the factor of the negative prompt's row is 0.
        Tensor negative = predicted.rows(0, count);
        Tensor prompt = part.guided ? predicted.rows(count, count) : negative;
        if (part.rescaled) {
            Tensor both = device.allocate(DataType.FLOAT32, prompt.shape());
            device.combine(List.of(both), guidance.rows(first, count), negative, prompt);
            device.matchDeviation(both, prompt, rescale.rows(first, count));
            prompt = both;
        }
        List<Tensor> targets = registers.stream().map(register -> register.rows(first, count)).toList();
        List<Tensor> terms = new ArrayList<>(targets);
        terms.add(negative);
        terms.add(prompt);
        if (noise != null) {
            terms.add(noise.rows(first, count));
        }
        device.combine(targets, moves.rows(first, count), terms.toArray(Tensor[]::new));
        if (blending != null) {
            blending.blend(targets.getFirst(), first);
        }
    }

    @Override
    public void close() {
        works.forEach(work -> work.recording.close());
        owned.forEach(device::release);
        texts.forEach(text -> text.features.close());
        if (features != null) {
            features.close();
        }
    }
}
