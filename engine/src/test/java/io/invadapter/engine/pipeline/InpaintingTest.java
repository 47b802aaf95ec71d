package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.PLENTY;
import static io.invadapter.engine.pipeline.Pictures.STEPS;
import static io.invadapter.engine.pipeline.Pictures.assertClose;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.difference;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.phases;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.picture.Mask;
import io.invadapter.engine.picture.Scaling;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.FreshNoise;
import io.invadapter.engine.sampling.Inpainting;
import io.invadapter.engine.sampling.Original;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Step;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Pictures made from pictures, and parts of them: with the bundled model's UNet, and with one that takes a mask and a picture besides. */
@Timeout(600)
class InpaintingTest {
    private static final int SIZE = 64;
    private static final int FACE_SIZE = 16;
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    private static final WatchedDevice DEVICE = new WatchedDevice();
    private static final BufferedImage PICTURE = Scaling.cover(FACES.get(1), SIZE, SIZE);
    /** Its upper half, to the middle of a latent's cell. */
    private static final BufferedImage UPPER = mask(0, 0, SIZE, 28);

    @TempDir
    private static Path folder;
    private static StableDiffusion plain;
    private static StableDiffusion trained;
    private static EmbeddedAttentionAdapter adapter;

    @BeforeAll
    static void load() throws IOException {
        widen(folder);
        plain = Pictures.model(BundledModel.directory(), DEVICE);
        trained = Pictures.model(folder, DEVICE);
        adapter = Pictures.adapter(trained);
    }

    /** The bundled model with five more inputs, which it minds. */
    private static void widen(Path copy) throws IOException {
        Pictures.copyOfTheModel(copy);
        Path config = copy.resolve("unet/config.json");
        Files.writeString(config, Files.readString(config).replaceFirst("\"in_channels\": *4", "\"in_channels\": 9"));
        Path weights = copy.resolve("unet/diffusion_pytorch_model.safetensors");
        SafetensorsWriter writer = new SafetensorsWriter();
        try (WeightSource source = Safetensors.open(weights)) {
            for (String name : source.names()) {
                WeightTensor tensor = source.tensor(name);
                writer.add(name, tensor.name().equals("conv_in.weight") ? new long[] {tensor.shape()[0], 9, 3, 3} : tensor.shape(),
                        tensor.name().equals("conv_in.weight") ? widened(tensor.toFloats()) : tensor.toFloats());
            }
            Files.delete(weights);
            writer.write(weights);
        }
    }

    private static float[] widened(float[] values) {
        Random random = new Random(3);
        float[] wide = new float[values.length / 4 * 9];
        for (int i = 0; i < wide.length; i++) {
            int out = i / 81;
            wide[i] = i % 81 < 36 ? values[out * 36 + i % 81] : (float) random.nextGaussian() / 20;
        }
        return wide;
    }

    @AfterAll
    static void close() {
        DEVICE.close();
    }

    /** Black with a white rectangle. */
    private static BufferedImage mask(int x, int y, int width, int height) {
        BufferedImage mask = new BufferedImage(SIZE, SIZE, BufferedImage.TYPE_BYTE_GRAY);
        Graphics2D g = mask.createGraphics();
        g.setColor(Color.WHITE);
        g.fillRect(x, y, width, height);
        g.dispose();
        return mask;
    }

    private static GenerationRequest.Builder request(BufferedImage face, String prompt, long seed) {
        return Pictures.request(face, prompt, seed).init(PICTURE);
    }

    // --- loops ------------------------------------------------------------------------------------------------------

    private static final List<BufferedImage> MASKS = List.of(UPPER, mask(8, 8, 16, 40), mask(0, 0, SIZE, SIZE));

    private static Latents noise(int row) {
        return SeededNoise.latents(row + 1, 4, SIZE / 8, SIZE / 8);
    }

    private static float[] text(String text) {
        return plain.textEncoder().encode(plain.tokenizer().encode(text).ids());
    }

