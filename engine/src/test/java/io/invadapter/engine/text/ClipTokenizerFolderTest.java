package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.Json;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Folders with a vocabulary of three merges. The expected ids are those of Hugging Face's CLIPTokenizer (transformers 5.18.0)
 * of the same folders.
 */
class ClipTokenizerFolderTest {

    private static final List<String> MERGES = List.of("l o", "lo w</w>", "e r</w>");
    private static final String CAT = "\"content\": \"<Cat>\", \"lstrip\": false, \"rstrip\": false, \"single_word\": false, \"special\": false";

    @TempDir
    Path folder;
    private final List<String> notices = new ArrayList<>();

    @Test
    void readsVocabularyAndMerges() {
        writeVocabularyAndMerges();
        assertPlain(77);
    }

    @Test
    void readsTokenizerJsonWithMergesAsStrings() {
        write("tokenizer.json", tokenizerJson(MERGES.stream().map(Json::quote).collect(Collectors.joining(", "))));
        assertPlain(77);
    }

    @Test
    void readsTokenizerJsonWithMergesAsPairs() {
        write("tokenizer.json", tokenizerJson("[\"l\", \"o\"], [\"lo\", \"w</w>\"], [\"e\", \"r</w>\"]"));
        assertPlain(77);
    }

    @Test
    void acceptsWindowsLineEndsAndNoLastLineEnd() {
        writeVocabularyAndMerges();
        write("merges.txt", "#version: 0.2\r\n" + String.join("\r\n", MERGES));
        assertPlain(77);
    }

    @Test
    void takesTheMaximumLengthFromTheConfiguration() {
        writeVocabularyAndMerges();
        write("tokenizer_config.json", "{\"model_max_length\": 20, \"do_lower_case\": true}");
        assertPlain(20);
    }

    @Test
    void aHugeMaximumLengthMeansNoneIsKnown() {
        writeVocabularyAndMerges();
        write("tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656}");
        assertPlain(77);
    }

    @Test
    void padsWithThePadTokenOfTheSpecialTokensMap() {
        writeVocabularyAndMerges();
        write("tokenizer_config.json", "{\"pad_token\": \"<|endoftext|>\"}");
        write("special_tokens_map.json", "{\"pad_token\": {\"content\": \"!\", \"normalized\": false}}");
        // The pad token written in the text is the pad token too, as for any special token.
        assertIds("low! <|endoftext|>er", 515, 513, 33, 516, 514, 516, 33, 33, 33, 33);
    }

    @Test
    void findsSpecialTokensInLowerCasedTextWhereTheConfigurationSaysSo() {
        writeVocabularyAndMerges();
        assertIds("Low <|EndOfText|>!", 515, 513, 60, 380, 101, 110, 100, 111, 102, 516);
        write("tokenizer_config.json", "{\"bos_token\": {\"__type\": \"AddedToken\", \"content\": \"<|startoftext|>\", \"normalized\": true}, "
                + List.of("eos_token", "unk_token", "pad_token").stream()
                        .map(name -> Json.quote(name) + ": {\"__type\": \"AddedToken\", \"content\": \"<|endoftext|>\", \"normalized\": true}")
                        .collect(Collectors.joining(", ")) + "}");
        assertIds("Low <|EndOfText|>!", 515, 513, 516, 289, 516, 516, 516, 516, 516, 516);
    }

    @Test
    void findsAddedTokens() {
        writeVocabularyAndMerges();
        assertIds("<Cat> <cat>", 515, 316, 99, 97, 372, 318, 316, 99, 97, 516);
        write("added_tokens.json", "{\"<Cat>\": 517}");
        assertIds("<Cat> <cat>", 515, 517, 517, 516, 516, 516, 516, 516, 516, 516);
        assertEquals(518, ClipTokenizer.fromFolder(folder, notices::add).vocabularySize());
    }

    @Test
    void theNewerConfigurationOverrulesOlderFiles() {
        writeVocabularyAndMerges();
        write("special_tokens_map.json", "{\"pad_token\": \"!\"}");
        write("tokenizer_config.json", "{\"pad_token\": \"<|endoftext|>\", \"added_tokens_decoder\": {\"517\": {" + CAT + ", \"normalized\": true}}}");
        assertIds("<Cat> <cat>", 515, 517, 517, 516, 516, 516, 516, 516, 516, 516);
        assertIds("low! <|endoftext|>er", 515, 513, 289, 516, 514, 516, 516, 516, 516, 516);
    }

    @Test
    void bytesThatTheVocabularyLacksAreUnknown() {
        writeVocabularyAndMerges();
        write("vocab.json", vocabulary().replace("\"q\": ", "\"not q\": "));
        assertIds("qqz", 515, 516, 516, 378, 516, 516, 516, 516, 516, 516);
    }

    @Test
    void namesWhatIsMissing() {
        assertError("vocab.json does not exist");
        write("vocab.json", vocabulary());
        assertError("merges.txt does not exist");
    }

