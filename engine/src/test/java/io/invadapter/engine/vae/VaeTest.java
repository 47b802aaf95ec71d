package io.invadapter.engine.vae;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Latents;
import io.invadapter.engine.SmallDevice;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.model.ModelFiles;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Pictures larger than the memory are computed in strips, which cannot be seen. */
class VaeTest {
    private static void with(Precision precision, BiConsumer<SmallDevice, Vae> test) {
        try (SmallDevice device = new SmallDevice(precision); ModelFiles files = ModelFiles.open(BundledModel.directory());
                Vae vae = Vae.load(VaeConfig.of(files.vaeConfig(), notice -> { }), files.vae(), device)) {
            test.accept(device, vae);
        }
    }

    private static float most(float[] expected, float[] actual) {
        assertEquals(expected.length, actual.length);
        float most = 0;
        for (int i = 0; i < expected.length; i++) {
            most = Math.max(most, Math.abs(expected[i] - actual[i]));
        }
        return most;
    }

    @ParameterizedTest
    @CsvSource({"8, 24", "24, 8", "13, 9", "27, 11", "40, 16", "1, 5"})
    void strips(int height, int width) {
        with(Precision.FP32, (device, vae) -> {
            Latents latents = SeededNoise.latents(7, vae.latentChannels(), height, width);
            float[] picture = vae.decode(latents);
            long whole = device.most();
            float[] image = PictureLatents.toModel(PictureLatents.fromModel(picture, 0, 8 * width, 8 * height));
            Vae.Distribution distribution = vae.encode(image, 8 * height, 8 * width);
            assertEquals(0, device.strips());
            long least = vae.leastBytes(8 * width, 8 * height);
            assertTrue(height < 8 ? least <= whole : least < 0.7 * whole, least + " of " + whole);
            // From where everything fits down to as many strips as there can be.
            for (long memory = 2 * whole; memory > whole / 12; memory = memory * 3 / 4) {
                String what = "with " + memory + " bytes of " + whole + ", " + least + " needed";
                device.have(memory);
                assertEquals(0, most(picture, vae.decode(latents)), 2e-5, what);
                assertTrue(device.most() <= memory || memory < least * 5 / 4, what + ": " + device.most());
                assertTrue(device.most() >= 0.9 * least, what + ": " + device.most());
                assertTrue(device.strips() > 0 || height < 16 || memory >= whole, what);
                Vae.Distribution other = vae.encode(image, 8 * height, 8 * width);
                assertEquals(0, most(distribution.mean().values(), other.mean().values()), 2e-5, what);
                assertEquals(0, most(distribution.logvar().values(), other.logvar().values()), 2e-5, what);
            }
            device.have(SmallDevice.PLENTY);
            assertArrayEquals(picture, vae.decode(latents));
        });
    }

    /** Where there is room for the maps between them, its blocks are passed through one by one. */
    @Test
    void theMoreMemoryTheFewerPasses() {
        with(Precision.FP32, (device, vae) -> {
            Latents latents = SeededNoise.latents(7, vae.latentChannels(), 40, 16);
            vae.decode(latents);
            long whole = device.most();
            double once = device.convolved();
            device.have(whole);
            vae.decode(latents);
            assertTrue(device.convolved() < 1.2 * once, device.convolved() / once + " times");
            device.have(whole * 6 / 10);
            vae.decode(latents);
            assertTrue(device.strips() > 0);
            assertTrue(device.convolved() < 2 * once, device.convolved() / once + " times");
        });
    }

    /** Rounding of a kind is as much as there is between any two ways of computing. */
    @Test
    void stripsInBfloat16() {
        with(Precision.BF16, (device, vae) -> {
            Latents latents = SeededNoise.latents(7, vae.latentChannels(), 24, 8);
            float[] picture = vae.decode(latents);
            device.have(1);
            float[] other = vae.decode(latents);
            assertTrue(device.strips() > 0);
            double squares = 0;
            for (int i = 0; i < picture.length; i++) {
                squares += Math.pow(picture[i] - other[i], 2);
            }
            assertEquals(0, Math.sqrt(squares / picture.length), 0.01);
        });
    }
}