    /** A walk as it is defined, of one picture without guidance, on the host. */
    private static float[] walked(StableDiffusion model, Walk walk, FreshNoise fresh, Original original, int picture) {
        Latents noise = noise(picture);
        Inpainting inpainting = original.inpainting(noise);
        Latents latents = original.start(noise, walk);
        for (int k = 0; k < walk.steps().size(); k++) {
            Step step = walk.steps().get(k);
            Latents input = model == trained ? Latents.joined(latents, inpainting.canvas()) : latents;
            float[] predicted = model.unet().predictNoise(input, step.timestep(), null, new float[][] {text("a happy person")},
                    AttentionHook.NONE).values();
            float[] drawn = step.noise() ? fresh.draw(k).row(picture).values() : new float[predicted.length];
            float[] next = new float[predicted.length];
            boolean last = k == walk.steps().size() - 1;
            for (int i = 0; i < next.length; i++) {
                double[] move = step.move()[0];
                double made = move[0] * latents.values()[i] + move[1] * predicted[i] + move[2] * drawn[i];
                double known = last ? inpainting.clean().values()[i] : Math.sqrt(step.alphaTo()) * inpainting.clean().values()[i]
                        + Math.sqrt(1 - step.alphaTo()) * noise.values()[i];
                float mask = inpainting.mask().values()[i % inpainting.mask().values().length];
                next[i] = (float) (model == trained || mask == 1 ? made : known);
            }
            latents = new Latents(next, 1, 4, SIZE / 8, SIZE / 8);
        }
        return latents.values();
    }

    @ParameterizedTest
    @CsvSource({"false, DDIM, 1, false", "false, DDIM, 0.6, true", "false, Euler a, 0.6, false", "true, DDIM, 1, true", "true, Euler a, 0.6, false"})
    void loopsAreAsDefined(boolean ofTrained, String sampler, double strength, boolean together) {
        StableDiffusion model = ofTrained ? trained : plain;
        Walk walk = Samplers.named(sampler).walk(model.schedule(), 5, strength);
        assertEquals(strength == 1 ? 5 : 3, walk.steps().size());
        FreshNoise fresh = FreshNoise.seeded(List.of(1L, 2L, 3L), 4, SIZE / 8, SIZE / 8);
        List<Original> originals = MASKS.stream().map(mask -> new Original(PICTURE, new Mask(mask), strength, model.unet(), model.vae())).toList();
        DEVICE.prefersLargeBatches = together;
        try (Diffusion diffusion = model.diffusion()) {
            Latents found = diffusion.generate(new Sampling(Latents.stack(IntStream.range(0, 3).mapToObj(i -> originals.get(i).start(noise(i), walk)).toList()),
                    Inpainting.stack(IntStream.range(0, 3).mapToObj(i -> originals.get(i).inpainting(noise(i))).toList()),
                    MASKS.stream().map(mask -> new Diffusion.Guidance(text("a happy person"), text(""), 1)).toList(), walk, fresh, List.of()),
                    QUIET);
            for (int i = 0; i < 3; i++) {
                double error = difference(walked(model, walk, fresh, originals.get(i), i), found.row(i).values());
                assertTrue(error < 1e-4, "picture " + i + ": " + error);
            }
        } finally {
            DEVICE.prefersLargeBatches = false;
        }
    }

    /**
     * With an inpainting model too a face goes its own way, told that all of it is to be repainted, over grey; in a batch with pictures of
     * its size or apart from them.
     */
    @ParameterizedTest
    @ValueSource(ints = {SIZE, 8 * FACE_SIZE})
    void anIdentityHasNothingKnown(int size) {
        float[] caption = text("a portrait of a person");
        Latents clean = SeededNoise.latents(9, 4, FACE_SIZE, FACE_SIZE).times(0.5);
        Latents noise = SeededNoise.latents(1, 4, size / 8, size / 8);
        Original original = new Original(Scaling.cover(PICTURE, size, size), new Mask(Scaling.cover(UPPER, size, size)), 1, trained.unet(),
                trained.vae());
        Latents[] results = Stream.of(false, true).map(together -> {
            DEVICE.prefersLargeBatches = together;
            try (Diffusion diffusion = trained.diffusion()) {
                Walk walk = diffusion.ddim(3);
                Latents face = diffusion.invertToNoise(clean, List.of(caption), walk, QUIET);
                IdentityInfluence identity = IdentityInfluence.of(adapter, diffusion.beside(face, List.of(caption), walk, QUIET), 1,
                        IdentityLayers.BOTH, IdentityRows.PROMPT).askForFaces();
                Latents made = diffusion.generate(new Sampling(original.start(noise, walk),
                        List.of(new Diffusion.Guidance(text("a happy person"), text(""), 4)), walk).withInpainting(original.inpainting(noise))
                        .withInfluences(identity), QUIET);
                assertTrue(difference(ownWay(face, caption, walk).values(), identity.faces().values()) < 1e-4);
                assertTrue(difference(diffusion.denoise(face, List.of(caption), walk, QUIET).values(), identity.faces().values()) < 1e-4);
                return made;
            } finally {
                DEVICE.prefersLargeBatches = false;
            }
        }).toArray(Latents[]::new);
        assertTrue(difference(results[0].values(), results[1].values()) < 1e-4);
    }

