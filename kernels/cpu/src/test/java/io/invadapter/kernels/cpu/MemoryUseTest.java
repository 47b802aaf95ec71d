package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** How large the process is: what a server or a container sees. */
@EnabledOnOs(OS.LINUX)
class MemoryUseTest {
    private static final int CHANNELS = 64;

    /** A few operators over maps of many sizes; prints the process' megabytes. */
    static final class ManySizes {
        private ManySizes() {
        }

        public static void main(String[] arguments) {
            try (Device device = open()) {
                new Network(device).run(1, 10);
            }
            report("start");
            try (Device device = open()) {
                Network network = new Network(device);
                for (int i = 0; i < 40; i++) {
                    network.run(1 + i % 3, 100 + i);
                    if (i == 9) {
                        report("ten");
                    }
                }
                report("forty");
                device.trim();
                report("trimmed");
                network.run(2, 120);
            }
            report("closed");
        }

        private static Device open() {
            return Devices.open("cpu", Precision.FP32, notice -> { });
        }

        private static void report(String when) {
            System.gc();
            System.out.println(when + " " + (Pointer.physicalBytes() >> 20));
        }
    }

    /** Opens a device, computes a little and closes it, over and over; prints the process' megabytes after some times. */
    static final class OpenAndClose {
        private OpenAndClose() {
        }

        public static void main(String[] arguments) {
            for (int cycle = 1; cycle <= 200; cycle++) {
                try (Device device = Devices.open("cpu", cycle % 2 == 0 ? Precision.FP32 : Precision.BF16, notice -> { })) {
                    for (int layers = 0; layers < 5; layers++) {
                        new Network(device).run(1, 9 + layers);
                    }
                    for (int failure = 0; failure < 20; failure++) {
                        failToMakeAPrimitive(device);
                    }
                }
                if (cycle == 50 || cycle == 200) {
                    ManySizes.report(cycle + "");
                }
            }
        }

        /** A kernel larger than the map it is applied to: oneDNN refuses it. */
        private static void failToMakeAPrimitive(Device device) {
            assertThrows(DeviceException.class, () -> device.packer().convolution(Network.weight(8, 8, 99, 99), null, 1, Device.Padding.NONE,
                    device.precision().type()));
        }
    }

    /** Asks for more and more until there is no more, then for little. */
    static final class Growing {
        private Growing() {
        }

