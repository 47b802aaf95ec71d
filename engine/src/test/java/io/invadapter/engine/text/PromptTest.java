package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.base.RelativeError;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.model.ModelFiles;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Against stable-diffusion-webui's reading of the same prompts; prompts/README.md says how the numbers were made. */
class PromptTest {
    private static final int CHANNELS = 128;
    private static final List<TextualInversion> INVERSIONS = List.of(inversion("<sks>", 3, 5), inversion("amber-style", 2, 11));
    private static final ClipTokenizer TOKENIZER = ClipTokenizer.bundled().withPlaceholders(INVERSIONS, 49408);

    private record Reference(int clipSkip, String prompt, List<int[]> ids, List<float[]> weights, float[] states) {

        static List<Reference> all() throws IOException {
            try (BufferedReader in = new BufferedReader(new InputStreamReader(PromptTest.class.getResourceAsStream("prompts/prompts.txt"),
                    StandardCharsets.UTF_8))) {
                List<String> lines = in.lines().toList();
                List<Reference> all = new ArrayList<>();
                for (int i = 0; i < lines.size(); i += 4) {
                    all.add(parse(Integer.parseInt(lines.get(i)), lines.get(i + 1), lines.get(i + 2), lines.get(i + 3)));
                }
                return all;
            }
        }

        private static Reference parse(int clipSkip, String prompt, String chunks, String states) {
            List<int[]> ids = new ArrayList<>();
            List<float[]> weights = new ArrayList<>();
            for (String chunk : chunks.split(";", -1)) {
                int[] id = new int[77];
                float[] weight = new float[77];
                Arrays.fill(id, 49407);
                Arrays.fill(weight, 1);
                id[0] = 49406;
                int at = 1;
                for (String token : chunk.isEmpty() ? new String[0] : chunk.split(" ")) {
                    String[] parts = token.split("@");
                    id[at] = Integer.parseInt(parts[0]);
                    weight[at++] = parts.length == 1 ? 1 : Float.parseFloat(parts[1]);
                }
                ids.add(id);
                weights.add(weight);
            }
            float[] values = new float[states.split(" ").length];
            for (int i = 0; i < values.length; i++) {
                values[i] = Float.parseFloat(states.split(" ")[i]);
            }
            return new Reference(clipSkip, prompt, ids, weights, values);
        }
    }

    private static TextualInversion inversion(String placeholder, int count, int shift) {
        float[] vectors = new float[count * CHANNELS];
        for (int i = 0; i < vectors.length; i++) {
            vectors[i] = (float) (((i * 37 + shift) % 101 - 50) / 1000.0);
        }
        return new TextualInversion(placeholder, vectors, CHANNELS, Path.of(placeholder));
    }

    private static Prompt weighted(String text) {
        return Prompt.weighted("prompt", text, TOKENIZER);
    }

    @Test
    void chunksAndWeightsAreWebuis() throws IOException {
        List<Reference> references = Reference.all();
        assertEquals(30, references.size());
        for (Reference reference : references) {
            List<Prompt.Chunk> chunks = weighted(reference.prompt).chunks();
            assertEquals(reference.ids.size(), chunks.size(), reference.prompt);
            for (int i = 0; i < chunks.size(); i++) {
                assertArrayEquals(reference.ids.get(i), chunks.get(i).ids(), reference.prompt);
                float[] ones = new float[77];
                Arrays.fill(ones, 1);
                float[] weights = chunks.get(i).weights() == null ? ones : chunks.get(i).weights();
                assertArrayEquals(reference.weights.get(i), weights, 1e-6f, reference.prompt);
            }
        }
    }

    @Test
    void statesAreWebuis() throws IOException {
        withEncoder(encoder -> {
            for (Reference reference : Reference.all()) {
                List<Float> sampled = new ArrayList<>();
                int token = 0;
                for (Prompt.Chunk chunk : weighted(reference.prompt).chunks()) {
                    float[] states = chunk.encode(encoder, reference.clipSkip);
                    for (int i = 0; i < 77; i++, token++) {
                        for (int c = 0; c < 4 && token % 19 == 0; c++) {
                            sampled.add(states[i * CHANNELS + c]);
                        }
                    }
                }
                float[] found = new float[sampled.size()];
                for (int i = 0; i < found.length; i++) {
                    found[i] = sampled.get(i);
                }
                double error = RelativeError.of(found, reference.states);
                // The mean that is restored is a small difference of large numbers.
                boolean weighted = reference.prompt.matches(".*[(\\[].*");
                assertTrue(error < (weighted ? 1e-4 : 2e-5), reference.prompt + ": " + error);
            }
        });
    }

