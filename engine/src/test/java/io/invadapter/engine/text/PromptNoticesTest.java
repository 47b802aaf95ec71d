package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PromptNoticesTest {

    private static List<String> plain(String text) {
        return PromptNotices.plain("prompt", text, new ClipTokenizer.Encoding(new int[0], ""), 77);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "a (red:1.3) cube|(red:1.3)",
        "a ((red)(blue sky: .5 )) cube|(blue sky: .5 )",
        "a cube (bad:-1)|(bad:-1)",
        "a cube BREAK a sphere|BREAK",
        "a cube <lora:style_v2:0.8>|<lora:style_v2:0.8>",
        "<lora:a:1> (b:2) BREAK|<lora:a:1>, (b:2), BREAK",
        "(a:1) (b:2) (c:3) (d:4)|(a:1), (b:2), (c:3), …"})
    void instructionsOfOtherProgramsAreNamedOnce(String prompt, String found) {
        assertEquals(List.of("the prompt is read word for word, " + found + " too: weights, BREAK and LoRAs mean nothing in a text"), plain(prompt));
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "a [cat:dog:0.5];[cat:dog:0.5]",
        "a [dog:10] and [cat::3];[dog:10], [cat::3]",
        "a [cat|dog];[cat|dog]",
        "a cat AND a dog;AND",
        "a cat <hypernet:style>;<hypernet:style>"})
    void whatOnlyWebuiUnderstandsIsNamed(String prompt, String found) {
        assertEquals(List.of("in the prompt " + found + " is text: [from:to:when], [one|other], AND and LoRAs mean nothing in it"),
                PromptNotices.weighted("prompt", prompt));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a red cube", "a cube (red)", "ratio 16:9", "(at 10:30 in the morning)", "coffee break", "BREAKFAST", "1 < 2", "<sks> person", ""})
    void otherTextsNeedNone(String prompt) {
        assertEquals(List.of(), plain(prompt));
        assertEquals(List.of(), PromptNotices.weighted("prompt", prompt));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a (red:1.3) [cube] BREAK \\[a|b\\]", "[a: b]", "SANDY"})
    void whatIsUnderstoodNeedsNone(String prompt) {
        assertEquals(List.of(), PromptNotices.weighted("prompt", prompt));
    }

    @Test
    void aPastedMegabyteIsNoTrap() {
        for (String text : List.of("(:".repeat(500_000), "[|".repeat(500_000), "[:".repeat(500_000))) {
            assertEquals(List.of(), plain(text));
            assertEquals(List.of(), PromptNotices.weighted("prompt", text));
        }
        assertTrue(PromptNotices.cut("prompt", "word ".repeat(200_000), 77).length() < 200);
    }

    @Test
    void ofALongTextOnlyTheBeginningOfWhatWasCutIsShown() {
        assertEquals("the caption is longer than 77 tokens; 8 characters were cut from its end: red cube", PromptNotices.cut("caption", "red cube", 77));
        String message = PromptNotices.cut("prompt", "😀".repeat(100), 77);
        assertEquals("the prompt is longer than 77 tokens; 100 characters were cut from its end: " + "😀".repeat(60) + "…", message);
    }
}