    private static Latents ownWay(Latents start, float[] caption, Walk walk) {
        Latents empty = PictureLatents.encode(new float[3 * 64 * start.height() * start.width()], 8 * start.height(), 8 * start.width(), trained.vae());
        float[] ones = new float[start.height() * start.width()];
        Arrays.fill(ones, 1);
        Latents canvas = Latents.joined(new Latents(ones, 1, 1, start.height(), start.width()), empty);
        float[] x = start.values().clone();
        for (Step step : walk.steps()) {
            float[] predicted = trained.unet().predictNoise(Latents.joined(new Latents(x, 1, 4, start.height(), start.width()), canvas),
                    step.timestep(), null, new float[][] {caption}, AttentionHook.NONE).values();
            for (int i = 0; i < x.length; i++) {
                x[i] = (float) (step.move()[0][0] * x[i] + step.move()[0][1] * predicted[i]);
            }
        }
        return new Latents(x, 1, 4, start.height(), start.width());
    }

    // --- requests ---------------------------------------------------------------------------------------------------

    @Test
    void theMoreStrengthTheLessIsLeft() {
        try (Pipeline pipeline = open(IdentityBudget.NONE)) {
            double[] differences = Stream.of(0.1, 0.5, 1.0).mapToDouble(strength -> {
                TreeSet<Integer> steps = new TreeSet<>();
                BufferedImage made = pipeline.generate(request(null, "a sad person", 7).steps(10).strength(strength).listener((phase, step, all) -> {
                    if (phase.equals("generating")) {
                        steps.add(step);
                        assertEquals((int) (10 * strength), all);
                    }
                }).build()).images().getFirst();
                assertEquals((int) (10 * strength), steps.last());
                return difference(PictureLatents.toModel(PICTURE), PictureLatents.toModel(made));
            }).toArray();
            assertTrue(differences[0] < 0.3 && differences[0] < differences[1] && differences[1] < differences[2], Arrays.toString(differences));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatTheMaskKeepsIsThePicturesToTheBit(boolean ofTrained) {
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).model(ofTrained ? folder : BundledModel.directory()).open()) {
            for (BufferedImage face : Arrays.asList(null, FACES.get(0))) {
                GenerationResult result = pipeline.generate(request(face, "a person", 7).mask(UPPER).count(2).build());
                for (BufferedImage made : result.images()) {
                    int changed = 0;
                    for (int i = 0; i < SIZE * SIZE; i++) {
                        int x = i % SIZE;
                        int y = i / SIZE;
                        if (y >= 28) {
                            assertEquals(PICTURE.getRGB(x, y), made.getRGB(x, y), x + ", " + y);
                        }
                        changed += PICTURE.getRGB(x, y) == made.getRGB(x, y) ? 0 : 1;
                    }
                    assertTrue(changed > SIZE * 14, changed + " pixels were repainted");
                }
                assertTrue(difference(result.latents().get(0).values(), result.latents().get(1).values()) > 0.01, "seeds matter");
                assertTrue(difference(result.latents().get(0).values(), pipeline.generate(request(face, "a person", 7).mask(UPPER).strength(0.7).build())
                        .latents().getFirst().values()) > 0.01, "without a strength all of the mask is repainted");
            }
        }
    }

    @Test
    void aFaceGoesIntoAPlaceOfAPicture() {
        try (Pipeline pipeline = open(PLENTY)) {
            GenerationRequest.Builder masked = request(FACES.get(0), "a person", 7).mask(UPPER).strength(0.7);
            assertTrue(phases(pipeline, masked).contains("inverting"));
            GenerationResult kept = pipeline.generate(masked.build());
            assertTrue(!phases(pipeline, masked.seed(8)).contains("inverting"));
            assertTrue(phases(pipeline, masked.strength(1)).contains("inverting"), "other levels");
            try (Pipeline fresh = open(IdentityBudget.NONE)) {
                assertClose(fresh.generate(request(FACES.get(0), "a person", 7).mask(UPPER).strength(0.7).build()), kept);
                assertTrue(difference(kept.latents().getFirst().values(), fresh.generate(request(FACES.get(2), "a person", 7).mask(UPPER)
                        .strength(0.7).build()).latents().getFirst().values()) > 0.01, "another face");
            }
        }
    }

