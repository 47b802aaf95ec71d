package io.invadapter.benchmarks;

import ai.onnxruntime.OrtException;
import com.sun.management.OperatingSystemMXBean;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.Structure;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Passes of the UNet of Stable Diffusion 1.5 at 512x512, batch 1, float32, on the CPU: ours or ONNX Runtime's. The script
 * {@code benchmarks/compare} runs both in turn, and PyTorch's.
 *
 * <p>{@code benchmarks/run Passes ours|FILE.onnx [passes [threads]]}
 */
public final class Passes {
    private static final OperatingSystemMXBean SYSTEM = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private Passes() {
    }

    private interface Pass {
        void run() throws OrtException;
    }

    /** @param arguments {@code ours} or a file; passes (3), after one that is not counted; threads (2) */
    public static void main(String[] arguments) throws OrtException, IOException {
        int passes = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 3;
        int threads = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 2;
        if (arguments[0].equals("ours")) {
            System.setProperty("invadapter.cpu.threads", Integer.toString(threads));
            try (Device device = Devices.open("cpu", Precision.FP32, System.err::println)) {
                UNetPass pass = new UNetPass(Structure.STABLE_DIFFUSION_15.unet(), device, 1, Structure.STABLE_DIFFUSION_15.unet().sampleSize());
                report("ours", passes, pass::run);
            }
            return;
        }
        boolean avx2 = "AVX2".equals(System.getenv("ONEDNN_MAX_CPU_ISA"));
        Path folder = Files.createTempDirectory("onnxruntime");
        try {
            if (avx2) {
                OnnxRuntimePass.limitToAvx2(folder);
            }
            try (OnnxRuntimePass pass = new OnnxRuntimePass(Path.of(arguments[0]), threads)) {
                report("ONNX Runtime", passes, pass::run);
            }
        } finally {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(folder);
        }
    }

    private static void report(String name, int passes, Pass pass) throws OrtException {
        pass.run();
        double least = Double.MAX_VALUE;
        double processor = Double.MAX_VALUE;
        for (int i = 0; i < passes; i++) {
            long cpu = SYSTEM.getProcessCpuTime();
            long start = System.nanoTime();
            pass.run();
            least = Math.min(least, (System.nanoTime() - start) / 1e9);
            processor = Math.min(processor, (SYSTEM.getProcessCpuTime() - cpu) / 1e9);
        }
        System.out.printf("%s: least %.3f s, processor time %.3f s%n", name, least, processor);
    }
}
