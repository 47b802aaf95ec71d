package io.invadapter.engine.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Latents;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.ForwardingSource;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.model.ModelFiles;
import org.junit.jupiter.api.Test;

/** Models come and go on a device that stays. */
class StableDiffusionTest {
    private static Device device() {
        return Devices.open("cpu", Precision.FP32, notice -> { });
    }

    private static StableDiffusion load(Device device) {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            return StableDiffusion.load(files, device, notice -> { });
        }
    }

    /** A pass of every network. */
    private static float[] pass(StableDiffusion model) {
        float[] text = model.textEncoder().encode(model.tokenizer().encode("a happy person").ids());
        Latents noise = SeededNoise.latents(1, model.vae().latentChannels(), 8, 8);
        return model.vae().decode(model.unet().predictNoise(noise, 500, new float[][] {text}, AttentionHook.NONE));
    }

    @Test
    void twoModelsOnOneDevice() {
        try (Device device = device(); StableDiffusion stays = load(device)) {
            float[] expected = pass(stays);
            StableDiffusion goes = load(device);
            assertArrayEquals(expected, pass(goes));
            assertArrayEquals(expected, pass(stays));
            goes.close();
            goes.close();
            assertArrayEquals(expected, pass(stays));
            assertThrows(IllegalStateException.class, () -> pass(goes));
            assertThrows(IllegalStateException.class, () -> goes.textEncoder().encode(new int[] {1}));
            assertThrows(IllegalStateException.class, () -> goes.vae().decode(SeededNoise.latents(1, 4, 8, 8)));
        }
    }

    @Test
    void aClosedModelHoldsNoWeights() {
        try (Packers device = new Packers()) {
            for (int i = 0; i < 2; i++) {
                try (StableDiffusion model = load(device)) {
                    pass(model);
                    assertEquals(3, device.open);
                }
                assertEquals(0, device.open);
            }
        }
    }

    /** All but the last layer is packed when it is found to be missing. */
    @Test
    void aNetworkThatCannotBeMadeHoldsNoWeights() {
        try (Packers device = new Packers(); ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            UNetConfig config = UNetConfig.of(files.unetConfig(), notice -> { });
            WeightSource incomplete = new WithoutLastLayer(files.unet());
            assertThrows(WeightException.class, () -> UNet.load(config, incomplete, device));
            assertEquals(0, device.open);
        }
    }

    /** Counts the packers that are open. */
    private static final class Packers extends ForwardingDevice {
        private int open;

        Packers() {
            super(device());
        }

        @Override
        public Packer packer() {
            open++;
            return new Counted(super.packer());
        }

        private final class Counted implements Packer {
            private final Packer packer;

            Counted(Packer packer) {
                this.packer = packer;
            }

            @Override
            public Linear linear(HostTensor weight, HostTensor bias) {
                return packer.linear(weight, bias);
            }

            @Override
            public GatedLinear gatedLinear(HostTensor weight, HostTensor bias, LayerNorm norm) {
                return packer.gatedLinear(weight, bias, norm);
            }

            @Override
            public TokenMixer tokenMixer(HostTensor weight) {
                return packer.tokenMixer(weight);
            }

            @Override
            public Convolution convolution(HostTensor weight, HostTensor bias, int stride, Padding padding, DataType outputType) {
                return packer.convolution(weight, bias, stride, padding, outputType);
            }

            @Override
            public Norm norm(HostTensor weight, HostTensor bias) {
                return packer.norm(weight, bias);
            }

            @Override
            public Table table(HostTensor weight) {
                return packer.table(weight);
            }

            @Override
            public void close() {
                packer.close();
                open--;
            }
        }
    }

    private static final class WithoutLastLayer extends ForwardingSource {
        WithoutLastLayer(WeightSource source) {
            super(source);
        }

        @Override
        public WeightTensor tensor(String name) {
            if (name.startsWith("conv_out.")) {
                throw new WeightException("no tensor " + name);
            }
            return super.tensor(name);
        }
    }
}
