package io.invadapter.engine.identity;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.FreshNoise;
import io.invadapter.engine.sampling.Inpainting;
import io.invadapter.engine.sampling.Step;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.sampling.Wanted;
import io.invadapter.engine.text.Prompt;
import io.invadapter.engine.vae.PictureLatents;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/** Pictures of people: where their keys and values come from, and what is kept of them for the next ones. */
public final class Identities implements AutoCloseable {

    /** A face with what decides how its keys and values come out. */
    public record Person(String key, BufferedImage face, float[] caption) {
    }

    private final StableDiffusion model;
    private final Part<EmbeddedAttentionAdapter> adapter;
    private final Diffusion diffusion;
    private final IdentityCache cache;
    private final Supplier<String> weights;

    /**
     * @param adapter {@code null} for a model that makes pictures of nobody
     * @param weights fingerprint of model and adapter as they are now, or what stands for it while only this process keeps identities
     */
    public Identities(StableDiffusion model, Part<EmbeddedAttentionAdapter> adapter, Diffusion diffusion, IdentityCache cache,
            Supplier<String> weights) {
        this.model = model;
        this.adapter = adapter;
        this.diffusion = diffusion;
        this.cache = cache;
        this.weights = weights;
    }

    /** Width and height, in pixels, that a face is seen in. */
    public int size() {
        return (adapter == null ? model.unet().config().sampleSize() : adapter.network().identityLatentSize()) * model.vae().factor();
    }

    /**
     * @param caption     word for word
     * @param clipSkip    the text encoder's layer for it; 0: the model's own
     * @param captionText the caption, encoded
     * @param walk        of the pictures to come
     */
    public Person person(BufferedImage picture, Prompt caption, int clipSkip, float[] captionText, Walk walk) {
        BufferedImage face = FacePicture.square(picture, size());
        int width = face.getWidth();
        // cuda:0 and cuda:1 compute the same.
        String kindOfDevice = model.device().name().split(":")[0];
        Fingerprint key = new Fingerprint().add(weights.get()).add(kindOfDevice).add(model.device().precision().toString())
                .add(face.getRGB(0, 0, width, face.getHeight(), null, 0, width))
                .add(model.textEncoder().config().identification(caption.chunks().getFirst().ids(), clipSkip));
        // Its own row goes from level to level, whichever sampler the pictures take.
        for (Step step : walk.steps()) {
            key.add(step.timestep(), step.alphaFrom(), step.alphaTo());
        }
        return new Person(key.value(), face, captionText);
    }

    /** Whether what a picture needs of a face can be there for the next one. */
    public boolean canKeep(Walk walk) {
        return cache.accepts(walk.steps().size(), elements());
    }

    private int elements() {
        int size = adapter.network().identityLatentSize();
        return adapter.network().featureElements(size, size);
    }

    /**
     * Clean latents.
     *
     * @param start  as {@link Diffusion#generate} takes it, with {@code inpainting} or {@code null}
     * @param walk   from there to them, with {@code fresh} on the way
     * @param faces  of each picture, {@code null} for one of nobody
     * @param scales lambda of each picture
     * @throws java.util.concurrent.CancellationException when nobody waits for any of the pictures
     */
    public Latents sample(Latents start, Inpainting inpainting, List<Diffusion.Guidance> guidance, List<Person> faces, double[] scales, Walk walk, FreshNoise fresh,
            IdentityLayers layers, IdentityRows rows, Diffusion.StepListener inverting, Diffusion.StepListener generating) {
        Map<String, Person> byKey = new LinkedHashMap<>();
        faces.stream().filter(Objects::nonNull).forEach(face -> byKey.putIfAbsent(face.key, face));
        if (byKey.isEmpty()) {
            return diffusion.generate(start, inpainting, guidance, walk, fresh, null, generating).latents();
        }
        List<Person> people = List.copyOf(byKey.values());
        List<String> keys = List.copyOf(byKey.keySet());
        int[] ofPictures = faces.stream().mapToInt(face -> face == null ? 0 : keys.indexOf(face.key)).toArray();
        Sampling sampling = source -> diffusion.generate(start, inpainting, guidance, walk, fresh, new Diffusion.IdentityControl(adapter.use(), source,
                ofPictures, scales, layers, rows), generating).latents();
        cache.beginBatch();
        if (keys.stream().allMatch(key -> cache.contains(key, walk.steps().size(), elements()))) {
            try {
                return sampling.with(new Diffusion.Stored(people.size(), (step, features) -> {
                    for (int i = 0; i < people.size(); i++) {
                        cache.load(keys.get(i), step, features, i);
                    }
                }));
            } catch (IdentityCache.LostException e) {
                cache.beginBatch();
            }
        }
        return computed(sampling, people, walk, inverting);
    }

    /** The steps, with people from one source or another. */
    private interface Sampling {
        Latents with(Diffusion.People people);
    }

    /** Inverts the faces and takes them through the steps beside the pictures, keeping their keys and values for later. */
    private Latents computed(Sampling sampling, List<Person> people, Walk walk, Diffusion.StepListener inverting) {
        List<Latents> faces = new ArrayList<>();
        people.forEach(person -> faces.add(Wanted.get(model.device(), () -> inverting.wants(0),
                () -> PictureLatents.encode(person.face, model.pictures().use()))));
        List<float[]> captions = people.stream().map(Person::caption).toList();
        Latents inverted = diffusion.invertToNoise(Latents.stack(faces), captions, walk, inverting);
        if (!canKeep(walk)) {
            cache.tellOfRefusal(walk.steps().size(), elements());
            return sampling.with(new Diffusion.Inverted(inverted, captions, null));
        }
        List<IdentityCache.Writer> writers = people.stream().map(person -> cache.begin(person.key, walk.steps().size(), elements())).toList();
        try {
            Latents clean = sampling.with(new Diffusion.Inverted(inverted, captions, (step, features) -> {
                for (int i = 0; i < writers.size(); i++) {
                    writers.get(i).store(step, features, i);
                }
            }));
            writers.forEach(IdentityCache.Writer::finish);
            return clean;
        } catch (RuntimeException | Error e) {
            writers.forEach(IdentityCache.Writer::abandon);
            throw e;
        }
    }

    /** Frees the device's memory. */
    public void leaveDevice() {
        cache.leaveDevice();
    }

    @Override
    public void close() {
        cache.close();
    }
}
