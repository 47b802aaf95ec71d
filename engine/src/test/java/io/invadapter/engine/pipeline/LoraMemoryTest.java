package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static io.invadapter.engine.pipeline.Pictures.PLENTY;
import static io.invadapter.engine.pipeline.Pictures.latents;
import static io.invadapter.engine.pipeline.Pictures.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** LoRAs are swapped on a device whose memory runs out in between. */
@Timeout(600)
class LoraMemoryTest {
    @TempDir
    private static Path folder;

    /** Has memory for so many weights. */
    private static final class Tight extends ForwardingDevice {
        private int left = Integer.MAX_VALUE;
        private int open;

        Tight() {
            super(Devices.open("cpu", Precision.FP32, notice -> { }));
        }

        @Override
        public Packer packer() {
            Packer packer = super.packer();
            open++;
            boolean[] closed = {false};
            return (Packer) Proxy.newProxyInstance(Packer.class.getClassLoader(), new Class<?>[] {Packer.class}, (proxy, method, arguments) -> {
                if (method.getName().equals("close")) {
                    open -= closed[0] ? 0 : 1;
                    closed[0] = true;
                } else if (left-- <= 0) {
                    throw new OutOfDeviceMemoryException("no memory for weights, says the test");
                }
                try {
                    return method.invoke(packer, arguments);
                } catch (InvocationTargetException e) {
                    throw e.getCause();
                }
            });
        }
    }

    private static Path lora(String name, String prefix, WeightSource weights, String layer) {
        SafetensorsWriter writer = new SafetensorsWriter();
        weights.names().stream().filter(tensor -> tensor.matches(layer)).limit(4).forEach(tensor -> {
            long[] shape = weights.tensor(tensor).shape();
            float[] down = new float[(int) shape[1]];
            float[] up = new float[(int) shape[0]];
            for (int i = 0; i < down.length; i++) {
                down[i] = (float) Math.sin(i) / 2;
            }
            for (int i = 0; i < up.length; i++) {
                up[i] = (float) Math.cos(i) / 2;
            }
            String key = prefix + tensor.replaceAll("\\.weight$", "").replace('.', '_');
            writer.add(key + ".lora_down.weight", new long[] {1, shape[1]}, down).add(key + ".lora_up.weight", new long[] {shape[0], 1}, up);
        });
        Path file = folder.resolve(name + ".safetensors");
        writer.write(file);
        return file;
    }

    @Test
    void theRequestAloneFailsAndTheNextHasItsOwnWeights() {
        List<LoraUse> loras;
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            loras = List.of(LoraUse.of(lora("style", "lora_unet_", files.unet(), ".*attn[12]\\.to_v\\.weight"), 1),
                    LoraUse.of(lora("words", "lora_te_text_model_", files.textEncoder(), ".*self_attn\\.v_proj\\.weight"), 1));
        }
        Tight device = new Tight();
        try (Pipeline pipeline = Pictures.builder(PLENTY).open(() -> device)) {
            GenerationRequest.Builder request = request(FACES.getFirst(), "a happy person", 1);
            float[] plain = latents(pipeline, request.loras(List.of()));
            float[] with = latents(pipeline, request.loras(loras));
            // In the text encoder, and in the UNet.
            for (int weights : new int[] {10, 100}) {
                device.left = weights;
                assertThrows(OutOfDeviceMemoryException.class, () -> latents(pipeline, request.loras(List.of())));
                assertThrows(OutOfDeviceMemoryException.class, () -> pipeline.invert(FACES.getFirst(), "a person", 1, (phase, step, steps) -> { }));
                device.left = Integer.MAX_VALUE;
                assertArrayEquals(with, latents(pipeline, request.loras(loras)));
                assertEquals(4, device.open);
            }
            assertArrayEquals(plain, latents(pipeline, request.loras(List.of())));
            assertEquals(4, device.open);
            device.left = 3;
            assertThrows(OutOfDeviceMemoryException.class, () -> latents(pipeline, request.loras(loras)));
        }
        assertEquals(0, device.open);
    }
}
