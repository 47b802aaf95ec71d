package io.invadapter.engine.unet;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;

class GuidanceEmbeddingTest {

    /** PyTorch's numbers, in float32. */
    @Test
    void sinesAndCosinesAreThoseOfTheReference() {
        assertArrayEquals(new float[] {0.506885f, -0.97048f, 0.586653f, 0.644218f, 0.862013f, -0.241183f, -0.809838f, 0.764842f},
                GuidanceEmbedding.of(8, 8), 1e-3f);
        assertArrayEquals(new float[] {-0.467772f, -0.958924f, 0.049979f, -0.883849f, 0.283662f, 0.99875f}, GuidanceEmbedding.of(1.5, 6), 1e-3f);
        float[] real = GuidanceEmbedding.of(7.5, 256);
        assertArrayEquals(new float[] {-0.044785f, 0.762861f, -0.87103f, -0.146079f, 0.605186f, -0.998997f, 0.646562f, -0.860994f, 0.796084f},
                new float[] {real[0], real[1], real[2], real[64], real[127], real[128], real[129], real[200], real[255]}, 1e-3f);
    }

    @Test
    void noGuidanceIsOne() {
        assertArrayEquals(new float[] {0, 0, 1, 1}, GuidanceEmbedding.of(1, 4));
    }
}
