package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.PLENTY;
import static io.invadapter.engine.pipeline.Pictures.assertSame;
import static io.invadapter.engine.pipeline.Pictures.difference;
import static io.invadapter.engine.pipeline.Pictures.latents;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.phases;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.FreshNoise;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Step;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.weights.json.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Pictures by any sampler: what the loop does with its numbers, and an identity beside it. */
@Timeout(600)
class SamplingTest {
    private static final int SIZE = 8;
    private static final int FACE_SIZE = 16;
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };
    private static final WatchedDevice DEVICE = new WatchedDevice();
    private static final StableDiffusion MODEL = Pictures.model(BundledModel.directory(), DEVICE);
    private static final EmbeddedAttentionAdapter ADAPTER = Pictures.adapter(MODEL);
    /** Ends in a picture without noise, so that DDIM and Euler go over the same levels. */
    private static final NoiseSchedule TO_THE_END = new NoiseSchedule(Json.parse("""
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "set_alpha_to_one": true,
            "timestep_spacing": "leading", "steps_offset": 1}"""), notice -> { });
    private static final FreshNoise FRESH = FreshNoise.seeded(List.of(1L, 2L, 3L), 4, SIZE, SIZE);

    @AfterAll
    static void close() {
        DEVICE.close();
    }

    private static float[] text(String text) {
        return MODEL.textEncoder().encode(MODEL.tokenizer().encode(text).ids());
    }

    /** A text of two chunks. */
    private static float[] longText(String text) {
        float[] twice = Arrays.copyOf(text(text), 2 * text(text).length);
        System.arraycopy(text("in a red hoodie"), 0, twice, twice.length / 2, twice.length / 2);
        return twice;
    }

    private static Latents noise(int rows) {
        return noise(rows, SIZE);
    }

    private static Latents noise(int rows, int size) {
        return Latents.stack(Stream.iterate(1, i -> i <= rows, i -> i + 1).map(i -> SeededNoise.latents(i, 4, size, size)).toList());
    }

    private static final List<Diffusion.Guidance> GUIDANCE = List.of(new Diffusion.Guidance(text("a happy person"), text("hat"), 4),
            new Diffusion.Guidance(text("a person"), text(""), 1), new Diffusion.Guidance(text("a serious person"), text(""), 7, 0.7));

    /** A walk as it is defined, one picture by itself, on the host. */
    private static float[] walked(Walk walk, int picture) {
        Diffusion.Guidance own = GUIDANCE.get(picture);
        float[][] registers = new float[walk.registers()][noise(3).row(picture).values().length];
        registers[0] = noise(3).row(picture).values();
        for (int k = 0; k < walk.steps().size(); k++) {
            Step step = walk.steps().get(k);
            Latents latents = new Latents(registers[0], 1, 4, SIZE, SIZE);
            float[] prompt = predicted(latents, step, own.prompt());
            float[] guided = own.scale() > 1 ? guided(predicted(latents, step, own.negative()), prompt, own) : prompt;
            float[] fresh = step.noise() ? FRESH.draw(k).row(picture).values() : new float[guided.length];
            float[][] next = new float[registers.length][guided.length];
            for (int i = 0; i < registers.length; i++) {
                for (int e = 0; e < guided.length; e++) {
                    double sum = step.move()[i][registers.length] * guided[e] + step.move()[i][registers.length + 1] * fresh[e];
                    for (int j = 0; j < registers.length; j++) {
                        sum += step.move()[i][j] * registers[j][e];
                    }
                    next[i][e] = (float) sum;
                }
            }
            registers = next;
        }
        return registers[0];
    }

    private static float[] predicted(Latents latents, Step step, float[] text) {
        return MODEL.unet().predictNoise(latents, step.timestep(), null, new float[][] {text}, AttentionHook.NONE).values();
    }

    /** Lin et al. 2023, equations 15 and 16. */
    private static float[] guided(float[] negative, float[] prompt, Diffusion.Guidance own) {
        float[] guided = new float[prompt.length];
        for (int e = 0; e < guided.length; e++) {
            guided[e] = (float) (negative[e] + own.scale() * (prompt[e] - negative[e]));
        }
        double factor = own.rescale() * deviation(prompt) / deviation(guided) + 1 - own.rescale();
        for (int e = 0; e < guided.length; e++) {
            guided[e] *= (float) factor;
        }
        return guided;
    }

    private static double deviation(float[] values) {
        double mean = 0;
        double squares = 0;
        for (float value : values) {
            mean += value / values.length;
        }
        for (float value : values) {
            squares += Math.pow(value - mean, 2);
        }
        return Math.sqrt(squares / (values.length - 1));
    }

    @ParameterizedTest
    @CsvSource({"DDIM, false", "DDIM, true", "PLMS, true", "Euler a, false", "Heun, true", "DPM++ 2M SDE Karras, true", "DPM++ SDE, false",
        "UniPC, true", "LCM, true"})
    void picturesGoTheWalkOfTheirSampler(String sampler, boolean together) {
        Walk walk = Samplers.named(sampler).walk(MODEL.schedule(), 4, 1);
        DEVICE.prefersLargeBatches = together;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Latents found = diffusion.generate(new Sampling(noise(3), GUIDANCE, walk).withNoise(FRESH), QUIET);
            for (int i = 0; i < 3; i++) {
                double error = difference(walked(walk, i), found.row(i).values());
                assertTrue(error < 1e-4, sampler + ", picture " + i + ": " + error);
            }
        }
    }

    /** Both go straight from level to level: where the levels are the same they are one, and so are the identities beside them. */
    @Test
    void anIdentityBesideEulerIsTheOneBesideDdim() {
        DEVICE.prefersLargeBatches = false;
        float[] caption = text("a portrait of a person");
        try (Diffusion diffusion = new Diffusion(DEVICE, MODEL.unet(), MODEL.vae(), TO_THE_END)) {
            Latents[][] results = Stream.of("DDIM", "Euler").map(name -> {
                Walk walk = Samplers.named(name).walk(TO_THE_END, 4, 1);
                Latents face = diffusion.invertToNoise(noise(1, FACE_SIZE).times(0.5), List.of(caption), walk, QUIET);
                IdentityInfluence identity = IdentityInfluence.of(ADAPTER, diffusion.beside(face, List.of(caption), walk, QUIET), 1,
                        IdentityLayers.BOTH, IdentityRows.PROMPT).askForFaces();
                Latents made = diffusion.generate(new Sampling(noise(1), GUIDANCE.subList(0, 1), walk).withInfluences(identity), QUIET);
                return new Latents[] {made, identity.faces()};
            }).toArray(Latents[][]::new);
            for (int i = 0; i < 2; i++) {
                assertTrue(difference(results[0][i].values(), results[1][i].values()) < 1e-4);
            }
        }
    }

    /** Where a face's caption is shorter than the prompts, its row cannot go in their batch. */
    @Test
    void textsMayBeOfAnyLength() {
        float[] caption = text("a portrait of a person");
        List<Diffusion.Guidance> guidance = List.of(new Diffusion.Guidance(longText("a happy person"), longText(""), 4),
                new Diffusion.Guidance(longText("a person"), longText(""), 1));
        Latents[] results = Stream.of(false, true).map(together -> {
            DEVICE.prefersLargeBatches = together;
            try (Diffusion diffusion = MODEL.diffusion()) {
                Walk walk = diffusion.ddim(3);
                Latents face = diffusion.invertToNoise(noise(1, FACE_SIZE).times(0.5), List.of(caption), walk, QUIET);
                return diffusion.generate(new Sampling(noise(2, FACE_SIZE), guidance, walk).withInfluences(new IdentityInfluence(ADAPTER,
                        new People.Inverted(diffusion.beside(face, List.of(caption), walk, QUIET), null), new int[2], new double[] {1, 0.5},
                        IdentityLayers.BOTH, IdentityRows.PROMPT)), QUIET);
            }
        }).toArray(Latents[]::new);
        assertTrue(difference(results[0].values(), results[1].values()) < 1e-4);
        DEVICE.prefersLargeBatches = false;
        try (Diffusion diffusion = MODEL.diffusion()) {
            Latents cut = diffusion.generate(new Sampling(noise(2), GUIDANCE.subList(0, 2), diffusion.ddim(3)), QUIET);
            Latents whole = diffusion.generate(new Sampling(noise(2), guidance, diffusion.ddim(3)), QUIET);
            assertTrue(difference(cut.values(), whole.values()) > 0.01, "the second half of a text is read");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Euler a", "DPM++ 2M SDE Karras", "LCM"})
    void freshNoiseComesFromTheSeedAlone(String sampler) {
        try (Pipeline pipeline = open(IdentityBudget.NONE)) {
            GenerationResult both = pipeline.generate(request(FACES.get(0), "a person", 7).sampler(sampler).count(2).build());
            assertSame(both, pipeline.generate(request(FACES.get(0), "a person", 7).sampler(sampler).count(2).build()));
            assertArrayEquals(latents(pipeline, request(FACES.get(0), "a person", 8).sampler(sampler)), both.latents().get(1).values());
        }
    }

    /** What is kept of a face is for its noise levels, whichever sampler goes over them. */
    @Test
    void aKeptFaceServesTheSamplersOfTheSameLevels() {
        try (Pipeline pipeline = open(PLENTY)) {
            assertTrue(phases(pipeline, request(FACES.get(0), "a person", 1).sampler("Euler")).contains("inverting"));
            assertEquals(Set.of("generating", "decoding"), phases(pipeline, request(FACES.get(0), "a person", 2).sampler("euler_ancestral")));
            assertTrue(phases(pipeline, request(FACES.get(0), "a person", 1).sampler("Euler Karras")).contains("inverting"));
            assertTrue(phases(pipeline, request(FACES.get(0), "a person", 1)).contains("inverting"));
            assertEquals(Set.of("generating", "decoding"), phases(pipeline, request(FACES.get(0), "a person", 2).sampler("ddim")));
        }
    }

    @Test
    void aRequestNamesItsSamplerOrGetsTheModels(@TempDir Path folder) throws Exception {
        Pictures.copyOfTheModel(folder);
        Path config = folder.resolve("scheduler/scheduler_config.json");
        Files.writeString(config, Files.readString(config).replace("DDIMScheduler", "EulerAncestralDiscreteScheduler"));
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).model(folder).open()) {
            assertEquals("Euler a", sampler(pipeline, request(null, "a", 1)));
            assertEquals("DDIM", sampler(pipeline, request(FACES.get(0), "a", 1)));
            assertEquals("DPM++ 2M Karras", sampler(pipeline, request(FACES.get(0), "a", 1).sampler("dpmpp_2m karras")));
            InvalidRequestException e = assertThrows(InvalidRequestException.class,
                    () -> pipeline.generate(List.of(request(null, "a", 1).build(), request(null, "a", 1).sampler("LMS").build())));
            assertTrue(e.getMessage().contains("3 steps of Euler a with") && e.getMessage().contains("3 steps of LMS with"), e.getMessage());
            String unknown = assertThrows(InvalidRequestException.class, () -> sampler(pipeline, request(null, "a", 1).sampler("Oiler"))).getMessage();
            assertTrue(unknown.startsWith("there is no sampler \"Oiler\"; expected DDIM, "), unknown);
        }
        Files.writeString(folder.resolve("invadapter.json"), "{\"sampler\": \"UniPC\"}");
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).model(folder).open()) {
            assertEquals("UniPC", sampler(pipeline, request(FACES.get(0), "a", 1)));
        }
        Files.writeString(folder.resolve("invadapter.json"), "{\"sampler\": \"Oiler\"}");
        Exception e = assertThrows(RuntimeException.class, () -> Pictures.builder(IdentityBudget.NONE).model(folder).open());
        assertTrue(e.getMessage().contains("invadapter.json: there is no sampler \"Oiler\""), e.getMessage());
    }

    /** From a picture without any noise nothing leads back to noise that such a network would predict. */
    @Test
    void aFaceThatCannotBeInvertedIsRefusedBeforeAnythingIsComputed(@TempDir Path folder) throws Exception {
        Pictures.copyOfTheModel(folder);
        Path config = folder.resolve("scheduler/scheduler_config.json");
        Files.writeString(config, Json.read(config).with("prediction_type", "sample").with("set_alpha_to_one", true).toString());
        WatchedDevice device = new WatchedDevice();
        try (Pipeline pipeline = Pictures.builder(IdentityBudget.NONE).model(folder).open(() -> device)) {
            device.calls.clear();
            for (Executable asked : List.<Executable>of(() -> pipeline.generate(request(FACES.get(0), "a", 1).build()),
                    () -> pipeline.invert(FACES.get(0), "a", 3, (phase, done, steps) -> { }))) {
                String message = assertThrows(InvalidRequestException.class, asked).getMessage();
                assertTrue(message.startsWith("a network that predicts the picture cannot turn one without any noise back into noise"), message);
            }
            assertEquals(Map.of(), device.calls);
        }
    }

    /** Prompts of one chunk and of two, captions of which one is cut: on a device that takes all rows together as well as one by one. */
    @Test
    void facesGoTogetherWhateverTheLengthOfTheirTexts() {
        String lengthy = "a person, " + "very ".repeat(90) + "happy";
        List<GenerationRequest> requests = List.of(request(FACES.get(0), "a happy person", 1).caption("a portrait").size(0, 0).build(),
                request(FACES.get(1), lengthy, 2).caption(lengthy).size(0, 0).build(),
                request(FACES.get(2), "a person", 3).negativePrompt(lengthy).caption("").size(0, 0).build());
        WatchedDevice batching = new WatchedDevice();
        batching.prefersLargeBatches = true;
        try (Pipeline apart = open(IdentityBudget.NONE); Pipeline together = open(IdentityBudget.NONE, batching)) {
            for (List<GenerationRequest> batch : List.of(requests, requests.subList(1, 3), requests.reversed())) {
                List<GenerationResult> beside = together.generate(batch);
                for (int i = 0; i < batch.size(); i++) {
                    Pictures.assertClose(apart.generate(batch.get(i)), beside.get(i));
                }
            }
        }
    }

    /** A network that takes the guidance itself needs no negative row, and each picture, and the face, has its own beside the others. */
    @Test
    void aNetworkMayTakeTheGuidanceItself(@TempDir Path folder) throws Exception {
        Pictures.modelThatTakesTheGuidance(folder);
        List<GenerationRequest> requests = List.of(request(FACES.get(0), "a person", 1).sampler("LCM").guidanceScale(4).size(0, 0).build(),
                request(null, "a person", 1).sampler("LCM").guidanceScale(2).size(0, 0).build());
        WatchedDevice batching = new WatchedDevice();
        batching.prefersLargeBatches = true;
        try (Pipeline apart = Pictures.builder(IdentityBudget.NONE).model(folder).open();
                Pipeline together = Pictures.builder(IdentityBudget.NONE).model(folder).open(() -> batching)) {
            List<GenerationResult> alone = requests.stream().map(apart::generate).toList();
            List<GenerationResult> beside = together.generate(requests);
            for (int i = 0; i < 2; i++) {
                Pictures.assertClose(alone.get(i), beside.get(i));
            }
            float[] two = latents(apart, request(null, "a person", 1).sampler("LCM").guidanceScale(2));
            assertTrue(difference(two, latents(apart, request(null, "a person", 1).sampler("LCM").guidanceScale(4))) > 0.01);
            assertArrayEquals(two, latents(apart, request(null, "a person", 1).sampler("LCM").guidanceScale(2).negativePrompt("hat")));
        }
    }

    /** As it is written into pictures. */
    private static String sampler(Pipeline pipeline, GenerationRequest.Builder request) {
        String parameters = PictureParameters.of(request.build(), 0, pipeline, "m");
        return parameters.substring(parameters.indexOf("Sampler: ") + 9, parameters.indexOf(", CFG"));
    }
}
