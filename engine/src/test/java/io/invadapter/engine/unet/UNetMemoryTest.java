package io.invadapter.engine.unet;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Latents;
import io.invadapter.engine.SmallDevice;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.model.ModelFiles;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a pass is said to need at least, before any is made, is what it needs. */
class UNetMemoryTest {
    @ParameterizedTest
    @CsvSource({"FP32, 1, 32, 32", "FP32, 2, 64, 40", "FP32, 3, 27, 13", "BF16, 2, 16, 48"})
    void leastBytes(Precision precision, int rows, int height, int width) {
        try (SmallDevice device = new SmallDevice(precision); ModelFiles files = ModelFiles.open(BundledModel.directory());
                UNet unet = UNet.load(UNetConfig.of(files.unetConfig(), notice -> { }), files.unet(), device)) {
            float[][] texts = IntStream.range(0, rows).mapToObj(i -> new float[unet.config().contextChannels()]).toArray(float[][]::new);
            unet.predictNoise(new Latents(new float[rows * 4 * height * width], rows, 4, height, width), 1, texts,
                    AttentionHook.NONE);
            long least = unet.leastBytes(rows, height, width);
            String what = least + " bytes, and it is " + device.most();
            assertTrue(least <= device.most(), what);
            assertTrue(least > 0.9 * device.most(), what);
        }
    }
}
