package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.text.ClipTokenizer.Encoding;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;

class ClipTokenizerTest {

    private static final int START = 49406;
    private static final int END = 49407;
    private static final ClipTokenizer TOKENIZER = ClipTokenizer.bundled();

    /** A text and its 77 ids by Hugging Face's tokenizer; tokenizer/README.md says how they were made. */
    private record Reference(String text, int[] ids) {

        static List<Reference> all() throws IOException {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(
                    new GZIPInputStream(ClipTokenizerTest.class.getResourceAsStream("tokenizer/reference.txt.gz")), StandardCharsets.UTF_8))) {
                return lines.lines().map(Reference::parse).toList();
            }
        }

        private static Reference parse(String line) {
            String[] parts = line.split(";");
            int[] characters = numbers(parts[0], 16);
            int[] tokens = numbers(parts[1], 10);
            int[] ids = Arrays.copyOf(tokens, 77);
            Arrays.fill(ids, tokens.length, 77, END);
            return new Reference(new String(characters, 0, characters.length), ids);
        }

        private static int[] numbers(String text, int radix) {
            return Stream.of(text.split(" ")).filter(number -> !number.isEmpty()).mapToInt(number -> Integer.parseInt(number, radix)).toArray();
        }
    }

    @Test
    void agreesWithTheReference() throws IOException {
        List<Reference> references = Reference.all();
        assertEquals(581, references.size());
        for (Reference reference : references) {
            assertArrayEquals(reference.ids, TOKENIZER.encode(reference.text).ids(), () -> "of " + escaped(reference.text));
        }
    }

    @Test
    void hasTheVocabularyOfClip() {
        assertEquals(49408, TOKENIZER.vocabularySize());
        assertEquals(77, TOKENIZER.maxLength());
        assertArrayEquals(ids(START, 320, 1125, 539, 320, 2368, END), TOKENIZER.encode("a photo of a cat").ids());
    }

    @Test
    void anEmptyTextIsOnlyStartAndEnd() {
        for (String text : List.of("", " ", "\t\n\u00a0\u3000")) {
            Encoding encoding = TOKENIZER.encode(text);
            assertArrayEquals(ids(START, END), encoding.ids());
            assertEquals("", encoding.cut());
        }
    }

    @Test
    void halfASurrogatePairIsAReplacementCharacter() {
        assertArrayEquals(TOKENIZER.encode("a\ufffdb \ufffd").ids(), TOKENIZER.encode("a\ud800b \udc00").ids());
        assertArrayEquals(TOKENIZER.encode("\ufffd").ids(), TOKENIZER.encode("\ud83d").ids());
    }

    @Test
    void namesTheWordsThatWereCut() {
        String full = "cat ".repeat(75);
        assertEquals("", TOKENIZER.encode(full).cut());
        assertEquals("on a red sofa", TOKENIZER.encode(full + " On a   RED\nsofa  ").cut());
        assertEquals("<|endoftext|> dog", TOKENIZER.encode(full + "<|endoftext|> dog").cut());
        // A control character is a word to CLIP, although Java takes some of them for white space.
        assertEquals("\u001c", TOKENIZER.encode(full + "\u001c").cut());
    }

    @Test
    void aWordThatIsCutInHalfIsNamedWhole() {
        Encoding encoding = TOKENIZER.withMaxLength(4).encode("a disestablishmentarian, please");
        assertEquals("disestablishmentarian, please", encoding.cut());
        assertEquals(4, encoding.ids().length);
        assertNotEquals(END, encoding.ids()[2]);
        assertEquals(END, encoding.ids()[3]);
    }

    @Test
    void theMaximumLengthIsAParameter() {
        assertArrayEquals(new int[] {START, END}, TOKENIZER.withMaxLength(2).encode("cat").ids());
        assertArrayEquals(new int[] {START, 2368, END, END, END}, TOKENIZER.withMaxLength(5).encode("cat").ids());
        assertThrows(IllegalArgumentException.class, () -> TOKENIZER.withMaxLength(1));
    }

    @Test
    void anyCharactersGiveAnEncodingOfTheRightShape() {
        Random random = new Random(1);
        ClipTokenizer roomy = TOKENIZER.withMaxLength(1000);
        for (int i = 0; i < 3000; i++) {
            // Not code points: half of all surrogates come alone.
            String text = IntStream.range(0, random.nextInt(60)).map(k -> random.nextInt(1 << (random.nextBoolean() ? 7 : 16)))
                    .mapToObj(c -> String.valueOf((char) c)).collect(Collectors.joining());
            Encoding encoding = TOKENIZER.encode(text);
            int[] ids = encoding.ids();
            assertEquals(77, ids.length);
            assertEquals(START, ids[0]);
            assertEquals(END, ids[76]);
            assertTrue(Arrays.stream(ids).allMatch(id -> id >= 0 && id < 49408));
            int[] whole = roomy.encode(text).ids();
            assertEquals(-1, Arrays.mismatch(ids, 0, 76, whole, 0, 76), () -> escaped(text));
            assertEquals(whole[76] == END, encoding.cut().isEmpty(), () -> escaped(text));
        }
    }

    @Test
    void caseAndWhiteSpaceDoNotMatterAndEncodingIsIdempotent() {
        Random random = new Random(2);
        ClipTokenizer small = TOKENIZER.withMaxLength(12);
        ClipTokenizer roomy = TOKENIZER.withMaxLength(400);
        for (int i = 0; i < 2000; i++) {
            String text = randomAscii(random, 1 + random.nextInt(60));
            int[] ids = roomy.encode(text).ids();
            assertArrayEquals(ids, roomy.encode(text.toUpperCase()).ids(), text);
            assertArrayEquals(ids, roomy.encode("\u3000" + text.replace(" ", "\t \n") + " ").ids(), text);

            // What does not fit reads like what was given: cut to nothing it has the tokens of the whole text.
            assertArrayEquals(ids, roomy.encode(TOKENIZER.withMaxLength(2).encode(text).cut()).ids(), text);
            String cut = small.encode(text).cut();
            assertTrue(text.toLowerCase().strip().replaceAll(" +", " ").endsWith(cut), text);
            assertEquals(cut, roomy.withMaxLength(2).encode(cut).cut(), text);
        }
    }

    @Test
    void timeGrowsGentlyWithTheLengthOfAWord() {
        assertTimeout(Duration.ofSeconds(10), () -> {
            String word = new Random(3).ints(100_000, 'a', 'z' + 1).mapToObj(Character::toString).collect(Collectors.joining());
            for (String text : List.of(word, "x".repeat(100_000), "\ud83d\ude00".repeat(50_000), "<|".repeat(50_000), "cat ".repeat(50_000))) {
                assertFalse(TOKENIZER.encode(text).cut().isEmpty());
            }
        });
    }

    @Test
    void manyThreadsShareATokenizer() throws IOException {
        List<Reference> references = Reference.all();
        assertTrue(IntStream.range(0, 20 * references.size()).parallel().mapToObj(i -> references.get(i % references.size()))
                .allMatch(reference -> Arrays.equals(reference.ids, TOKENIZER.encode(reference.text).ids())));
    }

    private static int[] ids(int... first) {
        int[] ids = Arrays.copyOf(first, 77);
        Arrays.fill(ids, first.length, 77, END);
        return ids;
    }

    private static String randomAscii(Random random, int length) {
        String characters = "aaabcdeeefghiiijklmnooopqrstuvwxyz    '.,!?0123456789-ABC";
        return IntStream.range(0, length).mapToObj(i -> characters.charAt(random.nextInt(characters.length())))
                .map(String::valueOf).collect(Collectors.joining());
    }

    private static String escaped(String text) {
        return text.chars().mapToObj(c -> c >= ' ' && c < 0x7F ? String.valueOf((char) c) : String.format("\\u%04x", c))
                .collect(Collectors.joining("", "\"", "\""));
    }
}
