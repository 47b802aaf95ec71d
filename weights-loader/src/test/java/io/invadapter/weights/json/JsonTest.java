package io.invadapter.weights.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {

    @Test
    void readsEveryKindOfValue() {
        JsonValue json = Json.parse("""
                {"int": -12, "big": 9007199254740993, "real": 1.5e-3, "text": "a\\"\\u00e9\\ud83d\\ude00\\n",
                 "list": [1, [], {}], "yes": true, "no": false, "nothing": null}
                """);
        assertEquals(-12, json.get("int").asInt());
        assertEquals(9007199254740993L, json.get("big").asLong());
        assertEquals(1.5e-3, json.get("real").asDouble());
        assertEquals(-12.0, json.get("int").asDouble());
        assertEquals(-12L, json.get("int").asNumber());
        assertEquals(1.5e-3, json.get("real").asNumber());
        assertEquals("a\"é😀\n", json.get("text").asString());
        assertEquals(3, json.get("list").asList().size());
        assertTrue(json.get("list").asList().get(1).asList().isEmpty());
        assertTrue(json.get("yes").asBoolean());
        assertFalse(json.get("no").asBoolean());
        assertTrue(json.get("nothing").isNull());
        assertTrue(json.find("nothing").isEmpty());
        assertTrue(json.find("missing").isEmpty());
        assertEquals(List.of("int", "big", "real", "text", "list", "yes", "no", "nothing"), List.copyOf(json.asObject().keySet()));
    }

    @Test
    void textOfAValueReadsBackAsTheSameValue() {
        JsonValue json = JsonValue.of(Map.of("a", List.of(1, 2.5, "x\u0001\\\"\t"), "b", Map.of("c", true)), "made");
        assertEquals(json, Json.parse(json.toString()));
    }

    @Test
    void aByteOrderMarkAndPythonsOtherNumbersAreRead() {
        JsonValue json = Json.parse("\uFEFF {\"a\": NaN, \"b\": -Infinity, \"c\": [Infinity]}");
        assertTrue(Double.isNaN(json.get("a").asDouble()));
        assertEquals(Double.NEGATIVE_INFINITY, json.get("b").asDouble());
        assertEquals(Double.POSITIVE_INFINITY, json.get("c").asList().getFirst().asDouble());
        assertEquals("{\"a\": NaN, \"b\": -Infinity, \"c\": [Infinity]}", json.toString());
        assertEquals("the text: a is NaN where an integer is expected",
                assertThrows(WeightException.class, () -> json.get("a").asInt()).getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "`{\"a\":1,\"a\":2}`|the key \"a\" occurs twice",
        "`{\"a\":1,}`|expected a string but found '}'",
        "[1,]|expected a value but found ']'",
        "`[1 2]`|expected ',' or ']' but found '2'",
        "`{\"a\" 1}`|expected ':' but found '1'",
        "01|expected the end but found '1'",
        "-|expected a digit",
        "1.|expected a digit",
        "1e|expected a digit",
        "1e999|is too large",
        "nan|expected null",
        "-NaN|expected a digit",
        "-Inf|expected Infinity",
        "trux|expected true",
        "`\"a`|a string without an end",
        "`\"\\x\"`|an unknown escape",
        "`\"\\u12g4\"`|four hexadecimal digits",
        "`\"\\ud800\"`|half a surrogate pair",
        "`\"\\udc00\"`|half a surrogate pair",
        "`'a'`|expected a value",
        "``|expected a value but found the end",
        "`{} x`|expected the end but found 'x'"})
    void refusesWhatIsNotJson(String text, String problem) {
        String message = assertThrows(WeightException.class, () -> Json.parse(text)).getMessage();
        assertTrue(message.contains(problem), message);
    }

    @Test
    void errorsSayWhere() {
        assertEquals("x.json is not valid JSON at line 3, column 3: expected a value but found '?'",
                assertThrows(WeightException.class, () -> Json.parse("{\n\"a\":\n  ?}".getBytes(StandardCharsets.UTF_8), "x.json")).getMessage());
        JsonValue json = JsonValue.of(Map.of("blocks", List.of(1, "two"), "unet", Map.of("depth", 2.5)), "config.json");
        assertEquals("config.json: blocks[1] is \"two\" where an integer is expected",
                assertThrows(WeightException.class, () -> json.get("blocks").asList().get(1).asInt()).getMessage());
        assertEquals("config.json: unet.depth is 2.5 where an integer is expected",
                assertThrows(WeightException.class, () -> json.get("unet").get("depth").asInt()).getMessage());
        assertEquals("config.json has no \"vae\"", assertThrows(WeightException.class, () -> json.get("vae")).getMessage());
        assertEquals("config.json: blocks is an array where an object is expected",
                assertThrows(WeightException.class, () -> json.get("blocks").get("x")).getMessage());
    }

    @Test
    void limitsNestingAndNumbers() {
        Json.parse("[".repeat(64) + "]".repeat(64));
        assertThrows(WeightException.class, () -> Json.parse("[".repeat(65) + "]".repeat(65)));
        assertThrows(WeightException.class, () -> Json.parse("[".repeat(1_000_000)));
        assertThrows(WeightException.class, () -> Json.parse("1".repeat(1_000_000)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0xFF, 0xC0, 0x80, 0xED, 0x1F})
    void refusesBytesThatAreNotUtf8OrControlCharacters(int b) {
        byte[] bytes = {'"', 'a', (byte) b, 'b', '"'};
        assertThrows(WeightException.class, () -> Json.parse(bytes, "bytes"));
    }

    @Test
    void readsALargeVocabularyQuickly(@TempDir Path folder) throws Exception {
        StringBuilder text = new StringBuilder("{");
        for (int i = 0; i < 50_000; i++) {
            text.append(i == 0 ? "" : ", ").append("\"\\u0120token").append(i).append("</w>\": ").append(i);
        }
        Path file = Files.writeString(folder.resolve("vocab.json"), text.append('}'));
        assertTimeout(Duration.ofSeconds(2), () -> assertEquals(49_999, Json.read(file).get("Ġtoken49999</w>").asInt()));
    }

    @Test
    void aFileThatCannotBeReadIsNamed(@TempDir Path folder) throws Exception {
        Path missing = folder.resolve("config.json");
        assertEquals(missing + " does not exist", assertThrows(WeightException.class, () -> Json.read(missing)).getMessage());
        Path empty = Files.createFile(folder.resolve("empty.json"));
        assertTrue(assertThrows(WeightException.class, () -> Json.read(empty)).getMessage().startsWith(empty + " is not valid JSON"));
    }
}
