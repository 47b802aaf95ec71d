package io.invadapter.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import org.junit.jupiter.api.Test;

class SeededNoiseTest {

    @Test
    void isStandardNormal() {
        float[] values = SeededNoise.latents(1, 4, 64, 64).values();
        double mean = 0;
        double square = 0;
        for (float v : values) {
            mean += v / (double) values.length;
            square += (double) v * v / values.length;
        }
        assertEquals(0, mean, 0.03);
        assertEquals(1, square, 0.05);
    }

    @Test
    void dependsOnTheSeedAlone() {
        assertArrayEquals(SeededNoise.latents(7, 4, 8, 8).values(), SeededNoise.latents(7, 4, 8, 8).values());
        assertNotEquals(SeededNoise.latents(7, 4, 8, 8).values()[0], SeededNoise.latents(8, 4, 8, 8).values()[0]);
    }
}
