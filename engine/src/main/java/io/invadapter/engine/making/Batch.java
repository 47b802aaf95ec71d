package io.invadapter.engine.making;

import io.invadapter.engine.identity.Identities.Person;
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
                    init != null && init.mask() != null, request.identityLayers(), request.identityRows(),
                    request.loras());
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

    /** One picture of an order. */
    private record Picture(Order order, int index) {
        boolean isOpen() {
            return order.isOpen() && !order.has(index);
        }

        long seed() {
            return order.request().seed() + index;
        }

        boolean isGuided() {
            return order.request().guidanceScale() > 1;
        }
    }

    private final Workshop workshop;
    private final StableDiffusion model;
    private final Device device;
    private final Kind kind;
    private final Walk walk;
    private final List<Order> orders;
    private final Map<Text, float[]> texts = new HashMap<>();
    private final Map<Order, Diffusion.Guidance> guidance = new HashMap<>();
    private final Map<Order, Original> originals = new HashMap<>();
    private final Map<Order, Person> people = new HashMap<>();

    private Batch(Workshop workshop, List<Order> orders) {
        this.workshop = workshop;
        this.model = workshop.model();
        this.device = model.device();
        this.kind = orders.getFirst().kind();
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
        try {
            workshop.withRoom(() -> workshop.layOver(orders.getFirst().kind().loras()));
        } catch (OutOfDeviceMemoryException | WeightException e) {
            orders.forEach(order -> order.fail(e));
            return;
        }
        new Batch(workshop, orders).run(oneTurn);
    }

    private void run(boolean oneTurn) {
        for (Order order : orders) {
            try {
                workshop.withRoom(() -> prepare(order));
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
    private void checkRoom(GenerationRequest request) {
        int factor = model.vae().factor();
        long needed = Math.max(model.vae().leastBytes(kind.width(), kind.height()),
                model.unet().leastBytes(request.guidanceScale() > 1 ? 2 : 1, kind.height() / factor, kind.width() / factor));
        long reachable = device.reachableMemory();
        if (needed > reachable) {
            throw new OutOfDeviceMemoryException("out of memory: a picture of " + kind.width() + "x" + kind.height() + " needs more than "
                    + (needed >> 20) + " MiB, and " + device.name() + " has " + (reachable >> 20) + " MiB left");
        }
    }

    private void prepare(Order order) {
        GenerationRequest request = order.request();
        checkRoom(request);
        try {
            Wanted.run(device, order::isOpen, () -> {
                Prompt prompt = read("prompt", LoraTags.cut(request.prompt()).prompt(), request.promptSyntax(), order);
                Prompt negative = read("negative prompt", request.negativePrompt(), request.promptSyntax(), order);
                int chunks = Math.max(prompt.chunks().size(), negative.chunks().size());
                guidance.put(order, new Diffusion.Guidance(encode(prompt.padded(chunks, model.tokenizer()), request.clipSkip()),
                        encode(negative.padded(chunks, model.tokenizer()), request.clipSkip()), Math.max(1, request.guidanceScale()),
                        request.guidanceRescale()));
                if (request.init() != null) {
                    originals.put(order, original(request.init()));
                }
                if (request.identityScale() != 0) {
                    Prompt caption = read("caption", request.caption(), false, order);
                    people.put(order, workshop.identities().person(request.face(), caption, request.clipSkip(),
                            encode(caption, request.clipSkip()), walk));
                }
            });
        } catch (DeviceException e) {
            throw e;
        } catch (RuntimeException e) {
            order.fail(e);
        }
    }

    private Prompt read(String what, String text, boolean syntax, Order order) {
        Prompt prompt = syntax ? Prompt.weighted(what, text, model.tokenizer()) : Prompt.plain(what, text, model.tokenizer());
        prompt.notices().forEach(order::warn);
        return prompt;
    }

    /** {@code [tokens of all chunks, channels]} */
    private float[] encode(Prompt prompt, int clipSkip) {
        return UNet.joined(prompt.chunks().stream()
                .map(chunk -> texts.computeIfAbsent(new Text(chunk, clipSkip), text -> chunk.encode(model.textEncoder(), clipSkip)))
                .toArray(float[][]::new));
    }

    private Original original(Init init) {
        BufferedImage picture = Scaling.cover(init.picture(), kind.width, kind.height);
        Mask mask = init.mask() == null ? null : new Mask(Scaling.cover(init.mask(), kind.width, kind.height));
        return new Original(picture, mask, init.strength(), model.unet(), model.vae());
    }

    private List<List<Picture>> parts() {
        List<Picture> open = new ArrayList<>();
        for (Order order : orders) {
            if (order.isOpen()) {
                Arrays.stream(order.missing()).forEach(i -> open.add(new Picture(order, i)));
            }
        }
        int most = workshop.picturesPerBatch();
        if (!people.isEmpty() && !workshop.identities().canKeep(walk)) {
            most = Math.max(most, SIDE_BY_SIDE);
        }
        List<List<Picture>> parts = new ArrayList<>();
        // Texts of one length go through the network together.
        for (List<Picture> alike : open.stream().collect(Collectors.groupingBy(this::textLength, LinkedHashMap::new, Collectors.toList())).values()) {
            if (device.prefersLargeBatches()) {
                // A picture without guidance takes one row; beside one with guidance it would take two and be rounded differently.
                split(alike.stream().filter(Picture::isGuided).toList(), most, parts);
                split(alike.stream().filter(p -> !p.isGuided()).toList(), most, parts);
            } else {
                split(alike, most, parts);
            }
        }
        return parts;
    }

    private int textLength(Picture picture) {
        return guidance.get(picture.order).prompt().length;
    }

    private static void split(List<Picture> pictures, int most, List<List<Picture>> parts) {
        for (int i = 0; i < pictures.size(); i += most) {
            parts.add(pictures.subList(i, Math.min(i + most, pictures.size())));
        }
    }

    // --- one part ---------------------------------------------------------------------------------------------------

    /** In halves when there is not enough memory for all of it. */
    private void run(List<Picture> part) {
        try {
            workshop.withRoom(() -> make(part));
        } catch (OutOfDeviceMemoryException e) {
            List<Picture> open = open(part);
            if (open.size() == 1) {
                open.getFirst().order.fail(e);
            } else if (!open.isEmpty()) {
                int half = open.size() / 2;
                workshop.notice(device.name() + ": no memory for " + open.size() + " pictures at once, so they are made in two parts ("
                        + e.getMessage() + ")");
                run(open.subList(0, half));
                run(open.subList(half, open.size()));
            }
        }
    }

    private static List<Picture> open(List<Picture> part) {
        return part.stream().filter(Picture::isOpen).toList();
    }

    private void make(List<Picture> part) {
        List<Picture> pictures = open(part);
        if (pictures.isEmpty()) {
            return;
        }
        Latents start = Latents.stack(pictures.stream().map(this::start).toList());
        Inpainting inpainting = kind.masked ? Inpainting.stack(pictures.stream()
                .map(picture -> originals.get(picture.order).inpainting(noise(picture))).toList()) : null;
        List<Diffusion.Guidance> ofPictures = pictures.stream().map(picture -> guidance.get(picture.order)).toList();
        List<Person> faces = pictures.stream().map(picture -> people.get(picture.order)).toList();
        double[] scales = pictures.stream().mapToDouble(picture -> picture.order.request().identityScale()).toArray();
        Latents clean;
        try {
            clean = workshop.identities().sample(start, inpainting, ofPictures, faces, scales, walk, fresh(pictures), kind.layers, kind.rows, inverting(pictures),
                    generating(pictures));
        } catch (CancellationException e) {
            return;
        }
        for (int i = 0; i < pictures.size(); i++) {
            decode(pictures.get(i), clean.row(i));
        }
    }

    private Latents start(Picture picture) {
        Original original = originals.get(picture.order);
        return original == null ? noise(picture).times(walk.startScale()) : original.start(noise(picture), walk);
    }

    private Latents noise(Picture picture) {
        return SeededNoise.latents(picture.seed(), model.vae().latentChannels(), kind.height / model.vae().factor(),
                kind.width / model.vae().factor());
    }

    private FreshNoise fresh(List<Picture> pictures) {
        return FreshNoise.seeded(pictures.stream().map(Picture::seed).toList(), model.vae().latentChannels(),
                kind.height / model.vae().factor(), kind.width / model.vae().factor());
    }

    private void decode(Picture picture, Latents latents) {
        try {
            BufferedImage painted = Wanted.get(device, picture::isOpen, () -> PictureLatents.decode(latents, model.vae()));
            Original original = originals.get(picture.order);
            picture.order.finish(picture.index, latents, original == null ? painted : original.finish(painted));
        } catch (CancellationException e) {
            // The order knows why.
        } catch (DeviceException e) {
            throw e;
        } catch (RuntimeException e) {
            picture.order.fail(e);
        }
    }

    // --- progress ---------------------------------------------------------------------------------------------------

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
                    order.generating(own.length, done, steps, () -> {
                        Latents all = latents.get();
                        return Arrays.stream(own).mapToObj(i -> workshop.preview().picture(all, i)).toList();
                    });
                }
            }

            @Override
            public boolean wants(int picture) {
                return pictures.get(picture).isOpen();
            }
        };
    }
}
