package io.invadapter.kernels.cuda;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Network;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.nn.Room;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.text.ClipTextEncoder;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.Vae;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.kernels.Device;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.model.SyntheticWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;

/** All networks of Stable Diffusion in the smallest sizes that have every kind of layer, with synthetic weights. */
final class SmallModel implements AutoCloseable {
    private static final int STEPS = 4;
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    /** That of Stable Diffusion 1.x. */
    private static final String SCHEDULE = """
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "set_alpha_to_one": false}""";
    private static final int SIZE = 8;
    private static final UNetConfig UNET = new UNetConfig(4, 4, SIZE, SIZE, new int[] {16, 32}, new int[] {1, 1},
            new boolean[] {true, false}, new boolean[] {false, true}, new int[] {2, 2}, new int[] {1, 1}, 24, 8, 1e-5f, true, 0);
    private static final ClipTextConfig TEXT_ENCODER = new ClipTextConfig(24, 48, 1, 2, 77, 49408, Device.Activation.QUICK_GELU, 1e-5f);
    private static final VaeConfig VAE = new VaeConfig(4, new int[] {16, 16}, 1, 8, 0.18215, true, true, true, false);

    final Room room;
    final StableDiffusion model;
    final Part<EmbeddedAttentionAdapter> adapter;
    final Diffusion diffusion;
    private final int steps;

    SmallModel(Device device) {
        this(device, STEPS);
    }

    /** @param steps of each picture: the first runs the layers, the second records them, later ones replay that */
    SmallModel(Device device, int steps) {
        this.steps = steps;
        room = new Room(device, notice -> { });
        Part<UNet> unet = part(Part.Use.STEPS, () -> UNet.load(UNET, SyntheticWeights.onDemand(), device));
        model = new StableDiffusion(device, ClipTokenizer.bundled(),
                part(Part.Use.TEXTS, () -> ClipTextEncoder.load(TEXT_ENCODER, SyntheticWeights.onDemand(), device)), unet,
                part(Part.Use.PICTURES, () -> Vae.load(VAE, SyntheticWeights.onDemand(), device)),
                new NoiseSchedule(Json.parse(SCHEDULE), notice -> { }), new Ddim());
        adapter = part(Part.Use.STEPS, () -> EmbeddedAttentionAdapter.load(adapterWeights(unet.network()), unet.network(), device));
        diffusion = model.diffusion();
        adapter.beforeLeaving(diffusion::trim);
    }

    private <N extends Network> Part<N> part(Part.Use use, Supplier<N> making) {
        return Part.in(room, use, 0, making.get(), making);
    }

    /** Aggregates to 20 tokens, or 16 where there are no more. */
    private static WeightSource adapterWeights(UNet unet) {
        StringBuilder shapes = new StringBuilder("{");
        unet.attentionLayers().forEach((site, layer) -> {
            String name = site.name();
            int d = layer.channels();
            int tokens = layer.tokens(SIZE, SIZE);
            shapes.append(shapes.length() > 1 ? "," : "")
                    .append("\"%s.eaa.to_k.weight\": [%d, %d], \"%1$s.eaa.to_v.weight\": [%2$d, %3$d]".formatted(name, d, d));
            if (site.isCross()) {
                shapes.append(", \"%s.eaa.aggregate.weight\": [%d, %d]".formatted(name, Math.min(20, tokens), tokens));
            }
        });
        try {
            Path file = Files.createTempFile("adapter", ".json");
            Files.writeString(file, shapes.append("}"));
            WeightSource source = SyntheticWeights.of(file);
            Files.delete(file);
            return source;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    float[] text(String text) {
        return model.textEncoderPart().use().encode(model.tokenizer().encode(text).ids());
    }

    static Latents noise(int seed, int rows) {
        return Latents.stack(java.util.stream.IntStream.range(0, rows).mapToObj(i -> SeededNoise.latents(seed + i, 4, SIZE, SIZE)).toList());
    }

    /** Two faces in three pictures, with different guidance and scales; the last picture keeps nobody. */
    Latents customised(People people) {
        List<Diffusion.Guidance> guidance = List.of(new Diffusion.Guidance(text("a person in a hat"), text(""), 4),
                new Diffusion.Guidance(text("a happy person"), text("sad"), 2), new Diffusion.Guidance(text("a dog"), text(""), 1));
        IdentityInfluence identity = new IdentityInfluence(adapter.use(), people, new int[] {0, 1, 0}, new double[] {0.8, 1, 0},
                IdentityLayers.BOTH, IdentityRows.PROMPT);
        return diffusion.generate(new Sampling(noise(7, 3), guidance, diffusion.ddim(steps)).withInfluences(identity), QUIET);
    }

    /** Two faces, inverted. */
    People faces(People.Keeper keeper) {
        List<float[]> captions = List.of(text("a face"), text("a portrait"));
        Latents faces = noise(90, 2).times(0.5);
        Walk walk = diffusion.ddim(steps);
        Latents inverted = diffusion.invertToNoise(faces, captions, walk, QUIET);
        return new People.Inverted(diffusion.beside(inverted, captions, walk, QUIET), keeper);
    }

    /** From a face's pixels and texts to a picture's: everything once. */
    float[] picture() {
        float[] pixels = new float[3 * 4 * SIZE * SIZE];
        for (int i = 0; i < pixels.length; i++) {
            pixels[i] = (float) Math.sin(i);
        }
        Latents face = model.vaePart().use().encode(pixels, 2 * SIZE, 2 * SIZE).mean();
        List<float[]> caption = List.of(text("a face"));
        Walk walk = diffusion.ddim(steps);
        Latents noise = diffusion.invertToNoise(face, caption, walk, QUIET);
        Diffusion.Guidance guidance = new Diffusion.Guidance(text("a person in a hat"), text(""), 4);
        IdentityInfluence identity = IdentityInfluence.of(adapter.use(), diffusion.beside(noise, caption, walk, QUIET), 0.9,
                IdentityLayers.BOTH, IdentityRows.BOTH);
        Latents clean = diffusion.generate(new Sampling(noise(3, 1), List.of(guidance), walk).withInfluences(identity), QUIET);
        return model.vaePart().use().decode(clean);
    }

    @Override
    public void close() {
        diffusion.close();
        adapter.close();
        model.close();
    }
}
