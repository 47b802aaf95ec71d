package io.invadapter.engine.making;

import io.invadapter.engine.identity.Identities.Person;
import io.invadapter.engine.identity.Identities.Portraits;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.picture.Mask;
import io.invadapter.engine.picture.Scaling;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.request.Init;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.FreshNoise;
import io.invadapter.engine.sampling.Inpainting;
import io.invadapter.engine.sampling.Original;
import io.invadapter.engine.sampling.Sampler;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.sampling.Wanted;
import io.invadapter.engine.text.LoraTags;
import io.invadapter.engine.text.Prompt;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.weights.WeightException;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Orders of one kind, from texts and faces to pictures, as many at a time as go through the network together. What is wrong
 * with one order ends that one, and what is finished of another stays finished.
 */
public final class Batch {
    /** Pictures of a face that cannot be kept from one to the next take the steps together on any device, this many at most. */
    private static final int SIDE_BY_SIDE = 4;

    /**
     * What requests must agree in to go through the network together.
     *
     * @param strength of pictures made from others; 0: from noise
     * @param masked   whether parts of those are kept
     */
    public record Kind(int width, int height, int steps, Sampler sampler, double strength, boolean masked, IdentityLayers layers, IdentityRows rows, List<LoraUse> loras) {

        /** @param request without anything left open; @param sampler that it asks for */
        public static Kind of(GenerationRequest request, Sampler sampler) {
            Init init = request.init();
            return new Kind(request.width(), request.height(), request.steps(), sampler, init == null ? 0 : init.strength(),
                    init != null && init.mask() != null, request.identityLayers(), request.identityRows(), request.loras());
        }

        @Override
        public String toString() {
            return width + "x" + height + " pixels in " + steps + " steps of " + sampler.name()
                    + (strength == 0 ? "" : (masked ? " into a picture by a mask" : " from a picture") + " at strength " + strength) + " with identity layers " + layers
                    + " and identity rows " + rows + (loras.isEmpty() ? "" : " with the LoRAs " + loras);
        }
    }

    private record Text(Prompt.Chunk chunk, int clipSkip) {
    }

    /**
     * What is there of an order before its first step.
     *
     * @param original {@code null} for pictures from noise
     * @param person   {@code null} for pictures of nobody
     */
    private record Prepared(Diffusion.Guidance guidance, Original original, Person person) {
    }

    /** One picture of an order. */
    private record Picture(Order order, int index) {
        boolean isOpen() {
            return order.isOpen() && !order.has(index);
        }

        long seed() {
            return order.request().seed() + index;
        }
    }

    private final Workshop workshop;
    private final StableDiffusion model;
    private final Device device;
    private final Kind kind;
    /** Of the latents. */
    private final int height;
    private final int width;
    private final Walk walk;
    private final List<Order> orders;
    private final Map<Text, float[]> texts = new HashMap<>();
    private final Map<Order, Prepared> prepared = new HashMap<>();

    private Batch(Workshop workshop, List<Order> orders) {
        this.workshop = workshop;
        this.model = workshop.model();
        this.device = model.device();
        this.kind = orders.getFirst().kind();
        this.height = kind.height / model.vae().factor();
        this.width = kind.width / model.vae().factor();
        this.walk = kind.sampler.walk(model.schedule(), kind.steps, kind.strength == 0 ? 1 : kind.strength);
        this.orders = orders;
    }

    /**
     * Goes on with the orders until each is finished, cannot be or, when it is one of many pictures, has had a turn.
     *
     * @param orders  of one kind
     * @param oneTurn whether to end then, so that others can be served in between
     *
     * @throws DeviceException when the device fails; memory that runs out is no such failure
     */
    public static void run(Workshop workshop, List<Order> orders, boolean oneTurn) {
        if (orders.stream().noneMatch(Order::isOpen)) {
            return;
        }
        try {
            workshop.layOver(orders.getFirst().kind().loras());
        } catch (WeightException e) {
            orders.forEach(order -> order.fail(e));
            return;
        }
        new Batch(workshop, orders).run(oneTurn);
    }

