package io.invadapter.kernels.cpu;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** A process that multiplies two matrices and says how many threads that started. */
final class ThreadsProcess {
    private static final int SIZE = 512;

    private ThreadsProcess() {
    }

    public static void main(String[] arguments) throws IOException {
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            long before = nativeThreads();
            Device.Linear weights = device.packer().linear(HostTensor.of(new float[SIZE * SIZE], SIZE, SIZE), null);
            try (Scope scope = device.scope()) {
                device.linear(device.upload(DataType.FLOAT32, new float[SIZE * SIZE], SIZE, SIZE), weights, Device.Activation.NONE, null);
                System.out.println(device.description() + ", started " + (nativeThreads() - before));
            }
        }
    }

    /** Threads of the name that OpenMP's have: that of the thread that started them. */
    private static long nativeThreads() throws IOException {
        Path tasks = Path.of("/proc/self/task");
        if (!Files.isDirectory(tasks)) {
            return 0;
        }
        try (Stream<Path> all = Files.list(tasks)) {
            return all.filter(task -> {
                try {
                    return Files.readString(task.resolve("comm")).strip().equals("java");
                } catch (IOException e) {
                    return false;
                }
            }).count();
        }
    }
}
