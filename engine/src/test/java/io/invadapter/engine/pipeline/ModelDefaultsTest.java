package io.invadapter.engine.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a model's folder recommends in invadapter.json is taken, and what no request could ask for is refused. */
class ModelDefaultsTest {
    @TempDir
    private Path folder;

    @Test
    void whatItNamesIsTaken() throws IOException {
        Files.writeString(folder.resolve("invadapter.json"), "{\"steps\": 20, \"guidance_scale\": 3.5, \"sampler\": \"UniPC\"}");
        assertEquals(new ModelDefaults(20, 3.5, "UniPC"), ModelDefaults.of(folder));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '\u0000', value = {
        "[] | invadapter.json is an array where an object is expected",
        "{\"steps\": 0} | invadapter.json: steps must be between 1 and 1000, not 0",
        "{\"steps\": -1} | invadapter.json: steps must be between 1 and 1000, not -1",
        "{\"steps\": 1000000000} | invadapter.json: steps must be between 1 and 1000, not 1000000000",
        "{\"steps\": 99999999999} | invadapter.json: steps is 99999999999 where an integer of 32 bits is expected",
        "{\"steps\": 2.5} | invadapter.json: steps is 2.5 where an integer is expected",
        "{\"steps\": [20]} | invadapter.json: steps is an array where an integer is expected",
        "{\"guidance_scale\": NaN} | invadapter.json: guidance must be between 0 and 100, not NaN",
        "{\"guidance_scale\": -Infinity} | invadapter.json: guidance must be between 0 and 100, not -Infinity",
        "{\"guidance_scale\": 1e300} | invadapter.json: guidance must be between 0 and 100, not 1.0E300",
        "{\"guidance_scale\": \"7\"} | invadapter.json: guidance_scale is \"7\" where a number is expected",
        "{\"sampler\": 7} | invadapter.json: sampler is 7 where a string is expected",
        "{\"steps\": 5, \"steps\": 6} | invadapter.json is not valid JSON at line 1, column 14: the key \"steps\" occurs twice",
        "{\"a\": | invadapter.json is not valid JSON at line 1, column 6: expected a value but found the end"})
    void whatNoRequestCouldAskForIsRefused(String json, String sentence) throws IOException {
        Files.writeString(folder.resolve("invadapter.json"), json);
        String message = assertThrows(WeightException.class, () -> ModelDefaults.of(folder)).getMessage();
        assertTrue(message.startsWith(folder + "/" + sentence), message);
    }
}
