package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Operators.Padding;
import io.invadapter.kernels.cuda.ptx.Emulator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What launchers refuse, and how they say so. */
class LauncherTest {
    private static final long A = 0x1000;

    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final KernelLibrary library = new KernelLibrary(driver, DataType.FLOAT16);
    private final Attention attention = new Attention(library);
    private final Normalisation norms = new Normalisation(library);
    private final Pointwise pointwise = new Pointwise(library);
    private final Sampling sampling = new Sampling(library);
    private final Embeddings embeddings = new Embeddings(library);

    @AfterEach
    void close() {
        assertEquals(0, driver.launches().size(), "nothing must be launched with wrong arguments");
        driver.close();
    }

    private static void refused(String message, Executable call) {
        assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
    }

    private void attend(Strided q, Strided out, Attention.Shape shape, boolean causal) {
        attention.attention(q, q, q, out, shape, causal, null);
    }

    @Test
    void attentionSizes() {
        refused("batch is 0, expected 1 to 65535", () -> new Attention.Shape(0, 1, 1, 1, 40, 1));
        refused("keys is 0, expected at least 1", () -> new Attention.Shape(1, 1, 1, 0, 40, 1));
        refused("head size is 520, expected 1 to 512", () -> new Attention.Shape(1, 1, 1, 1, 520, 1));
        refused("scale is 0.0, expected a positive number", () -> new Attention.Shape(1, 1, 1, 1, 40, 0));
        refused("scale is NaN, expected a positive number", () -> new Attention.Shape(1, 1, 1, 1, 40, Float.NaN));
    }

    @Test
    void attentionArrays() {
        Attention.Shape shape = new Attention.Shape(2, 2, 8, 8, 40, 1);
        Strided good = Strided.contiguous(A, 8, 2, 40);
        refused("q is null, expected a device address",
                () -> attend(Strided.contiguous(0, 8, 2, 40), good, shape, false));
        refused("q is 0x1001, expected a multiple of 2",
                () -> attend(Strided.contiguous(A + 1, 8, 2, 40), good, shape, false));
        refused("q row stride is 39, expected 40 to 8388608",
                () -> attend(new Strided(A, 640, 39, 40), good, shape, false));
        refused("q head stride is 8, expected 40 to 2147483647",
                () -> attend(new Strided(A, 640, 80, 8), good, shape, false));
        refused("out batch stride is 0, expected a place of its own for each batch row",
                () -> attend(good, new Strided(A, 0, 80, 40), shape, false));
        refused("keys is 9, expected as many as queries (8) with a causal mask",
                () -> attend(good, good, new Attention.Shape(1, 1, 8, 9, 40, 1), true));
    }

    @Test
    void eaaAttention() {
        Attention.Shape shape = new Attention.Shape(1, 2, 8, 8, 40, 1);
        Strided good = Strided.contiguous(A, 8, 2, 40);
        refused("keys of a source is 0, expected at least 1", () -> attention.eaaAttention(good, good, good, good,
                new Attention.Source(good, good, 0, 1, A, A), shape, null));
        refused("rows of a source is 2, expected one for each batch row (1)", () -> attention.addSource(good, good,
                new Attention.Source(good, good, 8, 2, 0, A), shape, null));
        refused("rows is 0x1002, expected a multiple of 4", () -> attention.eaaAttention(good, good, good, good,
                new Attention.Source(good, good, 8, 1, A + 2, A), shape, null));
        refused("scales is 0x1002, expected a multiple of 4", () -> attention.weighted(good, good,
                new Attention.Source(good, good, 8, 1, A, A + 2), shape, null));
    }

    @Test
    void norms() {
        refused("channels is 33, expected a multiple of groups (32)",
                () -> norms.groupNorm(A, A, A, A, A, 1, 4, 33, 32, 1e-5f, false, null));
        refused("eps is -1.0, expected 0 or a positive number",
                () -> norms.groupNorm(A, A, A, A, A, 1, 4, 32, 32, -1, false, null));
        refused("workspace is null, expected a device address",
                () -> norms.groupNorm(A, A, A, A, 0, 1, 4, 32, 32, 1e-5f, false, null));
        refused("rows is 0, expected at least 1", () -> norms.layerNorm(A, A, A, A, 0, 32, 1e-5f, null));
        refused("pixels is 0, expected at least 1", () -> norms.groupNorm(A, A, A, A, A, 1, 0, 32, 32, 1e-5f, false, null));
        refused("images is 65536, expected 1 to 65535",
                () -> norms.groupNorm(A, A, A, A, A, 65536, 4, 32, 32, 1e-5f, false, null));
        refused("joined is null, expected a device address",
                () -> norms.joinedGroupNorm(A, 16, A, 16, 0, A, A, A, A, 1, 4, 32, 1e-5f, false, null));
        refused("channels of b is 0, expected at least 1",
                () -> norms.joinedGroupNorm(A, 16, A, 0, A, A, A, A, A, 1, 4, 16, 1e-5f, false, null));
        refused("channels is 33, expected a multiple of groups (32)",
                () -> norms.joinedGroupNorm(A, 16, A, 17, A, A, A, A, A, 1, 4, 32, 1e-5f, false, null));
    }