    private void run(boolean oneTurn) {
        for (Order order : orders) {
            try {
                checkRoom(order);
                workshop.withWholeRoom(0, () -> prepare(order));
            } catch (OutOfDeviceMemoryException e) {
                order.fail(e);
            }
        }
        List<List<Picture>> parts = parts();
        for (Order order : orders) {
            order.expectBatches((int) parts.stream().filter(part -> part.stream().anyMatch(p -> p.order == order)).count());
        }
        Set<Order> served = new HashSet<>();
        for (List<Picture> part : parts) {
            List<Order> ofPart = part.stream().map(Picture::order).toList();
            if (!oneTurn || !served.containsAll(ofPart)) {
                run(part);
                served.addAll(ofPart);
            }
        }
    }

    /** Finds out before all else what the first step, or the decoder after the last, would: that a picture of this size is too large. */
    private void checkRoom(Order order) {
        String picture = "a picture of " + kind.width() + "x" + kind.height();
        int rows = isGuided(order) ? 2 : 1;
        long step = workshop.diffusion().keepsAny(rows, height, width) ? 0 : model.unet().leastBytes(rows, height, width);
        workshop.requireRoom(picture, step, workshop.steps(order.request().identityScale() != 0));
        workshop.requireRoom(picture, decodingBytes(), List.of(model.vaePart()));
    }

    /** That a step of these pictures, which are alike, takes at least, unless they are kept for it already. */
    private long stepBytes(List<Picture> pictures) {
        int rows = isGuided(pictures.getFirst().order) ? 2 * pictures.size() : pictures.size();
        return device.prefersLargeBatches() && workshop.identities().keeps(portraits(pictures)) ? 0 : model.unet().leastBytes(rows, height, width);
    }

    private boolean isGuided(Order order) {
        return workshop.diffusion().isGuided(order.request().guidanceScale());
    }

    private long decodingBytes() {
        return model.vae().leastBytes(kind.width(), kind.height());
    }

    private void prepare(Order order) {
        GenerationRequest request = order.request();
        try {
            Wanted.run(device, order::isOpen, () -> {
                Prompt prompt = read("prompt", LoraTags.cut(request.prompt()).prompt(), request.promptSyntax(), order);
                Prompt negative = read("negative prompt", request.negativePrompt(), request.promptSyntax(), order);
                int chunks = Math.max(prompt.chunks().size(), negative.chunks().size());
                Diffusion.Guidance guidance = new Diffusion.Guidance(encode(prompt.padded(chunks, model.tokenizer()), request.clipSkip()),
                        encode(negative.padded(chunks, model.tokenizer()), request.clipSkip()), request.guidanceScale(),
                        request.guidanceRescale());
                Person person = request.identityScale() == 0 ? null : person(order);
                Original original = request.init() == null ? null : original(request.init());
                prepared.put(order, new Prepared(guidance, original, person));
            });
        } catch (DeviceException e) {
            throw e;
        } catch (RuntimeException e) {
            order.fail(e);
        }
    }

    private Person person(Order order) {
        GenerationRequest request = order.request();
        Prompt caption = read("caption", request.caption(), false, order);
        return workshop.identities().person(request.face(), caption, request.clipSkip(), encode(caption, request.clipSkip()), walk);
    }

    private Prompt read(String what, String text, boolean syntax, Order order) {
        Prompt prompt = syntax ? Prompt.weighted(what, text, model.tokenizer()) : Prompt.plain(what, text, model.tokenizer());
        prompt.notices().forEach(order::warn);
        return prompt;
    }

    /** {@code [tokens of all chunks, channels]} */
    private float[] encode(Prompt prompt, int clipSkip) {
        return UNet.joined(prompt.chunks().stream()
                .map(chunk -> texts.computeIfAbsent(new Text(chunk, clipSkip), text -> chunk.encode(model.textEncoderPart().use(), clipSkip)))
                .toArray(float[][]::new));
    }

    private Original original(Init init) {
        BufferedImage picture = Scaling.cover(init.picture(), kind.width, kind.height);
        Mask mask = init.mask() == null ? null : new Mask(Scaling.cover(init.mask(), kind.width, kind.height));
        return new Original(picture, mask, init.strength(), model.unet(), model.vaePart().use());
    }

