package io.invadapter.engine;

import io.invadapter.engine.model.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.IdentityLayers;
import io.invadapter.engine.model.Latents;
import io.invadapter.kernels.Device;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;

/** Requests that go through the network together, from texts and faces to pictures. */
final class Batch {

    /** What requests of one batch must agree in. */
    record Kind(int width, int height, int steps, IdentityLayers layers, IdentityRows rows) {
        static Kind of(GenerationRequest request, int defaultWidth, int defaultHeight) {
            return new Kind(request.width() == 0 ? defaultWidth : request.width(),
                    request.height() == 0 ? defaultHeight : request.height(), request.steps(), request.identityLayers(),
                    request.identityRows());
        }

        @Override
        public String toString() {
            return width + "x" + height + " pixels in " + steps + " steps with identity layers " + layers + " and identity rows " + rows;
        }
    }

    /** A face with what decides how its keys and values come out. */
    private record Person(String key, BufferedImage face, float[] caption) {
    }

    private final StableDiffusion model;
    private final EmbeddedAttentionAdapter adapter;
    private final Diffusion diffusion;
    private final IdentityCache cache;
    private final String weights;
    private final Kind kind;
    private final List<GenerationRequest> requests;
    private final List<Set<String>> warnings = new ArrayList<>();
    private final Map<String, float[]> texts = new HashMap<>();

    /** @param weights fingerprint of model and adapter, or what stands for it while only this process keeps identities */
    Batch(StableDiffusion model, EmbeddedAttentionAdapter adapter, Diffusion diffusion, IdentityCache cache, String weights,
            Kind kind, List<GenerationRequest> requests) {
        this.model = model;
        this.adapter = adapter;
        this.diffusion = diffusion;
        this.cache = cache;
        this.weights = weights;
        this.kind = kind;
        this.requests = requests;
        requests.forEach(request -> warnings.add(new LinkedHashSet<>()));
    }

    /**
     * One result for each request, {@code null} for one that was cancelled.
     *
     * @throws CancellationException when all were
     */
    List<GenerationResult> run() {
        throwWhenNobodyWaits();
        List<Diffusion.Guidance> guidance = new ArrayList<>();
        List<Latents> noise = new ArrayList<>();
        for (int r = 0; r < requests.size(); r++) {
            GenerationRequest request = requests.get(r);
            Diffusion.Guidance own = new Diffusion.Guidance(encode(request.prompt(), "prompt", r),
                    encode(request.negativePrompt(), "negative prompt", r), request.guidanceScale());
            for (int i = 0; i < request.count(); i++) {
                guidance.add(own);
                noise.add(SeededNoise.latents(request.seed() + i, model.vae().latentChannels(),
                        kind.height / model.vae().factor(), kind.width / model.vae().factor()));
            }
        }
        Latents start = Latents.stack(noise);
        Latents clean;
        try {
            clean = generate(start, guidance, true);
        } catch (IdentityCache.LostException e) {
            clean = generate(start, guidance, false);
        }
        return results(clean);
    }

    private float[] encode(String text, String what, int request) {
        ClipTokenizer.Encoding encoding = model.tokenizer().encode(text);
        if (!encoding.cut().isEmpty()) {
            warnings.get(request).add("the " + what + " is longer than " + model.textEncoder().maxTokens()
                    + " tokens; this was cut from its end: " + encoding.cut());
        }
        return texts.computeIfAbsent(Arrays.toString(encoding.ids()), ids -> model.textEncoder().encode(encoding.ids()));
    }

    // --- identities -------------------------------------------------------------------------------------------------

    private Latents generate(Latents start, List<Diffusion.Guidance> guidance, boolean fromCache) {
        cache.beginBatch();
        Map<String, Person> people = new LinkedHashMap<>();
        int[] ofPictures = new int[start.batch()];
        double[] scales = new double[start.batch()];
        int picture = 0;
        for (int r = 0; r < requests.size(); r++) {
            GenerationRequest request = requests.get(r);
            double scale = scale(request);
            if (scale != 0) {
                Person person = person(request, r);
                people.putIfAbsent(person.key, person);
                Arrays.fill(ofPictures, picture, picture + request.count(), List.copyOf(people.keySet()).indexOf(person.key));
                Arrays.fill(scales, picture, picture + request.count(), scale);
            }
            picture += request.count();
        }
        if (people.isEmpty()) {
            return diffusion.generate(start, guidance, kind.steps, null, steps("generating")).latents();
        }
        List<Person> all = List.copyOf(people.values());
        int size = adapter.identityLatentSize();
        int elements = adapter.featureElements(size, size);
        if (fromCache && all.stream().allMatch(person -> cache.contains(person.key, kind.steps, elements))) {
            Diffusion.Keeper keeper = (step, features) -> {
                for (int i = 0; i < all.size(); i++) {
                    cache.load(all.get(i).key, step, features, i);
                }
            };
            return sample(start, guidance, new Diffusion.Stored(all.size(), keeper), ofPictures, scales);
        }
        return computed(start, guidance, all, elements, ofPictures, scales);
    }

