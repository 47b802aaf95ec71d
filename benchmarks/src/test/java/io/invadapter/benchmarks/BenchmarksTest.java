package io.invadapter.benchmarks;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtEnvironment;
import io.invadapter.engine.Latents;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.MeasuringDevice;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Every benchmark's setup and one iteration, small. Nothing is timed. */
class BenchmarksTest {
    private static final UNetConfig TINY = new UNetConfig(4, 4, 8, 8, new int[] {32, 64}, new int[] {1, 1},
            new boolean[] {true, false}, new boolean[] {false, true}, new int[] {2, 2}, new int[] {1, 1}, 16, 8, 1e-5f, true, 0);

    @Test
    void unet() {
        UNetBenchmark benchmark = new UNetBenchmark();
        benchmark.precision = "fp32";
        benchmark.batch = 2;
        benchmark.config = TINY;
        benchmark.open();
        GigaFlops rate = new GigaFlops();
        Latents noise = benchmark.pass(rate);
        benchmark.close();
        assertEquals(2 * 4 * 8 * 8, noise.values().length);
        for (float value : noise.values()) {
            assertTrue(Float.isFinite(value) && Math.abs(value) < 100, "tame, not " + value);
        }
        assertTrue(rate.gflop > 0);
    }

    @Test
    void efficiency() {
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            MeasuringDevice measuring = new MeasuringDevice(device);
            String report = Efficiency.compare(measuring, new UNetPass(TINY, measuring, 1, 8), new Peak(device, 16, 8, 4), 1);
            assertTrue(report.contains("attention") && report.contains("pass/convolution"), report);
        }
    }

    /** A product, a convolution of a 3x3 and attention, against sums done by hand. */
    @Test
    void operationsAreCounted() {
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            MeasuringDevice measuring = new MeasuringDevice(device);
            Peak peak = new Peak(measuring, 16, 8, 4);
            assertEquals(2 * 16 * 16 * 16, peak.product());
            assertEquals(2 * 16 * 16 * 16, measuring.totals().get("linear").operations());
            assertEquals(2 * 4 * 4 * 8 * 8 * 9, peak.convolution());
            assertEquals(2 * 4 * 4 * 8 * 8 * 9, measuring.totals().get("conv2d").operations());
        }
    }

    @Test
    void operators() {
        OperatorBenchmark benchmark = new OperatorBenchmark();
        benchmark.deviceName = "cpu";
        benchmark.precision = "fp32";
        benchmark.channels = 64;
        benchmark.size = 8;
        benchmark.open();
        benchmark.linear();
        benchmark.gatedLinear();
        benchmark.mixTokens();
        benchmark.convolution();
        benchmark.groupNorm();
        benchmark.layerNorm();
        benchmark.selfAttention();
        benchmark.selfAttentionWithIdentity();
        benchmark.crossAttention();
        benchmark.crossAttentionWithIdentity();
        benchmark.concat();
        benchmark.upsample2x();
        benchmark.close();
    }

    @Test
    void peak() {
        PeakBenchmark benchmark = new PeakBenchmark();
        benchmark.precision = "fp32";
        benchmark.open();
        GigaFlops rate = new GigaFlops();
        benchmark.product(rate);
        benchmark.convolution(rate);
        benchmark.close();
        assertEquals(2 * Math.pow(2048, 3) / 1e9 + 2.0 * 64 * 64 * 320 * 320 * 9 / 1e9, rate.gflop, 1e-6);
    }

    @Test
    void demo() {
        DemoBenchmark benchmark = new DemoBenchmark();
        benchmark.precision = "fp32";
        benchmark.steps = 1;
        benchmark.open();
        assertEquals(1, benchmark.plain().images().size());
        assertEquals(1, benchmark.newFace().images().size());
        assertEquals(1, benchmark.knownFace().images().size());
        assertNotNull(benchmark.inversion());
        benchmark.close();
    }

    @Test
    void loading() throws Exception {
        LoadingBenchmark benchmark = new LoadingBenchmark();
        benchmark.precision = "fp32";
        benchmark.config = TINY;
        benchmark.write();
        assertNotNull(benchmark.unet());
        assertTrue(benchmark.bundledModel() > 0);
        benchmark.delete();
    }

    /** The copy of ONNX Runtime's library differs in the answer to one question only. */
    @Test
    @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
    void onnxRuntimeCanBeLimitedToAvx2(@TempDir Path folder) throws IOException {
        OnnxRuntimePass.limitToAvx2(folder);
        byte[] limited = Files.readAllBytes(folder.resolve("libonnxruntime.so"));
        byte[] original;
        try (InputStream packed = OrtEnvironment.class.getResourceAsStream("native/linux-x64/libonnxruntime.so")) {
            original = packed.readAllBytes();
        }
        System.clearProperty("onnxruntime.native.path");
        assertEquals(original.length, limited.length);
        int first = Arrays.mismatch(original, limited);
        assertArrayEquals(new byte[] {0x0F, 0x01, (byte) 0xD0}, Arrays.copyOfRange(original, first, first + 3));
        assertTrue(Files.isRegularFile(folder.resolve("libonnxruntime4j_jni.so")));
    }
}