    private List<List<Picture>> parts() {
        List<Picture> open = new ArrayList<>();
        for (Order order : orders) {
            if (order.isOpen()) {
                Arrays.stream(order.missing()).forEach(i -> open.add(new Picture(order, i)));
            }
        }
        int most = workshop.picturesPerBatch();
        if (prepared.values().stream().anyMatch(order -> order.person != null) && !workshop.identities().canKeep(walk)) {
            most = Math.max(most, SIDE_BY_SIDE);
        }
        List<List<Picture>> parts = new ArrayList<>();
        // Texts of one length go through the network together.
        for (List<Picture> alike : open.stream().collect(Collectors.groupingBy(this::textLength, LinkedHashMap::new, Collectors.toList())).values()) {
            if (device.prefersLargeBatches()) {
                // A picture without guidance takes one row; beside one with guidance it would take two and be rounded differently.
                split(alike.stream().filter(p -> isGuided(p.order)).toList(), most, parts);
                split(alike.stream().filter(p -> !isGuided(p.order)).toList(), most, parts);
            } else {
                split(alike, most, parts);
            }
        }
        return parts;
    }

    private int textLength(Picture picture) {
        return prepared(picture).guidance.prompt().length;
    }

    private void split(List<Picture> pictures, int most, List<List<Picture>> parts) {
        int together = pictures.isEmpty() ? most : together(pictures.subList(0, Math.min(most, pictures.size())));
        for (int i = 0; i < pictures.size(); i += together) {
            parts.add(pictures.subList(i, Math.min(i + together, pictures.size())));
        }
    }

    /** As many as there is memory for, as far as can be foreseen: beside all of the model, for one alone makes do with less. */
    private int together(List<Picture> pictures) {
        int most = pictures.size();
        if (!device.prefersLargeBatches()) {
            // One goes through the network after the other.
            return most;
        }
        int fitting = fitting(pictures);
        if (fitting < most && stepBytes(pictures.subList(0, fitting)) != 0) {
            workshop.keepNothing();
            fitting = fitting(pictures);
        }
        if (fitting < most) {
            workshop.noticeSmallerBatches(device.name() + ": there is no memory for " + most + " pictures of " + kind.width() + "x" + kind.height()
                    + " at once, so " + fitting + " at a time are made");
        }
        return fitting;
    }

    private int fitting(List<Picture> pictures) {
        int fitting = pictures.size();
        while (fitting > 1 && !workshop.hasRoom(stepBytes(pictures.subList(0, fitting)))) {
            fitting--;
        }
        return fitting;
    }

    // --- one part ---------------------------------------------------------------------------------------------------

    /** In halves when there is not enough memory for all of it. */
    private void run(List<Picture> part) {
        List<Picture> pictures = open(part);
        if (pictures.isEmpty()) {
            return;
        }
        AtomicReference<Latents> clean = new AtomicReference<>();
        Runnable sampling = () -> clean.set(sample(pictures));
        try {
            if (pictures.size() == 1 || !device.prefersLargeBatches()) {
                workshop.withWholeRoom(stepBytes(pictures.subList(0, 1)), sampling);
            } else {
                workshop.withRoom(sampling);
            }
        } catch (CancellationException e) {
            return;
        } catch (WeightException e) {
            pictures.forEach(picture -> picture.order.fail(e));
            return;
        } catch (OutOfDeviceMemoryException e) {
            inHalves(open(pictures), e);
            return;
        }
        for (int i = 0; i < pictures.size(); i++) {
            decode(pictures.get(i), clean.get().row(i));
        }
    }

    private void inHalves(List<Picture> pictures, OutOfDeviceMemoryException reason) {
        if (pictures.size() == 1) {
            pictures.getFirst().order.fail(reason);
        } else if (!pictures.isEmpty()) {
            int half = pictures.size() / 2;
            workshop.notice(device.name() + ": no memory for " + pictures.size() + " pictures at once, so they are made in two parts ("
                    + reason.getMessage() + ")");
            run(pictures.subList(0, half));
            run(pictures.subList(half, pictures.size()));
        }
    }

    private static List<Picture> open(List<Picture> part) {
        return part.stream().filter(Picture::isOpen).toList();
    }