    /** Inverts the faces and takes them through the steps beside the pictures, keeping their keys and values for later. */
    private Latents computed(Latents start, List<Diffusion.Guidance> guidance, List<Person> people, int elements,
            int[] ofPictures, double[] scales) {
        List<Latents> faces = new ArrayList<>();
        people.forEach(person -> faces.add(FacePicture.encode(person.face, model.vae())));
        List<float[]> captions = people.stream().map(Person::caption).toList();
        Latents inverted = diffusion.invertToNoise(Latents.stack(faces), captions, kind.steps, steps("inverting"));
        if (!cache.accepts(kind.steps, elements)) {
            return sample(start, guidance, new Diffusion.Inverted(inverted, captions, null), ofPictures, scales);
        }
        List<IdentityCache.Writer> writers = people.stream().map(person -> cache.begin(person.key, kind.steps, elements)).toList();
        try {
            Diffusion.Keeper keeper = (step, features) -> {
                for (int i = 0; i < writers.size(); i++) {
                    writers.get(i).store(step, features, i);
                }
            };
            Latents clean = sample(start, guidance, new Diffusion.Inverted(inverted, captions, keeper), ofPictures, scales);
            writers.forEach(IdentityCache.Writer::finish);
            return clean;
        } catch (RuntimeException | Error e) {
            writers.forEach(IdentityCache.Writer::abandon);
            throw e;
        }
    }

    private Latents sample(Latents start, List<Diffusion.Guidance> guidance, Diffusion.People people, int[] ofPictures,
            double[] scales) {
        Diffusion.IdentityControl identity =
                new Diffusion.IdentityControl(adapter, people, ofPictures, scales, kind.layers, kind.rows);
        return diffusion.generate(start, guidance, kind.steps, identity, steps("generating")).latents();
    }

    private double scale(GenerationRequest request) {
        if (request.face() == null) {
            return 0;
        }
        return Double.isNaN(request.identityScale()) ? adapter.defaultScale() : request.identityScale();
    }

    private Person person(GenerationRequest request, int index) {
        BufferedImage face = FacePicture.square(request.face(), adapter.identityLatentSize() * model.vae().factor());
        float[] caption = encode(request.caption(), "caption", index);
        int width = face.getWidth();
        Device device = model.device();
        // cuda:0 and cuda:1 compute the same.
        String kindOfDevice = device.name().split(":")[0];
        String key = new Fingerprint().add(weights).add(kindOfDevice).add(device.precision().toString())
                .add(face.getRGB(0, 0, width, face.getHeight(), null, 0, width))
                .add(model.tokenizer().encode(request.caption()).ids())
                .add(model.schedule().timesteps(kind.steps)).value();
        return new Person(key, face, caption);
    }

    // --- results ----------------------------------------------------------------------------------------------------

    private List<GenerationResult> results(Latents clean) {
        List<GenerationResult> results = new ArrayList<>();
        int picture = 0;
        for (int r = 0; r < requests.size(); r++) {
            GenerationRequest request = requests.get(r);
            List<BufferedImage> images = new ArrayList<>();
            List<Latents> latents = new ArrayList<>();
            for (int i = 0; i < request.count() && !request.cancellation().isCancelled(); i++) {
                latents.add(clean.row(picture + i));
                images.add(FacePicture.decode(clean.row(picture + i), model.vae()));
                request.listener().onStep("decoding", i + 1, request.count());
                request.listener().onPicture(i, images.getLast());
            }
            picture += request.count();
            results.add(request.cancellation().isCancelled() ? null : new GenerationResult(images, latents, List.copyOf(warnings.get(r))));
        }
        return results;
    }

    private Diffusion.StepListener steps(String phase) {
        return (done, steps, latents) -> {
            for (GenerationRequest request : requests) {
                if (!request.cancellation().isCancelled()) {
                    request.listener().onStep(phase, done, steps);
                }
            }
            throwWhenNobodyWaits();
        };
    }

    private void throwWhenNobodyWaits() {
        if (requests.stream().allMatch(request -> request.cancellation().isCancelled())) {
            throw new CancellationException("the request was cancelled");
        }
    }
}
