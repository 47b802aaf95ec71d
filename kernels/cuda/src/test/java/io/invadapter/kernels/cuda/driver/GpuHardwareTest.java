package io.invadapter.kernels.cuda.driver;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.Devices;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On the word of this it depends whether a computer without a GPU is told at each start that it has none. */
class GpuHardwareTest {
    @TempDir
    private Path bus;

    private void device(String name, String vendor, String kind) throws IOException {
        Path device = Files.createDirectories(bus.resolve(name));
        Files.writeString(device.resolve("vendor"), vendor + "\n");
        Files.writeString(device.resolve("class"), kind + "\n");
    }

    private boolean isPresent() {
        return GpuHardware.isPresent(bus, bus.resolve("libcuda.so.1"));
    }

    @Test
    void onlyNvidiasGpusCount() throws IOException {
        assertFalse(isPresent());
        device("0000:00:02.0", "0x8086", "0x030000");
        device("0000:01:00.1", "0x10de", "0x040300");
        Files.createDirectories(bus.resolve("0000:02:00.0"));
        assertFalse(isPresent(), "another maker's, and the sound of one");
        device("0000:01:00.0", "0x10de", "0x030200");
        assertTrue(isPresent());
    }

    @Test
    void aLinuxInsideWindowsHasADriverInPlaceOfADevice() throws IOException {
        Files.createFile(bus.resolve("libcuda.so.1"));
        assertTrue(isPresent());
    }

    @Test
    void aComputerWithoutOneIsNotToldSo() {
        List<String> notices = new ArrayList<>();
        Devices.open("auto", null, notices::add).close();
        assertTrue(GpuHardware.isPresent() || notices.isEmpty(), notices.toString());
    }

    @Test
    void elsewhereThereIsNone() {
        assertFalse(GpuHardware.isPresent(bus.resolve("nowhere"), bus.resolve("nothing")));
    }
}