    @Test
    void pointwise() {
        refused("n is 0, expected at least 1", () -> pointwise.toFloat(A, A, 0, null));
        refused("x is 0x1002, expected a multiple of 4", () -> pointwise.toActivations(new long[] {A, A + 2}, new long[] {8, 8}, A, null));
        refused("n is 0, expected at least 1", () -> pointwise.toActivations(new long[] {A, A}, new long[] {8, 0}, A, null));
        refused("arrays is 4, expected 1 to 3", () -> pointwise.toActivations(new long[4], new long[4], A, null));
        refused("bias is 0x1001, expected a multiple of 2", () -> pointwise.geglu(A, A + 1, A, 1, 8, null));
        refused("rows is 0, expected at least 1", () -> pointwise.add(A, 0, Activation.NONE, 0, A, 0, 8, null));
        refused("width is -1, expected at least 1", () -> pointwise.upsample(A, A, 1, 1, -1, 2, 2, 8, null));
        refused("height of y is 4, expected 5 to 6", () -> pointwise.upsample(A, A, 1, 3, 3, 4, 6, 8, null));
        refused("width of y is 7, expected 5 to 6", () -> pointwise.upsample(A, A, 1, 3, 3, 6, 7, 8, null));
        refused("left is -1, expected 0 to 2147483647",
                () -> pointwise.pad(A, A, 1, 3, 3, 8, new Padding(0, -1, 0, 1), null));
        refused("height of y is 2, expected 3 to 2147483647",
                () -> pointwise.pad(A, A, 1, 3, 3, 8, new Padding(0, 0, -1, 0), null));
        refused("groups is 0, expected 1 to 65535", () -> pointwise.addToEach(A, A, 0, A, 0, 1, 8, null));
        refused("channels is 9, expected 1 to 8", () -> pointwise.concat(A, A, 1, 9, 8, 0, null));
        refused("at is 1, expected 0 to 0", () -> pointwise.concat(A, A, 1, 8, 8, 1, null));
        refused("items is 17179869184, expected 1 to 2147483647 in one launch",
                () -> pointwise.toFloat(A, A, 1L << 36, null));
    }

    /** 108 multiprocessors with 1024 threads each come before a second row of a thread. */
    @Test
    void launchesFillTheChip() {
        assertEquals(1, pointwise.rowsPerThread(2 * 64 * 160));
        assertEquals(1, pointwise.rowsPerThread(2 * 108 * 1024 - 1));
        assertEquals(2, pointwise.rowsPerThread(2 * 108 * 1024));
        assertEquals(8, pointwise.rowsPerThread(1L << 30));
        assertEquals(1, norms.layerNormWarps(128));
        assertEquals(4, norms.layerNormWarps(512));
        assertEquals(8, norms.layerNormWarps(8192));
    }

    @Test
    void samplingAndEmbeddings() {
        refused("targets is 9, expected 1 to 8", () -> sampling.combine(new long[9], new long[1], A, true, 4, 1, null));
        refused("terms is 17, expected 1 to 16", () -> sampling.combine(new long[1], new long[17], A, true, 4, 1, null));
        refused("target is null, expected a device address",
                () -> sampling.combine(new long[] {A, 0}, new long[] {A}, A, true, 4, 1, null));
        refused("term is 0x1002, expected a multiple of 4",
                () -> sampling.combine(new long[] {A}, new long[] {A, A + 2}, A, true, 4, 1, null));
        refused("factors is null, expected a device address",
                () -> sampling.combine(new long[] {A}, new long[] {A}, 0, true, 4, 1, null));
        refused("pictures is 0, expected 1 to 65535", () -> sampling.combine(new long[] {A}, new long[] {A}, A, true, 4, 0, null));
        refused("reference is 0x1002, expected a multiple of 4", () -> sampling.matchDeviation(A, A + 2, A, 4, 1, null));
        refused("amounts is null, expected a device address", () -> sampling.matchDeviation(A, A, 0, 4, 1, null));
        refused("other is null, expected a device address", () -> sampling.blend(A, 0, A, true, 4, 4, 1, null));
        refused("mask is 0x1002, expected a multiple of 4", () -> sampling.blend(A, A, A + 2, true, 4, 4, 1, null));
        refused("pixels is 600000000, expected 1 to 536870848", () -> sampling.blend(A, A, A, true, 600_000_000, 4, 1, null));
        refused("dim is 1, expected 2 to 2147483646", () -> embeddings.timestep(A, A, 1, 1, true, 0, null));
        refused("frequency shift is 1.0, expected 0 to 1 and less than half of 2",
                () -> embeddings.timestep(A, A, 1, 2, true, 1, null));
        refused("vocabulary is 0, expected at least 1", () -> embeddings.tokens(A, A, A, A, 1, 1, 8, 0, null));
    }
}
