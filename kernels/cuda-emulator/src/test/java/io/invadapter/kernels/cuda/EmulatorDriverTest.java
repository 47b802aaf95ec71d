package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.ptx.Emulator;
import io.invadapter.kernels.cuda.ptx.PtxException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What the emulated driver shows as wrong that a GPU would sometimes let pass. */
class EmulatorDriverTest {
    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final CudaDriver.Stream stream = driver.newStream();
    private final long a = driver.allocate(16);
    private final long b = driver.allocate(16);
    private final CudaDriver.HostBuffer buffer = driver.allocateHost(16);

    @AfterEach
    void close() {
        driver.close();
    }

    private byte[] at(long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(count);
            driver.copyOut(content, address, count);
            return content.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    private static byte[] bytes(int... values) {
        byte[] all = new byte[values.length];
        for (int i = 0; i < all.length; i++) {
            all[i] = (byte) values[i];
        }
        return all;
    }

    private byte first() {
        return buffer.segment().get(ValueLayout.JAVA_BYTE, 0);
    }

    @Test
    void aSourceThatChangesTooEarlyShows() {
        buffer.segment().fill((byte) 1);
        driver.copyIn(a, buffer, 0, 1, stream);
        buffer.segment().fill((byte) 2);
        assertArrayEquals(bytes(2), at(a, 1));
    }

    @Test
    void aResultIsGarbageUntilItIsWaitedFor() {
        driver.fill(a, (byte) 5, 16);
        buffer.segment().fill((byte) 1);
        driver.copyOut(buffer, 0, a, 1, stream);
        assertEquals(-1, first());
        stream.synchronize();
        assertEquals(5, first());
        assertEquals(1, buffer.segment().get(ValueLayout.JAVA_BYTE, 1));
    }

    @Test
    void anEventWaitsForWhatLiesBeforeItAndNoMore() {
        driver.fill(a, (byte) 5, 16);
        CudaDriver.Event event = driver.newEvent();
        event.synchronize();
        driver.copyOut(buffer, 0, a, 1, stream);
        event.record(stream);
        driver.copyOut(buffer, 1, a, 1, stream);
        event.synchronize();
        assertEquals(5, first());
        assertEquals(-1, buffer.segment().get(ValueLayout.JAVA_BYTE, 1));
        CudaDriver.Event later = driver.newEvent();
        later.record(stream);
        assertTrue(later.millisecondsSince(event) >= 0);
        assertEquals(5, buffer.segment().get(ValueLayout.JAVA_BYTE, 1));
    }

    @Test
    void streamsHaveNoOrderBetweenThem() {
        driver.fill(a, (byte) 1, 16);
        CudaDriver.Stream other = driver.newStream();
        assertNotEquals(stream.handle(), other.handle());
        driver.copy(b, a, 16, stream);
        driver.copyOut(buffer, 0, b, 1, other);
        assertThrows(PtxException.class, driver::synchronize, "b was never written");
    }

    @Test
    void aGraphIsDoneAgainAsAWholeAndInOrder() {
        driver.fill(a, (byte) 1, 16);
        driver.fill(b, (byte) 2, 16);
        CudaDriver.Graph graph = driver.record(stream, () -> {
            driver.copyIn(a, buffer, 0, 4, stream);
            driver.copy(b, a, 4, stream);
        });
        driver.synchronize();
        assertArrayEquals(bytes(2, 2, 2, 2, 2), at(b, 5));
        for (int i = 7; i < 9; i++) {
            buffer.segment().fill((byte) i);
            graph.launch(stream);
            assertArrayEquals(bytes(i, i, i, i, 2), at(b, 5));
        }
        graph.launch(null);
        graph.close();
        assertThrows(IllegalStateException.class, () -> graph.launch(stream));
    }

    @Test
    void whatCannotBeRecordedSpoilsTheRecordingAndNothingElse() {
        CudaDriver.Event event = driver.newEvent();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(4);
            List<Executable> forbidden = List.of(() -> driver.allocate(1), () -> driver.free(a), () -> driver.load("", ""),
                    driver::synchronize, stream::synchronize, event::synchronize, () -> driver.copyIn(a, host, 1),
                    () -> driver.copyOut(host, a, 1), () -> driver.fill(a, (byte) 0, 1), () -> driver.allocateHost(1),
                    buffer::close, driver::newStream, () -> driver.record(stream, () -> { }));
            for (Executable action : forbidden) {
                // Even when the exception is lost.
                CudaException e = assertThrows(CudaException.class, () -> driver.record(stream,
                        () -> assertThrows(CudaException.class, action)));
                assertTrue(e.getMessage().startsWith("the recording is spoilt by "), e.getMessage());
            }
        }
        assertThrows(IllegalStateException.class, () -> driver.record(stream, () -> {
            throw new IllegalStateException();
        }));
        driver.fill(a, (byte) 3, 16);
        driver.copyOut(buffer, 0, a, 1, stream);
        stream.synchronize();
        assertEquals(3, first());
        assertThrows(NullPointerException.class, () -> driver.record(null, () -> { }));
    }

    @Test
    void memoryRunsOutAndComesBack() {
        assertEquals(1024, driver.usedMemory());
        driver.totalMemory(10_000);
        assertEquals(new CudaDriver.Memory(10_000 - 1024, 10_000), driver.memory());
        long large = driver.allocate(8000);
        assertThrows(OutOfDeviceMemoryException.class, () -> driver.allocate(1000));
        driver.free(large);
        driver.free(driver.allocate(8000));
        assertThrows(PtxException.class, () -> driver.free(large));
        assertEquals(1024, driver.usedMemory());
        assertEquals(2, driver.openHandles());
        buffer.close();
        stream.close();
        assertEquals(0, driver.openHandles());
    }

    @Test
    void copiesStayInsideTheirMemory() {
        driver.fill(a, (byte) 3, 16);
        driver.copyIn(a + 10, buffer, 0, 7, stream);
        assertThrows(PtxException.class, stream::synchronize);
        assertThrows(IndexOutOfBoundsException.class, () -> driver.copyOut(buffer, 10, a, 7, stream));
        driver.copy(a + 1, a, 4, stream);
        assertThrows(PtxException.class, stream::synchronize, "overlap");
    }
}
