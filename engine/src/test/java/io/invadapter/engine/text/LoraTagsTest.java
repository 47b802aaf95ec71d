package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.base.InvalidRequestException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Prompts that were written for stable-diffusion-webui ask for the same LoRAs here. */
class LoraTagsTest {

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "<lora:style> | style | 1 | 1", "<lora:style:0.8> | style | 0.8 | 0.8", "<lora:my style v1.2:-.5> | my style v1.2 | -0.5 | -0.5",
        "<lora:style:0.5:1> | style | 0.5 | 1", "<lora:style:0> | style | 0 | 0", "<lyco:style:2> | style | 2 | 2",
        "<lora:style:te=0.5> | style | 0.5 | 0.5", "<lora:style:unet=0.5> | style | 1 | 0.5", "<lora:style:0.3:te=0.1:unet=0.2> | style | 0.1 | 0.2",
        "<lora:style:0.3:unet=0.2> | style | 0.3 | 0.2"})
    void theScalesAreWebuis(String written, String name, double textEncoder, double unet) {
        LoraTags found = LoraTags.cut("a cat, " + written + " in a hat");
        assertEquals("a cat,  in a hat", found.prompt());
        assertEquals(List.of(new LoraTags.Tag(written, name, textEncoder, unet)), found.tags());
    }

    @Test
    void severalAreInTheOrderOfThePrompt() {
        LoraTags found = LoraTags.cut("<lora:b:1>a (cat:1.2)<lora:a:0.5>\n<lora:b:1>");
        assertEquals("a (cat:1.2)\n", found.prompt());
        assertEquals(List.of("b", "a", "b"), found.tags().stream().map(LoraTags.Tag::name).toList());
    }

    @ParameterizedTest
    @ValueSource(strings = {"a cat", "1 < 2 > 0", "<sks> person", "<lora>", "<lora:>", "lora:x:1", "<lora:unfinished", "<hypernet:x:1>", ""})
    void otherTextsStayAsTheyAre(String prompt) {
        assertEquals(new LoraTags(prompt, List.of()), LoraTags.cut(prompt));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "<lora:style:much> | <lora:style:much>: 'much' is no number; expected <lora:name:0.8>",
        "<lora:style:NaN> | <lora:style:NaN>: 'NaN' is no number; expected <lora:name:0.8>",
        "<lora: :1> | <lora: :1> names no LoRA; expected <lora:name> or <lora:name:0.8>",
        "<lora:a:1:1:1> | <lora:a:1:1:1> has more than a name and two scales; expected <lora:name:0.8> or, for text encoder and UNet, <lora:name:0.5:1>"})
    void whatIsNoTagIsOneSentence(String prompt, String message) {
        assertEquals(message, assertThrows(InvalidRequestException.class, () -> LoraTags.cut(prompt)).getMessage());
    }
}
