package io.invadapter.engine.identity;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.picture.FacePicture;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
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
import java.util.function.Function;
import java.util.function.Supplier;

/** Pictures of people: where their keys and values come from, and what is kept of them for the next ones. */
public final class Identities implements AutoCloseable {

    /** A face with what decides how its keys and values come out. */
    public record Person(String key, BufferedImage face, float[] caption) {
    }

    /**
     * Pictures of people.
     *
     * @param pictures without anybody
     * @param faces    of each picture, {@code null} for one of nobody
     * @param scales   lambda of each picture
     */
    public record Portraits(Sampling pictures, List<Person> faces, double[] scales, IdentityLayers layers, IdentityRows rows) {
        /** Each of them once. */
        private List<Person> people() {
            Map<String, Person> byKey = new LinkedHashMap<>();
            faces.stream().filter(Objects::nonNull).forEach(face -> byKey.putIfAbsent(face.key, face));
            return List.copyOf(byKey.values());
        }

        /** @param source of {@link #people}, in their order */
        private Sampling with(EmbeddedAttentionAdapter adapter, People source) {
            List<String> keys = people().stream().map(Person::key).toList();
            int[] ofPictures = faces.stream().mapToInt(face -> face == null ? 0 : keys.indexOf(face.key)).toArray();
            return pictures.withInfluences(new IdentityInfluence(adapter, source, ofPictures, scales, layers, rows));
        }
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
     * @throws java.util.concurrent.CancellationException when nobody waits for any of the pictures
     */
    public Latents sample(Portraits portraits, Diffusion.StepListener inverting, Diffusion.StepListener generating) {
        List<Person> people = portraits.people();
        if (people.isEmpty()) {
            return diffusion.generate(portraits.pictures, generating);
        }
        Function<People, Latents> making = source -> diffusion.generate(portraits.with(adapter.use(), source), generating);
        Walk walk = portraits.pictures.walk();
        if (areStored(people, walk)) {
            try {
                return making.apply(new People.Stored(people.size(), (step, features) -> {
                    for (int i = 0; i < people.size(); i++) {
                        cache.load(people.get(i).key, step, features, i);
                    }
                }));
            } catch (IdentityCache.LostException e) {
                cache.beginBatch();
            }
        }
        return computed(making, people, walk, inverting);
    }

    private boolean areStored(List<Person> people, Walk walk) {
        cache.beginBatch();
        return people.stream().allMatch(person -> cache.contains(person.key, walk.steps().size(), elements()));
    }

    /** Whether the memory that the steps of {@link #sample} take is kept from earlier pictures, on a device that prefers large batches. */
    public boolean keeps(Portraits portraits) {
        List<Person> people = portraits.people();
        if (people.isEmpty()) {
            return diffusion.keeps(portraits.pictures);
        }
        Walk walk = portraits.pictures.walk();
        People.Keeper none = (step, features) -> { };
        int size = adapter.network().identityLatentSize();
        int channels = model.vae().latentChannels();
        Latents anyNoise = new Latents(new float[people.size() * channels * size * size], people.size(), channels, size, size);
        List<Diffusion.Guidance> captions = people.stream().map(person -> Diffusion.Guidance.none(person.caption)).toList();
        People source = areStored(people, walk) ? new People.Stored(people.size(), none)
                : new People.Inverted(new Sampling(anyNoise, captions, walk), canKeep(walk) ? none : null);
        return diffusion.keeps(portraits.with(adapter.network(), source));
    }

    /** Inverts the faces and takes them through the steps beside the pictures, keeping their keys and values for later. */
    private Latents computed(Function<People, Latents> making, List<Person> people, Walk walk, Diffusion.StepListener inverting) {
        List<Latents> clean = new ArrayList<>();
        people.forEach(person -> clean.add(Wanted.get(model.device(), () -> inverting.wants(0),
                () -> PictureLatents.encode(person.face, model.vaePart().use()))));
        List<float[]> captions = people.stream().map(Person::caption).toList();
        Latents noise = diffusion.invertToNoise(Latents.stack(clean), captions, walk, inverting);
        if (cache.isOffDevice()) {
            // What the inversion was recorded with is not needed any more.
            diffusion.trim();
            model.device().trim();
        }
        Sampling faces = diffusion.beside(noise, captions, walk, inverting);
        if (!canKeep(walk)) {
            cache.tellOfRefusal(walk.steps().size(), elements());
            return making.apply(new People.Inverted(faces, null));
        }
        List<IdentityCache.Writer> writers = people.stream().map(person -> cache.begin(person.key, walk.steps().size(), elements())).toList();
        try {
            Latents made = making.apply(new People.Inverted(faces, (step, features) -> {
                for (int i = 0; i < writers.size(); i++) {
                    writers.get(i).store(step, features, i);
                }
            }));
            writers.forEach(IdentityCache.Writer::finish);
            return made;
        } catch (RuntimeException | Error e) {
            writers.forEach(IdentityCache.Writer::abandon);
            throw e;
        }
    }

    /** Frees the device's memory. */
    public void leaveDevice() {
        cache.leaveDevice();
    }

    /** Does {@code work} without keeping anything on the device that it could do without. */
    public void offDevice(Runnable work) {
        cache.offDevice(work);
    }

    @Override
    public void close() {
        cache.close();
    }
}
