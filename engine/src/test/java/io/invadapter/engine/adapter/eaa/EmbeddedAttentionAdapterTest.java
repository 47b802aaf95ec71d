package io.invadapter.engine.adapter.eaa;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EmbeddedAttentionAdapterTest {
    @TempDir
    private static Path folder;

    /** Which pictures may be asked for with is the request's to say. */
    @Test
    void anyScaleMayBeRecommended() {
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { }); ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            StableDiffusion model = StableDiffusion.load(files, device, notice -> { });
            for (double scale : new double[] {-0.75, 0, 1.5}) {
                assertEquals(scale, load(model, device, Double.toString(scale)).defaultScale());
            }
            for (String wrong : new String[] {"much", "NaN", "Infinity", "-1e9"}) {
                assertEquals(folder.resolve("adapter.safetensors") + ": metadata 'scale' is '" + wrong + "'; expected a number",
                        assertThrows(WeightException.class, () -> load(model, device, wrong)).getMessage());
            }
        }
    }

    private static EmbeddedAttentionAdapter load(StableDiffusion model, Device device, String scale) {
        Path file = folder.resolve("adapter.safetensors");
        try (WeightSource bundled = Safetensors.open(BundledModel.adapter())) {
            SafetensorsWriter writer = new SafetensorsWriter();
            bundled.names().forEach(name -> writer.add(name, bundled.tensor(name).shape(), bundled.tensor(name).toFloats()));
            bundled.metadata().forEach(writer::metadata);
            writer.metadata("scale", scale).write(file);
        }
        try (WeightSource source = Safetensors.open(file)) {
            return EmbeddedAttentionAdapter.load(source, model.unet(), device);
        }
    }
}
