package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.PLENTY;
import static io.invadapter.engine.pipeline.Pictures.builder;
import static io.invadapter.engine.pipeline.Pictures.difference;
import static io.invadapter.engine.pipeline.Pictures.latents;
import static io.invadapter.engine.pipeline.Pictures.open;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** LoRAs of the pipeline and of its requests, with the bundled model on the CPU. */
@Timeout(600)
class LoraPipelineTest {
    @TempDir
    private static Path folder;
    private static Path style;
    private static Path words;
    private static Pipeline plain;

    @BeforeAll
    static void write() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            style = Pictures.lora(folder, "style", "lora_unet_", files.unet(), ".*attn[12]\\.to_[qv]\\.weight", 1);
            words = Pictures.lora(folder, "words", "lora_te_text_model_", files.textEncoder(), ".*self_attn\\.v_proj\\.weight", 2);
        }
        plain = open(IdentityBudget.NONE);
    }

    @AfterAll
    static void close() {
        plain.close();
    }

    private static float[] made(Pipeline pipeline, List<LoraUse> loras) {
        return latents(pipeline, request(null, "a happy person", 1).loras(loras));
    }

    @Test
    void aRequestsLorasGiveWhatThePipelinesGive() {
        for (Path file : List.of(style, words)) {
            try (Pipeline own = builder(IdentityBudget.NONE).lora(file, 0.5).open()) {
                float[] expected = made(own, List.of());
                assertArrayEquals(expected, made(plain, List.of(LoraUse.of(file, 0.5))));
                assertTrue(difference(made(plain, List.of()), expected) > 1e-3, "it changes the picture");
                assertTrue(difference(made(plain, List.of(LoraUse.of(file, 1))), expected) > 1e-3, "by its scale");
            }
        }
    }

    @Test
    void theNextRequestHasNothingOfTheOneBefore() {
        float[] without = made(plain, List.of());
        float[] styled = made(plain, List.of(LoraUse.of(style, 0.5)));
        for (List<LoraUse> loras : List.of(List.of(LoraUse.of(words, 1)), List.of(LoraUse.of(style, 0.5), LoraUse.of(words, 1)), List.of(new LoraUse(style, 1, 0)))) {
            made(plain, loras);
            assertArrayEquals(styled, made(plain, List.of(LoraUse.of(style, 0.5))));
            assertArrayEquals(without, made(plain, List.of()));
        }
    }

    @Test
    void bothNetworksHaveScalesOfTheirOwn() {
        assertArrayEquals(made(plain, List.of()), made(plain, List.of(new LoraUse(style, 1, 0), new LoraUse(words, 0, 1))));
        assertArrayEquals(made(plain, List.of(LoraUse.of(style, 0.5), LoraUse.of(words, 1))),
                made(plain, List.of(new LoraUse(style, 7, 0.5), new LoraUse(words, 1, 7))));
    }

    @Test
    void aRequestsLorasComeOverThePipelines() {
        try (Pipeline own = builder(IdentityBudget.NONE).lora(words, 1).open()) {
            float[] alone = made(own, List.of());
            assertArrayEquals(made(plain, List.of(LoraUse.of(words, 1), LoraUse.of(style, 0.5))), made(own, List.of(LoraUse.of(style, 0.5))));
            assertArrayEquals(alone, made(own, List.of()));
            own.invert(FACES.getFirst(), "a person", 1, (phase, step, steps) -> { });
            assertArrayEquals(alone, made(own, List.of()));
        }
    }

    @Test
    void whatIsKeptOfAFaceIsKeptForItsLoras(@TempDir Path kept) {
        GenerationRequest.Builder request = request(FACES.getFirst(), "a happy person", 1);
        List<LoraUse> loras = List.of(LoraUse.of(style, 0.5));
        float[] without = latents(plain, request);
        float[] with = latents(plain, request.loras(loras));
        IdentityBudget inFolder = new IdentityBudget(0, 0, 1L << 30, kept);
        for (IdentityBudget budget : List.of(PLENTY, inFolder)) {
            try (Pipeline keeping = open(budget)) {
                for (int i = 0; i < 2; i++) {
                    assertArrayEquals(without, latents(keeping, request.loras(List.of())));
                    assertArrayEquals(with, latents(keeping, request.loras(loras)));
                }
                assertTrue(!Pictures.phases(keeping, request.loras(loras)).contains("inverting"), "the face is inverted once");
            }
        }
        try (Pipeline own = builder(inFolder).lora(style, 0.5).open()) {
            assertArrayEquals(with, latents(own, request.loras(List.of())));
        }
    }

    @Test
    void aTagIsNoWordAndMustBeGiven() {
        List<LoraUse> loras = new LoraFolder(folder).of("a happy person<lora:style:0.5>");
        assertArrayEquals(made(plain, List.of(LoraUse.of(style, 0.5))), latents(plain, request(null, "a happy person<lora:style:0.5>", 1).loras(loras)));
        assertEquals("<lora:other> in the prompt asks for a LoRA, and the request has none of that name; a LoraFolder finds those that a prompt asks for",
                assertThrows(InvalidRequestException.class, () -> plain.generate(request(null, "a <lora:other>", 1).loras(loras).build())).getMessage());
    }

    @Test
    void oneThatIsNotForThisModelEndsItsRequestAlone() {
        float[] without = made(plain, List.of());
        Path other = folder.resolve("other.safetensors");
        new SafetensorsWriter().add("lora_unet_conv_in.lora_down.weight", new long[] {1, 5, 3, 3}, new float[45])
                .add("lora_unet_conv_in.lora_up.weight", new long[] {320, 1, 1, 1}, new float[320]).write(other);
        String message = assertThrows(WeightException.class, () -> made(plain, List.of(LoraUse.of(other, 1)))).getMessage();
        assertTrue(message.startsWith(other + " does not fit the layer 'conv_in' of this model"), message);
        assertArrayEquals(without, made(plain, List.of()));
        Path missing = folder.resolve("missing.safetensors");
        assertEquals(missing + " does not exist", assertThrows(WeightException.class, () -> made(plain, List.of(LoraUse.of(missing, 1)))).getMessage());
        assertArrayEquals(without, made(plain, List.of()));
        assertEquals(other + " does not fit", assertThrows(WeightException.class, () -> builder(IdentityBudget.NONE).lora(other, 1).open()).getMessage()
                .replaceFirst(" the layer.*", ""));
    }

    @Test
    void whatIsNotUsedOfALoraIsToldOnce() {
        Path bundle = folder.resolve("bundle.safetensors");
        try (WeightSource source = Safetensors.open(style)) {
            SafetensorsWriter writer = new SafetensorsWriter();
            source.names().forEach(name -> writer.add(name, source.tensor(name).shape(), source.tensor(name).toFloats()));
            writer.add("bundle_emb.sks.string_to_param.*", new long[] {1, 4}, new float[4]).write(bundle);
        }
        String notice = bundle + ": the embeddings in it (sks) are left out; give them as files of their own";
        for (List<LoraUse> own : List.of(List.of(LoraUse.of(bundle, 0.5)), List.<LoraUse>of())) {
            List<String> notices = new ArrayList<>();
            Pipeline.Builder builder = builder(IdentityBudget.NONE).notices(notices::add);
            own.forEach(builder::lora);
            try (Pipeline pipeline = builder.open()) {
                assertEquals(own.size(), notices.size());
                builder.notices(another -> notices.add("of another pipeline: " + another));
                for (List<LoraUse> loras : List.of(List.of(LoraUse.of(words, 1)), List.<LoraUse>of(), List.of(LoraUse.of(bundle, 0.5)))) {
                    made(pipeline, loras);
                }
            }
            assertEquals(List.of(notice), notices);
        }
    }

    @Test
    void requestsOfOneBatchHaveTheSameLorasAndThoseOfAPoolNeedNot() {
        List<GenerationRequest> requests = new ArrayList<>();
        for (List<LoraUse> loras : List.of(List.<LoraUse>of(), List.of(LoraUse.of(style, 0.5)), List.<LoraUse>of(), List.of(LoraUse.of(words, 1)))) {
            requests.add(request(null, "a happy person", 1).loras(loras).build());
        }
        String message = assertThrows(InvalidRequestException.class, () -> plain.generate(requests)).getMessage();
        assertTrue(message.contains("LoRAs") && message.contains("style:0.5"), message);
        List<float[]> expected = requests.stream().map(request -> made(plain, request.loras())).toList();
        try (PipelinePool pool = PipelinePool.builder().pipeline(() -> open(IdentityBudget.NONE)).picturesPerBatch(4).build()) {
            List<CompletableFuture<GenerationResult>> results = requests.stream().map(pool::submit).toList();
            for (int i = 0; i < requests.size(); i++) {
                assertArrayEquals(expected.get(i), results.get(i).join().latents().getFirst().values());
            }
        }
    }
}
