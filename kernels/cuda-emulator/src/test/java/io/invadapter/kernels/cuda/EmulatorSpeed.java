package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How fast small models run on the emulator: one block of a UNet at 256 tokens x 64 channels, batch 3, as often as
 * {@code java -cp ... io.invadapter.kernels.cuda.EmulatorSpeed [rounds]} says.
 */
final class EmulatorSpeed {
    private static final int BATCH = 3;
    private static final int TOKENS = 256;
    private static final int CHANNELS = 64;
    private static final int HEADS = 4;

    private EmulatorSpeed() {
    }

    public static void main(String[] arguments) {
        int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 10;
        for (boolean checked : new boolean[] {true, false}) {
            try (EmulatorDriver driver = new EmulatorDriver(checked ? new Emulator() : Emulator.unchecked(), true)) {
                run(driver, rounds, checked ? "all checks" : "no race checks, no counters");
            }
        }
    }

    private static void run(EmulatorDriver driver, int rounds, String mode) {
        KernelLibrary library = new KernelLibrary(driver, DataType.FLOAT16);
        int count = BATCH * TOKENS * CHANNELS;
        long x = filled(driver, 2L * count);
        long wide = filled(driver, 16L * count);
        long y = filled(driver, 8L * count);
        long vector = filled(driver, 2L * 8 * CHANNELS);
        Normalisation norms = new Normalisation(library);
        long workspace = driver.allocate(norms.groupNormWorkspaceBytes());
        driver.fill(workspace, (byte) 0, norms.groupNormWorkspaceBytes());
        Strided q = Strided.contiguous(x, TOKENS, HEADS, CHANNELS / HEADS);
        Strided out = Strided.contiguous(y, TOKENS, HEADS, CHANNELS / HEADS);
        Attention.Shape shape = new Attention.Shape(BATCH, HEADS, TOKENS, TOKENS, CHANNELS / HEADS, 0.25f);
        EmulatedBlas blas = new EmulatedBlas(driver);
        Blas.Matrix w = new Blas.Matrix(wide, CHANNELS, 0);
        Dnn.Plan plan = new EmulatedDnn(driver).propose(new Dnn.Shape(DataType.FLOAT16, BATCH, 16, 16, CHANNELS, CHANNELS, 3, 3,
                1, 1, false)).candidates().getLast().prepare();
        CudaDriver.Stream stream = null;
        Map<String, Runnable> work = new LinkedHashMap<>();
        work.put("group norm", () -> norms.groupNorm(x, vector, vector, y, workspace, BATCH, TOKENS,
                CHANNELS, 32, 1e-5f, true, stream));
        work.put("layer norm", () -> norms.layerNorm(x, vector, vector, y, BATCH * TOKENS, CHANNELS, 1e-5f,
                stream));
        work.put("attention", () -> new Attention(library).attention(q, q, q, out, shape, false, stream));
        work.put("geglu", () -> new Pointwise(library).geglu(wide, vector, y, BATCH * TOKENS, 4 * CHANNELS, stream));
        work.put("product 64 x 768 x 64", () -> blas.multiply(true, false, CHANNELS, BATCH * TOKENS, CHANNELS, 1, w,
                new Blas.Matrix(x, CHANNELS, 0), 0, new Blas.Matrix(y, CHANNELS, 0), DataType.FLOAT16, 1, stream));
        work.put("convolution 3 x 16 x 16 x 64", () -> plan.run(x, wide, vector, 0, y, 0, stream));
        System.out.println(mode);
        work.forEach((name, action) -> {
            for (int i = 0; i < rounds / 2; i++) {
                action.run();
            }
            long start = System.nanoTime();
            long startCpu = cpuTime();
            for (int i = 0; i < rounds; i++) {
                action.run();
            }
            double elapsed = (System.nanoTime() - start) / 1e9 / rounds;
            double cpu = (cpuTime() - startCpu) / 1e9 / rounds;
            long before = driver.threadInstructions();
            action.run();
            long lanes = driver.threadInstructions() - before;
            System.out.printf("  %-30s %8.2f ms, %8.2f ms of processor time; for each second of that %5.0f M thread instructions%n",
                    name, elapsed * 1e3, cpu * 1e3, lanes / cpu / 1e6);
        });
    }

    /** Of the whole process. */
    private static long cpuTime() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    private static long filled(CudaDriver driver, long bytes) {
        long address = driver.allocate(bytes);
        driver.fill(address, (byte) 0x2a, bytes);
        return address;
    }
}
