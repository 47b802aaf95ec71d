package io.invadapter.weights;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.json.Json;
import io.invadapter.weights.model.Lora;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.model.SyntheticWeights;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsFile;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import io.invadapter.weights.safetensors.ShardedSafetensors;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What may not be {@code null} is refused by its name, where it is given and not later. */
class NullsTest {
    @TempDir
    private Path folder;

    private static void refused(String name, Executable call) {
        String message = assertThrows(NullPointerException.class, call, name).getMessage();
        assertTrue(message != null && message.matches("(?s)(.*\\W)?" + name + "(\\W.*)?"), name + ": " + message);
    }

    @Test
    void ofFiles() {
        refused("path", () -> Safetensors.open(null));
        refused("path", () -> SafetensorsFile.open(null));
        refused("index", () -> ShardedSafetensors.open(null));
        refused("path", () -> ModelFiles.open(null));
        refused("path", () -> Lora.open(null, notice -> { }));
        refused("notices", () -> Lora.open(Path.of("lora"), null));
        refused("shapesJson", () -> SyntheticWeights.of(null));
        refused("file", () -> Json.read(null));
        refused("text", () -> Json.parse(null));
        refused("text", () -> Json.quote(null));
        refused("utf8", () -> Json.parse(null, "the text"));
        refused("key", () -> Json.parse("{}").get(null));
        refused("key", () -> Json.parse("{}").find(null));
    }

    @Test
    void ofWhatIsWritten() {
        SafetensorsWriter writer = new SafetensorsWriter();
        refused("key", () -> writer.metadata(null, "pt"));
        refused("value", () -> writer.metadata("format", null));
        refused("tensor", () -> writer.add(null));
        refused("name", () -> writer.add(null, new long[] {1}, new float[1]));
        refused("shape", () -> writer.add("x", null, new float[1]));
        refused("values", () -> writer.add("x", new long[] {1}, (float[]) null));
        refused("values", () -> writer.add("x", new long[] {1}, (long[]) null));
        refused("dtype", () -> writer.add("x", null, new long[] {1}, new float[1]));
        refused("data", () -> writer.add("x", DType.F32, new long[] {1}, (MemorySegment) null));
        refused("path", () -> writer.write(null));
        writer.write(folder.resolve("nothing.safetensors"));
    }

    @Test
    void ofTensors() {
        MemorySegment data = MemorySegment.ofArray(new float[1]);
        refused("name", () -> WeightTensor.of(null, DType.F32, data, 1));
        refused("dtype", () -> WeightTensor.of("x", null, data, 1));
        refused("data", () -> WeightTensor.of("x", DType.F32, null, 1));
        refused("shape", () -> WeightTensor.of("x", DType.F32, data, (long[]) null));
    }
}