        public static void main(String[] arguments) {
            try (Device device = ManySizes.open()) {
                Network network = new Network(device);
                network.run(1, 50);
                try {
                    for (int size = 50; ; size += size / 2) {
                        network.run(2, size);
                    }
                } catch (OutOfDeviceMemoryException e) {
                    System.out.println(e.getMessage());
                    device.trim();
                    network.run(1, 50);
                    System.out.println("goes on");
                }
            } catch (DeviceException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    private static final class Network {
        private final Device device;
        private final Device.Convolution convolution;
        private final Device.Linear linear;
        private final Device.Norm norm;

        Network(Device device) {
            this.device = device;
            this.convolution = device.packer().convolution(weight(CHANNELS, CHANNELS, 3, 3), weight(CHANNELS), 1, Device.Padding.same(1),
                    device.precision().type());
            this.linear = device.packer().linear(weight(CHANNELS, CHANNELS), weight(CHANNELS));
            this.norm = device.packer().norm(weight(CHANNELS), weight(CHANNELS));
        }

        private static HostTensor weight(int... shape) {
            int elements = 1;
            for (int extent : shape) {
                elements *= extent;
            }
            return HostTensor.of(new float[elements], shape);
        }

        void run(int batch, int size) {
            try (Scope scope = device.scope()) {
                Tensor x = device.allocate(device.precision().type(), batch, size, size, CHANNELS);
                Tensor y = device.groupNorm(device.conv2d(x, convolution, null, x), norm, 8, 1e-5f, true);
                y = device.linear(y, linear, Device.Activation.SILU, null);
                Tensor few = y.rows(0, 1).reshape(1, size * size, CHANNELS);
                device.attention(few, List.of(Source.of(few.part(0, 1, 77, CHANNELS), few.part(0, 1, 77, CHANNELS))), 2, false);
            }
        }
    }

    @Test
    void openingAndClosingLeavesNothingBehind() {
        ChildProcess child = ChildProcess.run(List.of(), Map.of(), List.of("-Xms32m", "-Xmx32m", "-XX:+AlwaysPreTouch",
                "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"), OpenAndClose.class);
        assertEquals(0, child.status(), child.output());
        List<Integer> megabytes = megabytes(child);
        assertTrue(megabytes.get(1) <= megabytes.get(0) + 4, "50 and 200 times: " + child.output());
    }

    private static List<Integer> megabytes(ChildProcess child) {
        return child.output().lines().map(line -> Integer.valueOf(line.split(" ")[1])).toList();
    }

    @Test
    void manySizesTakeNoMoreThanAFewAndAllIsGivenBack() {
        ChildProcess child = ChildProcess.run(List.of(), Map.of(), List.of("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch",
                "-XX:+UseSerialGC"), ManySizes.class);
        assertEquals(0, child.status(), child.output());
        List<Integer> megabytes = megabytes(child);
        assertTrue(megabytes.get(2) - megabytes.get(0) < 3 * (megabytes.get(1) - megabytes.get(0)), "ten sizes or forty: " + child.output());
        assertTrue(megabytes.get(3) < megabytes.get(0) + 20, "trimmed: " + child.output());
        assertTrue(megabytes.get(4) < megabytes.get(0) + 20, "closed: " + child.output());
    }

    @Test
    void memoryThatRunsOutIsOneSentenceWhereverItDoes() {
        // One arena: each of malloc's takes 64 MiB of the address space, when a thread happens to need it.
        Map<String, String> environment = Map.of("MALLOC_ARENA_MAX", "1");
        for (int limit = 1_800_000; limit < 2_400_000; limit += 150_000) {
            ChildProcess child = ChildProcess.run(List.of("bash", "-c", "ulimit -v " + limit + "; exec \"$0\" \"$@\""), environment,
                    List.of("-Xmx400m", "-XX:+UseSerialGC", "-XX:CompressedClassSpaceSize=64m", "-XX:ReservedCodeCacheSize=64m"),
                    Growing.class);
            assertEquals(0, child.status(), limit + ": " + child.output());
            assertTrue(child.output().matches("out of memory: .*\ngoes on\n"), limit + ": " + child.output());
        }
    }

    @Test
    void threadsThatCannotBeStartedAreOneSentence() {
        ChildProcess child = ChildProcess.run(List.of("bash", "-c", "ulimit -v 2400000; exec \"$0\" \"$@\""), Map.of(),
                List.of("-Xmx64m", "-XX:+UseSerialGC", "-XX:CompressedClassSpaceSize=64m", "-XX:ReservedCodeCacheSize=64m",
                        "-Dinvadapter.cpu.threads=400"), Growing.class);
        assertTrue(child.output().matches("out of memory: to compute with 400 threads takes stacks of 3192 MiB, and ulimit -v leaves \\d+ MiB: "
                + "raise it, or compute with fewer threads \\(--threads, or Java's property invadapter.cpu.threads\\)\n"), child.output());
    }

    @Test
    void aWorkspaceThatCannotGrowIsEmpty() {
        NativeMemory memory = new NativeMemory();
        Workspace workspace = new Workspace(memory);
        workspace.atLeast(100);
        assertThrows(OutOfDeviceMemoryException.class, () -> workspace.atLeast(1L << 50));
        NativeMemory.view(workspace.atLeast(200), 200).fill((byte) 1);
        workspace.free();
        workspace.free();
    }

    @Test
    void whatOneDnnTakesCountsUntilItIsGivenBack() {
        NativeMemory memory = new NativeMemory();
        long most = memory.reachable();
        assertThrows(OutOfDeviceMemoryException.class, () -> memory.take(1L << 50));
        long taken = most / 2;
        memory.take(taken);
        assertTrue(memory.reachable() < most - taken / 2, "less room");
        memory.giveBack(taken);
        assertTrue(memory.reachable() > most - taken / 2, "room again");
    }
}
