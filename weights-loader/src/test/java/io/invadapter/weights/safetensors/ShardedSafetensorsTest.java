package io.invadapter.weights.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardedSafetensorsTest {

    @TempDir
    Path folder;
    private Path index;

    @BeforeEach
    void writeShards() {
        index = folder.resolve("model.safetensors.index.json");
        new SafetensorsWriter().metadata("format", "pt").add("a", new long[] {1}, new float[] {1}).write(folder.resolve("model-1.safetensors"));
        new SafetensorsWriter().add("b", new long[] {1}, new float[] {2}).add("c", new long[] {1}, new float[] {3})
                .write(folder.resolve("model-2.safetensors"));
    }

    private WeightSource open(String weightMap) throws IOException {
        Files.writeString(index, "{\"metadata\": {\"total_size\": 12}, \"weight_map\": " + weightMap + "}");
        return Safetensors.open(index);
    }

    @Test
    void joinsTheShards() throws IOException {
        try (WeightSource source = open("{\"c\": \"model-2.safetensors\", \"a\": \"model-1.safetensors\"}")) {
            assertEquals(Set.of("a", "c"), source.names());
            assertEquals(Map.of("format", "pt"), source.metadata());
            assertEquals(Set.of(index, folder.resolve("model-1.safetensors"), folder.resolve("model-2.safetensors")), source.paths());
            assertArrayEquals(new float[] {1}, source.tensor("a", 1).toFloats());
            assertArrayEquals(new float[] {3}, source.tensor("c", 1).toFloats());
            assertEquals(index + " has no tensor 'b'", assertThrows(WeightException.class, () -> source.tensor("b")).getMessage());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"../model-1.safetensors", "/etc/passwd", "x/y.safetensors", "..", "C:x", "a\\\\b", ""})
    void staysInItsFolder(String shard) {
        String message = assertThrows(WeightException.class, () -> open("{\"a\": \"" + shard + "\"}")).getMessage();
        assertTrue(message.endsWith("which is not the name of a file beside the index"), message);
    }

    @Test
    void namesWhatIsWrong() {
        assertMessage("{\"z\": \"model-1.safetensors\"}", "tensor 'z' is said to be in model-1.safetensors but is not there");
        assertMessage("{\"a\": \"model-3.safetensors\"}", "model-3.safetensors does not exist");
        assertMessage("{\"a\": 1}", "weight_map.a is 1 where a string is expected");
        assertMessage("[]", "weight_map is an array where an object is expected");
    }

    private void assertMessage(String weightMap, String problem) {
        String message = assertThrows(WeightException.class, () -> open(weightMap)).getMessage();
        assertTrue(message.contains(problem), message);
    }
}
