package io.invadapter.kernels.cuda.ptx;

import java.lang.management.ManagementFactory;
import java.util.function.Supplier;

/**
 * Measures the emulator: {@code java -cp ... io.invadapter.kernels.cuda.ptx.Speed [threads]} with the test classes and
 * resources on the class path.
 */
final class Speed {
    private Speed() { }

    public static void main(String[] args) {
        int threads = args.length > 0 ? Integer.parseInt(args[0]) : Runtime.getRuntime().availableProcessors();
        System.out.println(threads + " threads");
        try (Emulator e = new Emulator(threads)) {
            Kernel polynomial = Programs.kernel("counters", "polynomial");
            int n = 1 << 16;
            long x = e.allocate(4L * n);
            e.fill(x, (byte) 0x3c, 4L * n);
            byte[] arguments = Programs.pack(polynomial, x, 400);
            time("float arithmetic", () -> e.launch(polynomial, new Dim(n / 128), new Dim(128), 0, arguments));

            Kernel copy = Programs.kernel("counters", "vector_copy");
            long big = e.allocate(16L << 20);
            long target = e.allocate(16L << 20);
            e.fill(big, (byte) 1, 16L << 20);
            byte[] copied = Programs.pack(copy, big, target);
            time("copy of 16 MiB", () -> e.launch(copy, new Dim(8192), new Dim(128), 0, copied));

            Kernel gemm = Programs.kernel("matrix", "gemm_f16");
            int side = 512;
            long a = e.allocate(2L * side * side);
            long b = e.allocate(2L * side * side);
            long c = e.allocate(4L * side * side);
            e.fill(a, (byte) 0x3c, 2L * side * side);
            e.fill(b, (byte) 0x3c, 2L * side * side);
            byte[] product = Programs.pack(gemm, a, b, c, side, side, side);
            time("matrix product", () -> e.launch(gemm, new Dim(side / 64, side / 64), new Dim(128), 0, product));
        }
    }

    /** Of the whole process, so that other load on the machine does not count. */
    private static long cpuTime() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    private static void time(String name, Supplier<Counters> launch) {
        for (int i = 0; i < 10; i++) {
            long start = System.nanoTime();
            long startCpu = cpuTime();
            Counters c = launch.get();
            double elapsed = (System.nanoTime() - start) / 1e9;
            double seconds = (cpuTime() - startCpu) / 1e9;
            if (i == 9) {
                System.out.printf("%s: %.3f s, %.3f s of processor time; for each second of that %.0f M lane instructions,"
                        + " %.0f MB global, %.2f M mma%n", name, elapsed, seconds, c.laneInstructions() / seconds / 1e6,
                        (c.globalLoadedBytes() + c.globalStoredBytes()) / seconds / 1e6,
                        c.mmaInstructions() / seconds / 1e6);
            }
        }
    }
}
