package io.invadapter.engine.sampling;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.pipeline.WatchedDevice;
import io.invadapter.weights.model.ModelFiles;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;

/** Pictures of which nothing is known are encoded once, while somebody waits, and those of few sizes are remembered. */
class EmptyPicturesTest {
    private final WatchedDevice device = new WatchedDevice();
    private int convolutions;

    @Test
    void theSizesUsedLastAreRemembered() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory());
                StableDiffusion model = StableDiffusion.load(files, device, notice -> { })) {
            device.beforeConvolution = () -> convolutions++;
            EmptyPictures empty = new EmptyPictures(device, model.vaePart());
            assertThrows(CancellationException.class, () -> empty.of(1, 1, 1, () -> false));
            assertEquals(0, convolutions, "nobody waits for it");

            Inpainting two = empty.of(2, 1, 3, () -> true);
            assertEquals(2, two.clean().batch());
            assertArrayEquals(two.clean().row(0).values(), two.clean().row(1).values());
            assertArrayEquals(new float[] {1, 1, 1, 1, 1, 1}, two.mask().values());
            assertTrue(convolutions > 0);
            for (int width = 4; width <= 8; width++) {
                empty.of(1, 1, width, () -> true);
            }
            convolutions = 0;
            empty.of(1, 1, 3, () -> true);
            assertEquals(0, convolutions, "six sizes");
            empty.of(1, 1, 9, () -> true);
            convolutions = 0;
            empty.of(1, 1, 3, () -> true);
            assertEquals(0, convolutions, "used more lately than another");
            empty.of(1, 1, 4, () -> true);
            assertTrue(convolutions > 0, "the one used longest ago makes room");
        } finally {
            device.close();
        }
    }
}