    private Latents sample(List<Picture> pictures) {
        if (workshop.isTight() && pictures.stream().anyMatch(picture -> picture.order.isWatched())) {
            // For a preview that is asked for between two steps the VAE would have to come beside the UNet.
            fitPreview(() -> pictures.stream().anyMatch(Picture::isOpen));
        }
        return workshop.identities().sample(portraits(pictures), inverting(pictures), generating(pictures));
    }

    private Portraits portraits(List<Picture> pictures) {
        Latents start = Latents.stack(pictures.stream().map(this::start).toList());
        Inpainting inpainting = kind.masked ? Inpainting.stack(pictures.stream()
                .map(picture -> prepared(picture).original.inpainting(noise(picture))).toList()) : null;
        Sampling sampling = new Sampling(start, inpainting, pictures.stream().map(picture -> prepared(picture).guidance).toList(), walk,
                fresh(pictures), List.of());
        List<Person> faces = pictures.stream().map(picture -> prepared(picture).person).toList();
        double[] scales = pictures.stream().mapToDouble(picture -> picture.order.request().identityScale()).toArray();
        return new Portraits(sampling, faces, scales, kind.layers, kind.rows);
    }

    private void fitPreview(BooleanSupplier wanted) {
        if (!workshop.preview().isFitted()) {
            Wanted.get(device, wanted, workshop.preview()::fit);
        }
    }

    private Prepared prepared(Picture picture) {
        return prepared.get(picture.order);
    }

    private Latents start(Picture picture) {
        Original original = prepared(picture).original;
        return original == null ? noise(picture).times(walk.startScale()) : original.start(noise(picture), walk);
    }

    private Latents noise(Picture picture) {
        return SeededNoise.latents(picture.seed(), model.vae().latentChannels(), height, width);
    }

    private FreshNoise fresh(List<Picture> pictures) {
        return FreshNoise.seeded(pictures.stream().map(Picture::seed).toList(), model.vae().latentChannels(), height, width);
    }

    private void decode(Picture picture, Latents latents) {
        try {
            workshop.withWholeRoom(decodingBytes(), () -> {
                BufferedImage painted = Wanted.get(device, picture::isOpen, () -> PictureLatents.decode(latents, model.vaePart().use()));
                Original original = prepared(picture).original;
                picture.order.finish(picture.index, latents, original == null ? painted : original.finish(painted));
            });
        } catch (CancellationException e) {
            // The order knows why.
        } catch (OutOfDeviceMemoryException e) {
            picture.order.fail(e);
        } catch (DeviceException e) {
            throw e;
        } catch (RuntimeException e) {
            picture.order.fail(e);
        }
    }

    // --- progress ---------------------------------------------------------------------------------------------------

    /** None where there is no memory for it: no picture fails for its preview. */
    private List<BufferedImage> preview(Order order, int[] pictures, Supplier<Latents> latents) {
        try {
            Latents all = latents.get();
            fitPreview(order::isOpen);
            return Arrays.stream(pictures).mapToObj(i -> workshop.preview().picture(all, i)).toList();
        } catch (OutOfDeviceMemoryException e) {
            return List.of();
        }
    }

    private static Diffusion.StepListener inverting(List<Picture> pictures) {
        return new Diffusion.StepListener() {
            @Override
            public void step(int done, int steps, Supplier<Latents> latents) {
                pictures.stream().map(Picture::order).distinct().filter(order -> order.request().identityScale() != 0)
                        .forEach(order -> order.inverting(done, steps));
            }

            @Override
            public boolean wants(int face) {
                return pictures.stream().anyMatch(Picture::isOpen);
            }
        };
    }

    private Diffusion.StepListener generating(List<Picture> pictures) {
        return new Diffusion.StepListener() {
            @Override
            public void step(int done, int steps, Supplier<Latents> latents) {
                for (Order order : pictures.stream().map(Picture::order).distinct().toList()) {
                    int[] own = IntStream.range(0, pictures.size()).filter(i -> pictures.get(i).order == order).toArray();
                    order.generating(own.length, done, steps, () -> preview(order, own, latents));
                }
            }

            @Override
            public boolean wants(int picture) {
                return pictures.get(picture).isOpen();
            }
        };
    }
}
