package io.invadapter.weights.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class YamlTest {

    private static JsonValue parse(String text) {
        return Yaml.parse(text, "model.yaml");
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1", "-7, -7", "0.00085, 8.5E-4", "1.0e-4, 1.0E-4", "1e-4, 1.0E-4", "1.E+2, 100.0", ".5, 0.5", "true, true", "False, false",
        "~, null", "null, null", "'', null", "text, '\"text\"'", "010, 10", "'\"1\"', '\"1\"'", "10000000000000000000000, 1.0E22",
        "a # comment, '\"a\"'", "a#b, '\"a#b\"'", "'[1, 2,3]', '[1, 2, 3]'", "'{a: b, c: [], \"d\":1, e: }', '{\"a\": \"b\", \"c\": [], \"d\": 1, \"e\": null}'",
        "'&here 5', 5", "'{1: 2}', '{\"1\": 2}'", "'http://x:80/y', '\"http://x:80/y\"'"})
    void values(String written, String json) {
        assertEquals("{\"key\": " + json + "}", parse("key: " + written).toString());
    }

    @Test
    void blocksOfAnyIndentation() {
        String expected = "{\"model\": {\"base\": 1.0E-6, \"params\": {\"list\": [4, 2], \"items\": [{\"a\": 1, \"b\": [2]}, \"c\", null], \"text\": \"two lines\", \"last\": null}}, \"data\": [1]}";
        String text = """
                # a comment
                model:   # another
                  base: 1.0e-06

                  params:
                      "list": [ 4,   # of levels
                        2 ]
                      'items':
                      - a: 1
                        b:
                        - 2
                      - c
                      -
                      text: two
                        lines
                   # indented as it likes
                      last:
                data:
                    - 1
                """;
        assertEquals(expected, parse(text).toString());
        assertEquals(expected, parse(text.replace("\n", "\r\n")).toString());
        assertEquals(expected, parse("\uFEFF" + text.stripTrailing()).toString());
        assertEquals(expected, parse("%YAML 1.1\n---\n" + text + "...\n").toString());
    }

    @Test
    void textsOfManyLinesAreNoKeys() {
        assertEquals("{\"note\": \"linear_start: 1\\n\\n x\\n\", \"next\": 2}", parse("note: |\n  linear_start: 1\n\n   x\nnext: 2").toString());
    }

    @Test
    void nothingIsNull() {
        assertTrue(parse("").isNull());
        assertTrue(parse("# only a comment\n\n").isNull());
        assertTrue(parse("---\n").isNull());
    }

    @ParameterizedTest
    @ValueSource(strings = {"a: 1\n\tb: 2", "a: 1\n  b: 2", "a:\n    b: 1\n  c: 2", "a: 1\nb", "a: 1\na: 2", "a: [1, 2", "a: {b: 1", "a: [1] 2", "a: \"b",
        "a: &x [*x]", "a: &x 1\nb: *x", "a: !!java.io.File /x", "a: !!float x", "a: 1\n---\nb: 2", "a: \0", "? [1]\n: 2"})
    void mistakesAreOneSentence(String text) {
        String message = assertThrows(WeightException.class, () -> parse(text)).getMessage();
        assertTrue(message.matches("model.yaml(, line \\d)? cannot be read as YAML: .+"), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"[", "{a: ", "- "})
    void nestingIsLimited(String opening) {
        String message = assertThrows(WeightException.class, () -> parse(opening.repeat(100_000))).getMessage();
        assertTrue(message.contains("nested more than 50 levels deep"), message);
    }

    @Test
    void damageIsReadOrRefusedInOneSentence() {
        String text = "model:\n  params: {a: [1, 2], 'b': \"x\"}\n  list:\n  - 1\n  - c: |\n      t\n    d: &x 1e-4 # y\n";
        Random random = new Random(1);
        for (int i = 0; i < 20_000; i++) {
            StringBuilder damaged = new StringBuilder(text);
            for (int change = random.nextInt(4); change >= 0 && !damaged.isEmpty(); change--) {
                int at = random.nextInt(damaged.length());
                switch (random.nextInt(3)) {
                    case 0 -> damaged.deleteCharAt(at);
                    case 1 -> damaged.insert(at, "[]{}:,#-'\"|>\n \t&*%".charAt(random.nextInt(18)));
                    default -> damaged.setLength(at);
                }
            }
            try {
                parse(damaged.toString()).toString();
            } catch (WeightException e) {
                assertTrue(e.getMessage().matches("model.yaml(, line \\d+)? cannot be read as YAML: .+"), e.getMessage());
            }
        }
    }
}
