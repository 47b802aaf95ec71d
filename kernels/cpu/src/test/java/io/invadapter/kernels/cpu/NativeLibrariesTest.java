package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLibrariesTest {

    @TempDir
    private Path folder;

    /** Opens the device and computes with it: {@code linear} of the arguments' sizes in MiB, one after the other. */
    static final class Computing {
        private Computing() {
        }

        public static void main(String[] megabytes) {
            try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
                Device.Linear identity = device.packer().linear(HostTensor.of(new float[] {1}, 1, 1), null);
                for (String size : megabytes) {
                    try (Scope scope = device.scope()) {
                        Tensor x = device.allocate(DataType.FLOAT32, Integer.parseInt(size) << 18, 1);
                        device.linear(x, identity, Device.Activation.NONE, null);
                    }
                }
                System.out.println("computed");
            } catch (DeviceException e) {
                System.out.println(e.getMessage());
                System.exit(1);
            }
        }
    }

    /** Another library that is there first has JavaCPP with its own limits. */
    static final class AfterAnother {
        private AfterAnother() {
        }

        public static void main(String[] arguments) {
            Loader.load(Pointer.class);
            Computing.main(arguments);
        }
    }

    @Test
    void theProcessMayBeLargerThanFourJavaHeaps() {
        List<String> smallHeap = List.of("-Xmx64m");
        assertEquals(new ChildProcess(0, "computed\n"),
                ChildProcess.run(List.of(), Map.of(), smallHeap, Computing.class, "300", "1"));
        assertEquals(new ChildProcess(0, "computed\n"),
                ChildProcess.run(List.of(), Map.of(), smallHeap, AfterAnother.class, "300", "1"));
    }

    @Test
    void theyAreUnpackedBesideTheModel() throws IOException {
        assertEquals(new ChildProcess(0, "computed\n"),
                ChildProcess.run(List.of(), Map.of("XDG_CACHE_HOME", folder.toString()), List.of("-Duser.home=/nowhere"), Computing.class));
        try (var files = Files.list(folder.resolve("invadapter/native"))) {
            assertTrue(files.anyMatch(file -> file.getFileName().toString().startsWith("dnnl-")));
        }
    }

    @Test
    void theUsersOwnFolderWins() {
        Path own = folder.resolve("own");
        assertEquals(new ChildProcess(0, "computed\n"), ChildProcess.run(List.of(),
                Map.of("XDG_CACHE_HOME", folder.toString()), List.of("-Dorg.bytedeco.javacpp.cachedir=" + own), Computing.class));
        assertTrue(Files.isDirectory(own));
        assertFalse(Files.exists(folder.resolve("invadapter")));
    }

    @Test
    void aFolderThatCannotBeWrittenIsNamed() throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        ChildProcess child = ChildProcess.run(List.of(), Map.of("XDG_CACHE_HOME", file.toString()), List.of(), Computing.class);
        assertEquals(file + "/invadapter/native: oneDNN cannot be unpacked here, for the folder cannot be written; set XDG_CACHE_HOME, or "
                + "Java's property org.bytedeco.javacpp.cachedir, to the full path of a folder with 100 MB to spare\n", child.output());
        assertEquals(1, child.status());
    }

    @Test
    void theReasonIsWhatIsWrongWithTheUnpackedFile() {
        Throwable error = new UnsatisfiedLinkError("no jnidnnl in java.library.path: /lib")
                .initCause(new UnsatisfiedLinkError("libjnidnnl.so: wrong ELF class"));
        assertEquals("oneDNN for " + Loader.getPlatform() + " cannot be loaded: libjnidnnl.so: wrong ELF class",
                NativeLibraries.reason(folder, error));
    }

    @Test
    void tooFewOpenFilesNeedAnotherLimitNotAnotherFolder() {
        Throwable error = new UnsatisfiedLinkError("no jnidnnl in java.library.path: /lib")
                .initCause(new FileSystemException("/cache/libjnidnnl.so", null, "Too many open files"));
        assertEquals("oneDNN cannot be loaded, for this process may open no more files: raise ulimit -n",
                NativeLibraries.reason(folder, error));
    }

    @Test
    void aProcessorWithoutSse41IsRefused() throws IOException {
        Path processors = folder.resolve("cpuinfo");
        Files.writeString(processors, "processor\t: 0\nflags\t\t: fpu sse sse2 ssse3 lm\n");
        DeviceException e = assertThrows(DeviceException.class, () -> NativeLibraries.expectInstructions("amd64", processors));
        assertEquals("oneDNN needs a processor with SSE 4.1, and this one has none", e.getMessage());
        NativeLibraries.expectInstructions("aarch64", processors);
        Files.writeString(processors, "processor\t: 0\nflags\t\t: fpu sse sse2 ssse3 sse4_1 lm\n");
        NativeLibraries.expectInstructions("amd64", processors);
        NativeLibraries.expectInstructions("amd64", folder.resolve("not on Windows"));
    }
}
