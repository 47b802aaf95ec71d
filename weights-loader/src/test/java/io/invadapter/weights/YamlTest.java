package io.invadapter.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
        "1, 1", "-7, -7", "1_000, 1000", "0.00085, 8.5E-4", "1.0e-4, 1.0E-4", "1e-4, 1.0E-4", "1.E+2, 100.0", ".5, 0.5", "true, true", "False, false",
        "no, false", "On, true", "~, null", "null, null", "'', null", "text, '\"text\"'", "0x10, '\"0x10\"'", "010, '\"010\"'", "'\"1\"', '\"1\"'",
        "'''it''''s''', '\"it''s\"'", "a # comment, '\"a\"'", "a#b, '\"a#b\"'", "'[1, 2,3]', '[1, 2, 3]'", "'{a: b, c: [], \"d\":1, e: }', '{\"a\": \"b\", \"c\": [], \"d\": 1, \"e\": null}'",
        "'[ [1], {x: -1} ,]', '[[1], {\"x\": -1}]'", "'*other', '\"*other\"'", "'&here 5', 5", "'!!float 5', '\"!!float 5\"'",
        "'http://x:80/y', '\"http://x:80/y\"'", "'\t0.5\t', 0.5"})
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
        assertEquals(expected, parse("%YAML 1.1\n---\n" + text + "...\nanything: at all: here\n").toString());
    }

    @Test
    void textsOfManyLinesAreNoKeys() {
        assertEquals("{\"note\": \"|\\n  linear_start: 1\\n\\n   x\", \"next\": 2}", parse("note: |\n  linear_start: 1\n\n   x\nnext: 2").toString());
        assertEquals("{\"a\": {\"note\": \">-\\n    b: 1\"}}", parse("a:\n  note: >-\n    b: 1").toString());
    }

    @Test
    void nothingIsNull() {
        assertTrue(parse("").isNull());
        assertTrue(parse("# only a comment\n\n").isNull());
        assertTrue(parse("---\n").isNull());
    }

    @ParameterizedTest
    @CsvSource({
        "'a: 1\n\tb: 2', 'model.yaml, line 2: the line is indented by a tab; expected spaces'",
        "'a: 1\n  b: 2', 'model.yaml, line 2: the line is indented deeper than the one it belongs to'",
        "'a:\n    b: 1\n  c: 2', 'model.yaml, line 3: the line is indented deeper than the one it belongs to'",
        "'a: 1\nb', 'model.yaml, line 2: not understood: ''b'' where ''key: value'' is expected'",
        "'a: 1\na: 2', 'model.yaml, line 2: the key \"a\" is there twice'",
        "'a: [1, 2', 'model.yaml, line 1: a comma or '']'' is expected before '''''",
        "'a: {b: 1', 'model.yaml, line 1: a comma or ''}'' is expected before '''''",
        "'a: [1] 2', 'model.yaml, line 1: not understood from ''2'' on'",
        "'a: \"b', 'model.yaml, line 1: a closing \" is missing'",
        "'a: {1}', 'model.yaml, line 1: a colon is expected behind the key \"1\"'"})
    void mistakesSayTheirLine(String text, String message) {
        assertEquals(message, assertThrows(WeightException.class, () -> parse(text)).getMessage());
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
                assertTrue(e.getMessage().startsWith("model.yaml, line "), e.getMessage());
            }
        }
    }
}
