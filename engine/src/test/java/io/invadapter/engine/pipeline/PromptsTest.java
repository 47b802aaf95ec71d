package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.GenerationResult;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What texts make of pictures: weights, length, clip skip, textual inversions. */
class PromptsTest {
    private static final String LONG = "a portrait of a happy person, ".repeat(12);

    @TempDir
    private static Path folder;
    private static Pipeline pipeline;

    @BeforeAll
    static void openPipeline() {
        float[] vectors = new float[2 * 128];
        for (int i = 0; i < vectors.length; i++) {
            vectors[i] = (float) Math.sin(i);
        }
        Path file = folder.resolve("smile.safetensors");
        new SafetensorsWriter().add("<smile>", new long[] {2, 128}, vectors).write(file);
        pipeline = Pictures.builder(Pictures.PLENTY).embeddings(file).open();
    }

    @AfterAll
    static void closePipeline() {
        pipeline.close();
    }

    private static GenerationRequest.Builder prompt(String prompt) {
        return GenerationRequest.builder().prompt(prompt).steps(2).seed(3);
    }

    private static float[] latents(GenerationRequest.Builder request) {
        GenerationResult result = pipeline.generate(request.build());
        assertEquals(List.of(), result.warnings());
        return result.latents().getFirst().values();
    }

    private static void assertDiffer(float[] one, float[] other) {
        assertFalse(Arrays.equals(one, other));
    }

    @Test
    void aPromptWithoutSyntaxIsTheSameEitherWay() {
        float[] plain = latents(prompt("a happy person, red hat").promptSyntax(false));
        assertArrayEquals(plain, latents(prompt("a happy person, red hat")));
        assertArrayEquals(plain, latents(prompt("a (happy:1) person, red hat")));
    }

    @Test
    void weightsMeanSomethingOnlyAsSyntax() {
        float[] weighted = latents(prompt("a (happy:1.5) person"));
        assertDiffer(latents(prompt("a happy person")), weighted);
        assertDiffer(latents(prompt("a person").negativePrompt("(happy)")), latents(prompt("a person").negativePrompt("happy")));
        GenerationResult literal = pipeline.generate(prompt("a (happy:1.5) person").promptSyntax(false).build());
        assertDiffer(weighted, literal.latents().getFirst().values());
        assertEquals(List.of("the prompt is read word for word, (happy:1.5) too: weights, BREAK and LoRAs mean nothing in a text"), literal.warnings());
    }

    @Test
    void theEndOfALongPromptCountsWithAFaceToo() {
        assertDiffer(latents(prompt(LONG + "red hat")), latents(prompt(LONG + "blue hat")));
        assertDiffer(latents(prompt("a person").negativePrompt(LONG + "red hat")), latents(prompt("a person").negativePrompt(LONG + "blue hat")));
        assertDiffer(latents(prompt(LONG + "red hat").face(FACES.getFirst())), latents(prompt(LONG + "blue hat").face(FACES.getFirst())));
    }

    @Test
    void promptsOfDifferentLengthsMakeThePicturesTheyMakeAlone() {
        List<GenerationRequest.Builder> requests = List.of(prompt("a happy person").face(FACES.getFirst()), prompt(LONG).face(FACES.getFirst()), prompt("a sad person"));
        List<GenerationResult> together = pipeline.generate(requests.stream().map(GenerationRequest.Builder::build).toList());
        for (int i = 0; i < requests.size(); i++) {
            assertArrayEquals(latents(requests.get(i)), together.get(i).latents().getFirst().values());
        }
    }

    @Test
    void clipSkipCountsFromTheLastLayer() {
        float[] last = latents(prompt("a happy person"));
        assertArrayEquals(last, latents(prompt("a happy person").clipSkip(1)));
        assertDiffer(last, latents(prompt("a happy person").clipSkip(2)));
        GenerationRequest tooMany = prompt("a happy person").clipSkip(3).build();
        assertEquals("clip skip must be between 1 and 2, the layers of this model's text encoder, not 3",
                assertThrows(InvalidRequestException.class, () -> pipeline.generate(tooMany)).getMessage());
    }

    @Test
    void aPlaceholderMeansItsVectorsInEveryText() {
        float[] one = latents(prompt("a <smile> person").face(FACES.getFirst()));
        try (Pipeline without = Pictures.open(Pictures.PLENTY)) {
            assertDiffer(one, without.generate(prompt("a <smile> person").face(FACES.getFirst()).build()).latents().getFirst().values());
            GenerationRequest negative = prompt("a person").negativePrompt("<smile>").build();
            assertDiffer(latents(prompt("a person").negativePrompt("<smile>")), without.generate(negative).latents().getFirst().values());
            GenerationRequest caption = prompt("a person").face(FACES.getFirst()).caption("<smile>").build();
            assertDiffer(pipeline.generate(caption).latents().getFirst().values(), without.generate(caption).latents().getFirst().values());
        }
    }

    @Test
    void parametersSayWhatTextsWereReadWith() {
        String parameters = PictureParameters.of(prompt("a (b)").clipSkip(2).promptSyntax(false).build(), 0, pipeline, "m");
        assertEquals("a (b)\nSteps: 2, Sampler: DDIM, CFG scale: 3.5, Seed: 3, Size: 128x128, Model: m, Clip skip: 2, Emphasis: None", parameters);
    }
}