    @Test
    void aLinkWithoutAFileIsNotTakenForAFileThatIsNotThere() throws IOException {
        writeVocabularyAndMerges();
        Files.createSymbolicLink(folder.resolve("tokenizer_config.json"), Path.of("blobs/0123"));
        assertError("tokenizer_config.json is a link to " + Path.of("blobs/0123") + ", which does not exist");
    }

    @Test
    void namesTheLineOfAMalformedMerge() {
        writeVocabularyAndMerges();
        for (String malformed : List.of("lower", "l o w", " low", "low ")) {
            write("merges.txt", "#version: 0.2\nl o\n" + malformed + "\ne r</w>\n");
            assertError("merges.txt line 3 is \"" + malformed + "\" where two symbols with a space between are expected");
        }
    }

    @Test
    void namesTheMergeThatTheVocabularyLacks() {
        writeVocabularyAndMerges();
        write("merges.txt", "#version: 0.2\nl o\nl l\n");
        assertError("merges.txt line 3 needs \"ll\", which is not in the vocabulary");
        write("tokenizer.json", tokenizerJson("\"l o\", [\"l\", \"l\"]"));
        assertError("tokenizer.json: model.merges[1] needs \"ll\", which is not in the vocabulary");
    }

    @Test
    void saysThatAFileIsNotText() throws IOException {
        writeVocabularyAndMerges();
        Files.write(folder.resolve("merges.txt"), new byte[] {'l', ' ', (byte) 0xFF, '\n'});
        assertError("merges.txt is not valid UTF-8");
    }

    @Test
    void saysWhereJsonIsWrong() {
        writeVocabularyAndMerges();
        write("vocab.json", "{\"a\": 0,\n\"b\" 1}");
        assertError("vocab.json is not valid JSON at line 2");
        write("vocab.json", "{\"a\": \"zero\"}");
        assertError("vocab.json: a is \"zero\" where an integer is expected");
        writeVocabularyAndMerges();
        write("tokenizer_config.json", "{\"pad_token\": 3}");
        assertError("tokenizer_config.json: pad_token is 3 where a string is expected");
        write("tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {" + CAT + "}}}");
        assertError("tokenizer_config.json: added_tokens_decoder.x is named \"x\" where a token id is expected");
    }

    @Test
    void refusesOtherKindsOfTokenizer() {
        write("tokenizer.json", "{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}");
        assertError("tokenizer.json: model.type is \"Unigram\" where \"BPE\" is expected");
    }

    @Test
    void refusesASpecialTokenWithoutAnId() {
        writeVocabularyAndMerges();
        write("tokenizer_config.json", "{\"pad_token\": \"<pad>\"}");
        assertError("names the special token \"<pad>\", which is not in its vocabulary");
    }

    private void assertPlain(int length) {
        ClipTokenizer tokenizer = ClipTokenizer.fromFolder(folder, notices::add);
        assertEquals(length, tokenizer.maxLength());
        assertEquals(517, tokenizer.vocabularySize());
        int[] ids = new int[length];
        Arrays.fill(ids, 516);
        ids[0] = 515;
        ids[1] = 513;
        ids[2] = 289;
        ids[4] = 514;
        assertArrayEquals(ids, tokenizer.encode("low! <|endoftext|>er").ids());
    }

    private void assertIds(String text, int... ids) {
        assertArrayEquals(ids, ClipTokenizer.fromFolder(folder, notices::add).withMaxLength(ids.length).encode(text).ids());
    }

    private void assertError(String part) {
        String message = assertThrows(WeightException.class, () -> ClipTokenizer.fromFolder(folder, notices::add)).getMessage();
        assertTrue(message.contains(folder.toString()) && message.contains(part), message);
    }

    private void writeVocabularyAndMerges() {
        write("vocab.json", vocabulary());
        write("merges.txt", "#version: 0.2\n" + String.join("\n", MERGES) + "\n");
    }

    private String tokenizerJson(String merges) {
        return "{\"added_tokens\": [{\"id\": 515, \"content\": \"<|startoftext|>\", \"normalized\": false}, {\"id\": 516, \"content\": "
                + "\"<|endoftext|>\", \"normalized\": false}], \"model\": {\"type\": \"BPE\", \"vocab\": " + vocabulary() + ", \"merges\": ["
                + merges + "]}}";
    }

    /** The characters for the bytes in the order of the bytes, the same at the end of a word, the merges, the special tokens. */
    private static String vocabulary() {
        List<String> symbols = new ArrayList<>();
        for (String end : List.of("", "</w>")) {
            int moved = 0x100;
            for (int b = 0; b < 256; b++) {
                boolean visible = b > ' ' && b < 0x7F || b > 0xA0 && b != 0xAD;
                symbols.add(Character.toString(visible ? b : moved++) + end);
            }
        }
        MERGES.forEach(merge -> symbols.add(merge.replace(" ", "")));
        symbols.add("<|startoftext|>");
        symbols.add("<|endoftext|>");
        return IntStream.range(0, symbols.size()).mapToObj(id -> Json.quote(symbols.get(id)) + ": " + id)
                .collect(Collectors.joining(", ", "{", "}"));
    }

    private void write(String name, String content) {
        try {
            Files.writeString(folder.resolve(name), content, StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