    @Test
    void eachRequestOfABatchHasItsOwnPictureAndMask() {
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = open(IdentityBudget.NONE, device)) {
            List<GenerationRequest> requests = List.of(request(null, "a person", 1).mask(UPPER).build(),
                    request(FACES.get(3), "a happy person", 2).init(FACES.get(0)).mask(FACES.get(4)).build());
            List<GenerationResult> alone = requests.stream().map(pipeline::generate).toList();
            List<GenerationResult> beside = pipeline.generate(requests);
            device.prefersLargeBatches = true;
            List<GenerationResult> together = pipeline.generate(requests);
            for (int i = 0; i < 2; i++) {
                assertSame(alone.get(i), beside.get(i));
                assertClose(alone.get(i), together.get(i));
            }
            String message = assertThrows(InvalidRequestException.class,
                    () -> pipeline.generate(List.of(requests.get(0), request(null, "a person", 1).build()))).getMessage();
            assertTrue(message.contains("3 steps of DDIM into a picture by a mask at strength 1.0")
                    && message.contains("3 steps of DDIM from a picture at strength 0.75"), message);
        }
    }

    @Test
    void thePictureGivesTheSizeOrIsCutToIt() {
        BufferedImage wide = new BufferedImage(70, 47, BufferedImage.TYPE_INT_RGB);
        BufferedImage mask = new BufferedImage(70, 47, BufferedImage.TYPE_BYTE_GRAY);
        for (int i = 0; i < 70 * 47; i++) {
            wide.setRGB(i % 70, i / 70, i % 70 < 35 ? 0xff3020 : 0x2030ff);
            mask.setRGB(i % 70, i / 70, i % 70 < 35 ? 0xffffff : 0);
        }
        try (Pipeline pipeline = open(IdentityBudget.NONE)) {
            GenerationRequest.Builder request = GenerationRequest.builder().prompt("a person").steps(STEPS).init(wide);
            BufferedImage own = pipeline.generate(request.build()).images().getFirst();
            assertEquals("64 x 40", own.getWidth() + " x " + own.getHeight());
            assertTrue(PictureParameters.of(request.build(), 0, pipeline, "m").endsWith("Size: 64x40, Model: m, Denoising strength: 0.75"));
            BufferedImage square = pipeline.generate(request.size(64, 64).mask(mask).build()).images().getFirst();
            for (int y = 0; y < 64; y++) {
                assertEquals(0xff2030ff, square.getRGB(63, y));
                assertTrue((square.getRGB(20, y) & 0xffffff) != 0xff3020);
            }
        }
    }

    @Test
    void whatCannotBeIsRefused() {
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).model(folder).open()) {
            refused("this model is trained for inpainting: it needs a picture to start from and a mask", pipeline, Pictures.request(null, "a", 1));
            refused("this model is trained for inpainting: it needs a picture to start from and a mask", pipeline, request(null, "a", 1));
        }
        try (Pipeline pipeline = open(IdentityBudget.NONE)) {
            refused("the picture to start from has 7 x 40 pixels; expected at least 8 x 8", pipeline,
                    GenerationRequest.builder().init(new BufferedImage(7, 40, BufferedImage.TYPE_INT_RGB)));
            InvalidRequestException none = assertThrows(InvalidRequestException.class,
                    () -> pipeline.generate(request(null, "a", 1).steps(3).strength(0.1).build()));
            assertTrue(none.getMessage().contains("0.1"), none.getMessage());
        }
    }

    private static void refused(String sentence, Pipeline pipeline, GenerationRequest.Builder request) {
        assertEquals(sentence, assertThrows(InvalidRequestException.class, () -> pipeline.generate(request.build())).getMessage());
    }

    /** As much as of any model: a reconstruction is asked of the network without a mask. */
    @Test
    void aFaceCanBeInvertedByAModelForInpainting() {
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).model(folder).open()) {
            assertTrue(Double.isFinite(pipeline.invert(FACES.get(0), "a person", STEPS, (phase, step, steps) -> { }).error()));
        }
    }
}
