package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PromptNoticesTest {

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
        assertEquals(Optional.of("the prompt is read word for word, " + found + " too: weights, BREAK and LoRAs mean nothing in a text"),
                PromptNotices.literal("prompt", prompt));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a red cube", "a cube (red)", "ratio 16:9", "(at 10:30 in the morning)", "coffee break", "BREAKFAST", "1 < 2", "<sks> person", ""})
    void otherTextsNeedNone(String prompt) {
        assertEquals(Optional.empty(), PromptNotices.literal("prompt", prompt));
    }

    @Test
    void aPastedMegabyteIsNoTrap() {
        assertEquals(Optional.empty(), PromptNotices.literal("prompt", "(:".repeat(500_000)));
        assertTrue(PromptNotices.cut("prompt", "word ".repeat(200_000), 77).length() < 200);
    }

    @Test
    void ofALongTextOnlyTheBeginningOfWhatWasCutIsShown() {
        assertEquals("the caption is longer than 77 tokens; 8 characters were cut from its end: red cube", PromptNotices.cut("caption", "red cube", 77));
        String message = PromptNotices.cut("prompt", "😀".repeat(100), 77);
        assertEquals("the prompt is longer than 77 tokens; 100 characters were cut from its end: " + "😀".repeat(60) + "…", message);
    }
}
