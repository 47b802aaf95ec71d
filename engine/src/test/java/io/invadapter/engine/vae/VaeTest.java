package io.invadapter.engine.vae;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Latents;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.model.ModelFiles;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Pictures larger than the memory are computed in strips, which cannot be seen. */
class VaeTest {
    /** The CPU with as much memory for tensors as it is told. */
    private static final class Small extends ForwardingDevice {
        private static final long PLENTY = 1L << 40;

        private final List<Tensor> tensors = new ArrayList<>();
        private long memory = PLENTY;
        private long most;
        private int strips;

        Small(Precision precision) {
            super(Devices.open("cpu", precision, notice -> { }));
        }

        void have(long bytes) {
            memory = bytes;
            most = 0;
            strips = 0;
        }

        @Override
        public long reachableMemory() {
            return Math.max(0, memory - held());
        }

        private long held() {
            Map<Long, Long> blocks = new HashMap<>();
            tensors.removeIf(tensor -> {
                try {
                    blocks.put(tensor.address(), tensor.bytes());
                    return false;
                } catch (IllegalStateException e) {
                    return true;
                }
            });
            return blocks.values().stream().mapToLong(Long::longValue).sum();
        }

        @Override
        public Tensor allocate(DataType type, int... shape) {
            return seen(super.allocate(type, shape));
        }

        @Override
        public Tensor upload(DataType type, float[] values, int... shape) {
            return seen(super.upload(type, values, shape));
        }

        @Override
        protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
            strips += operator.equals("groupStatistics") ? 1 : 0;
            T result = work.get();
            if (result instanceof Tensor tensor) {
                seen(tensor);
            }
            return result;
        }

        private Tensor seen(Tensor tensor) {
            tensors.add(tensor);
            most = Math.max(most, held());
            return tensor;
        }
    }

    private static void with(Precision precision, BiConsumer<Small, Vae> test) {
        try (Small device = new Small(precision); ModelFiles files = ModelFiles.open(BundledModel.directory());
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
            long whole = device.most;
            float[] image = PictureLatents.toModel(PictureLatents.fromModel(picture, 0, 8 * width, 8 * height));
            Vae.Distribution distribution = vae.encode(image, 8 * height, 8 * width);
            assertEquals(0, device.strips);
            long least = vae.leastBytes(8 * width, 8 * height);
            assertTrue(height < 8 ? least <= whole : least < 0.7 * whole, least + " of " + whole);
            // From where everything fits down to as many strips as there can be.
            for (long memory = 2 * whole; memory > whole / 12; memory = memory * 3 / 4) {
                String what = "with " + memory + " bytes of " + whole + ", " + least + " needed";
                device.have(memory);
                assertEquals(0, most(picture, vae.decode(latents)), 2e-5, what);
                assertTrue(device.most <= memory || memory < least * 5 / 4, what + ": " + device.most);
                assertTrue(device.most >= 0.9 * least, what + ": " + device.most);
                assertTrue(device.strips > 0 || height < 16 || memory >= whole, what);
                Vae.Distribution other = vae.encode(image, 8 * height, 8 * width);
                assertEquals(0, most(distribution.mean().values(), other.mean().values()), 2e-5, what);
                assertEquals(0, most(distribution.logvar().values(), other.logvar().values()), 2e-5, what);
            }
            device.have(Small.PLENTY);
            assertArrayEquals(picture, vae.decode(latents));
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
            assertTrue(device.strips > 0);
            double squares = 0;
            for (int i = 0; i < picture.length; i++) {
                squares += Math.pow(picture[i] - other[i], 2);
            }
            assertEquals(0, Math.sqrt(squares / picture.length), 0.01);
        });
    }
}