    /** transformers' pooler_output and, with a projection, text_embeds. */
    @Test
    void theStateAtTheEndTokenStandsForTheText() throws IOException {
        float[] pooled = {0.0231766f, 0.2976376f, -0.081514f, -0.2040122f, 0.0622956f, -0.0032336f};
        withEncoder(encoder -> {
            float[] found = encoder.pooled(TOKENIZER.encode("a portrait of a happy person").ids(), TOKENIZER.end());
            assertEquals(CHANNELS, found.length);
            assertArrayEquals(pooled, Arrays.copyOf(found, 6), 1e-5f);
        });
        float[] projected = {-0.0722091f, -0.6315377f, -0.3040856f, 0.0693703f, 0.1039808f, 0.6310706f};
        try (ModelFiles files = ModelFiles.open(BundledModel.directory()); Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            ClipTextEncoder encoder = ClipTextEncoder.load(ClipTextConfig.of(files.textEncoderConfig(), notice -> { }),
                    new Projected(files.textEncoder()), device);
            assertArrayEquals(projected, encoder.pooled(TOKENIZER.encode("a portrait of a happy person").ids(), TOKENIZER.end()), 1e-5f);
        }
    }

    private interface Use {
        void of(ClipTextEncoder encoder) throws IOException;
    }

    private static void withEncoder(Use use) throws IOException {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory()); Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            ClipTextConfig config = ClipTextConfig.of(files.textEncoderConfig(), notice -> { }).with(INVERSIONS);
            use.of(ClipTextEncoder.load(config, files.textEncoder(), device));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a red hat, blue background; 16:9", "<sks> person"})
    void withoutSyntaxItIsTheTextWordForWord(String text) {
        assertEquals(Prompt.plain("prompt", text, TOKENIZER).chunks(), weighted(text).chunks());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "(a BREAK b:1.2)|1.2 BREAK 1.2", // webui takes this BREAK for a word
        "a\\\\(b)|1.0 1.1", // an escaped backslash, not a bracket
        "(a:1.2.3)|1.1", "(a:..)|1.1"}) // webui fails here
    void whereWebuiHasNoAnswer(String text, String weights) {
        assertEquals(weights, PromptSyntax.parse("prompt", text).stream().filter(span -> span.isBreak() || !span.text().isBlank())
                .map(span -> span.isBreak() ? "BREAK" : String.valueOf((float) span.weight())).collect(Collectors.joining(" ")));
    }

    @ParameterizedTest
    @CsvSource({"55, 56", "54, 75"})
    void aCommaCountsUpToTwentyTokensBeforeTheEndOfAChunk(int wordsBefore, int tokens) {
        Prompt prompt = weighted("word ".repeat(wordsBefore) + ", " + "word ".repeat(30));
        assertEquals(2, prompt.chunks().size());
        assertEquals(tokens, Arrays.stream(prompt.chunks().getFirst().ids()).filter(id -> id < 49406).count());
    }

    @Test
    void theShorterTextIsFilledWithEmptyChunks() {
        Prompt two = weighted("a BREAK b").padded(3, TOKENIZER);
        assertEquals(Stream.of("a", "b", "").map(text -> weighted(text).chunks().getFirst()).toList(), two.chunks());
        assertEquals(weighted("a BREAK b"), weighted("a BREAK b").padded(1, TOKENIZER));
    }

    @Test
    void whatIsTooMuchIsRefusedInASentence() {
        refused("the prompt is longer than 32 chunks of 75 tokens", "word ".repeat(75 * 32 + 1));
        refused("the prompt is longer than 32 chunks of 75 tokens", "BREAK ".repeat(33));
        assertEquals(32, weighted("word ".repeat(75 * 32)).chunks().size());
        refused("the prompt has more than 100 brackets inside one another", "(".repeat(101));
        refused("the prompt gives a word the weight 1.0E9; expected at most 1000", "(a:1000000000)");
        refused("the prompt gives a word the weight Infinity; expected at most 1000", "(a:1" + "0".repeat(400) + ")");
    }

    @Test
    void aPastedMegabyteIsNoTrap() {
        assertTimeout(Duration.ofSeconds(20), () -> {
            for (String piece : List.of("(a) ", "\\(", "[(a:1.1)]", "a: ", "   ", "BREAKF ")) {
                PromptSyntax.parse("prompt", piece.repeat(1_000_000 / piece.length()));
            }
        });
    }

    private static void refused(String sentence, String text) {
        assertEquals(sentence, assertThrows(InvalidRequestException.class, () -> weighted(text)).getMessage());
    }
}
