package io.invadapter.weights.json;

import io.invadapter.weights.WeightException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.events.AliasEvent;
import org.snakeyaml.engine.v2.events.CollectionEndEvent;
import org.snakeyaml.engine.v2.events.CollectionStartEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.parser.ParserImpl;
import org.snakeyaml.engine.v2.scanner.StreamReader;
import org.snakeyaml.engine.v2.schema.CoreSchema;

/** YAML as a {@link JsonValue}: one document of YAML 1.2, of plain values only. */
public final class Yaml {

    private static final int MAX_DEPTH = 50;

    private Yaml() {
    }

    /**
     * Reads a file.
     *
     * @return {@code null} as a value when nothing is in it
     * @throws WeightException if there is no such file, or it is not understood
     */
    public static JsonValue read(Path file) {
        return parse(new String(Json.bytes(file, "a configuration"), StandardCharsets.UTF_8), file.toString());
    }

    /** @param name what messages call the text */
    static JsonValue parse(String text, String name) {
        LoadSettings settings = LoadSettings.builder().setLabel(name).setSchema(new CoreSchema()).setCodePointLimit(Integer.MAX_VALUE).build();
        try {
            int depth = 0;
            // Before it is built, which takes a frame of the stack for each level.
            for (ParserImpl events = new ParserImpl(settings, new StreamReader(settings, text)); events.hasNext(); ) {
                Event event = events.next();
                depth += event instanceof CollectionStartEvent ? 1 : event instanceof CollectionEndEvent ? -1 : 0;
                if (depth > MAX_DEPTH) {
                    throw wrong(name, event.getStartMark().orElse(null), "it is nested more than " + MAX_DEPTH + " levels deep");
                }
                if (event instanceof AliasEvent alias) {
                    throw wrong(name, event.getStartMark().orElse(null), "'*" + alias.getAlias() + "' stands for another place of the file; "
                            + "expected all values in place");
                }
            }
            return JsonValue.of(plain(new Load(settings).loadFromString(text)), name);
        } catch (MarkedYamlEngineException e) {
            throw wrong(name, e.getProblemMark().orElse(null), oneLine(e.getProblem()));
        } catch (YamlEngineException e) {
            throw wrong(name, null, oneLine(e.getMessage()));
        }
    }

    private static Object plain(Object value) {
        return switch (value) {
            case Map<?, ?> map -> {
                Map<String, Object> members = new LinkedHashMap<>();
                map.forEach((key, member) -> members.put(String.valueOf(key), plain(member)));
                yield members;
            }
            case List<?> list -> {
                List<Object> elements = new ArrayList<>();
                list.forEach(element -> elements.add(plain(element)));
                yield elements;
            }
            case null -> null;
            case Boolean bool -> bool;
            case Integer number -> number;
            case Long number -> number;
            case Number number -> number.doubleValue();
            default -> String.valueOf(value);
        };
    }

    private static String oneLine(String message) {
        return String.join(" ", message.lines().map(String::strip).toList());
    }

    private static WeightException wrong(String name, Mark mark, String problem) {
        return new WeightException(name + (mark == null ? "" : ", line " + (mark.getLine() + 1)) + " cannot be read as YAML: " + problem);
    }
}
