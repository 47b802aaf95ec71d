package io.invadapter.engine.identity;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightSource;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FingerprintTest {
    @TempDir
    private Path folder;

    private String weights(String name, float[] values, long... shape) {
        Path file = folder.resolve("weights.safetensors");
        new SafetensorsWriter().add("a", new long[] {1}, new float[] {1}).add(name, shape, values).write(file);
        try (WeightSource source = Safetensors.open(file)) {
            return new Fingerprint().add(source).value();
        }
    }

    @Test
    void everyWeightNameAndShapeCounts() {
        String some = weights("b", new float[] {1, 2, 3, 4}, 2, 2);
        assertTrue(some.matches("[0-9a-f]{64}"), some);
        assertEquals(some, weights("b", new float[] {1, 2, 3, 4}, 2, 2));
        assertNotEquals(some, weights("c", new float[] {1, 2, 3, 4}, 2, 2));
        assertNotEquals(some, weights("b", new float[] {1, 2, 3, Math.nextUp(4f)}, 2, 2));
        assertNotEquals(some, weights("b", new float[] {2, 1, 3, 4}, 2, 2));
        assertNotEquals(some, weights("b", new float[] {1, 2, 3, 4}, 4));
    }

    @Test
    void sequencesDoNotRunIntoOneAnother() {
        assertNotEquals(new Fingerprint().add("ab").add("c").value(), new Fingerprint().add("a").add("bc").value());
        assertNotEquals(new Fingerprint().add(1, 2).add(3).value(), new Fingerprint().add(1).add(2, 3).value());
        assertEquals(new Fingerprint().add(1, 2).value(), new Fingerprint().add(1, 2).value());
    }
}
