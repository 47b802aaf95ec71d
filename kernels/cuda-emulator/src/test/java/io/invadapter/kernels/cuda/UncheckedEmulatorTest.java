package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.cuda.ptx.Emulator;
import io.invadapter.kernels.cuda.ptx.PtxFault;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Without its costly checks the emulator computes the same, and still sees memory that is not there or was never written. */
class UncheckedEmulatorTest {
    private static final int TOKENS = 48;
    private static final int CHANNELS = 64;

    private static float[] block(Emulator emulator) {
        try (EmulatorDriver driver = new EmulatorDriver(emulator, true)) {
            EmulatedMemory memory = new EmulatedMemory(emulator);
            KernelLibrary library = new KernelLibrary(driver, DataType.FLOAT16);
            Random random = new Random(3);
            float[] values = new float[TOKENS * CHANNELS];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) random.nextGaussian();
            }
            long x = driver.allocate(2L * values.length);
            memory.write(DataType.FLOAT16, x, values, 0, values.length);
            long y = driver.allocate(2L * values.length);
            long z = driver.allocate(2L * values.length);
            Normalisation norms = new Normalisation(library);
            long workspace = driver.allocate(norms.groupNormWorkspaceBytes());
            driver.fill(workspace, (byte) 0, norms.groupNormWorkspaceBytes());
            norms.groupNorm(x, x, x, y, workspace, 1, TOKENS, CHANNELS, 32, 1e-5f, true, null);
            Strided q = Strided.contiguous(y, TOKENS, 4, CHANNELS / 4);
            Strided out = Strided.contiguous(z, TOKENS, 4, CHANNELS / 4);
            new Attention(library).attention(q, q, q, out, new Attention.Shape(1, 4, TOKENS, TOKENS, CHANNELS / 4, 0.25f), false,
                    null);
            assertEquals(2, driver.launched());
            assertEquals(emulator.checks() ? 2 : 0, driver.launches().size());
            return memory.read(DataType.FLOAT16, z, values.length);
        }
    }

    @Test
    void computesTheSame() {
        assertArrayEquals(block(new Emulator(1)), block(Emulator.unchecked()));
    }

    private static void add(Pointwise pointwise, long x, long y, int channels) {
        pointwise.add(x, 0, Activation.NONE, 0, y, 1, channels, null);
    }

    @Test
    void stillSeesWrongMemory() {
        try (EmulatorDriver driver = new EmulatorDriver(Emulator.unchecked(), true)) {
            Pointwise pointwise = new Pointwise(new KernelLibrary(driver, DataType.FLOAT16));
            long a = driver.allocate(1024);
            long b = driver.allocate(1008);
            assertEquals(PtxFault.Kind.UNINITIALIZED,
                    assertThrows(PtxFault.class, () -> add(pointwise, a, a, 512)).kind());
            driver.fill(a, (byte) 0, 1024);
            assertEquals(PtxFault.Kind.OUT_OF_BOUNDS,
                    assertThrows(PtxFault.class, () -> add(pointwise, a, b, 512)).kind());
            driver.free(b);
            assertEquals(PtxFault.Kind.USE_AFTER_FREE,
                    assertThrows(PtxFault.class, () -> add(pointwise, a, b, 8)).kind());
        }
    }
}
