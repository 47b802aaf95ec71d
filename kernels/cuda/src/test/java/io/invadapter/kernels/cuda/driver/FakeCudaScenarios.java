package io.invadapter.kernels.cuda.driver;

import static io.invadapter.kernels.cuda.driver.FakeCuda.called;
import static io.invadapter.kernels.cuda.driver.FakeCuda.calls;
import static io.invadapter.kernels.cuda.driver.FakeCuda.device;
import static io.invadapter.kernels.cuda.driver.FakeCuda.fail;
import static io.invadapter.kernels.cuda.driver.FakeCuda.lose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.function.Executable;

/** What {@link JCudaCallsTest} runs in a process of its own, whose libcuda.so.1 is the fake one. */
final class FakeCudaScenarios {
    private static final String LOST = "GPU 0 (Fake GPU) failed earlier (CUDA_ERROR_ILLEGAL_ADDRESS) and cannot be used any"
            + " more; start the program again";

    private FakeCudaScenarios() {
    }

    public static void main(String[] arguments) throws InterruptedException {
        switch (arguments[0]) {
            case "start" -> start();
            case "memory" -> memory();
            case "copies" -> copies();
            case "streams" -> streams();
            case "kernels" -> kernels();
            case "graphs" -> graphs();
            case "spoilt" -> spoiltRecordings();
            case "shared" -> sharedContext();
            case "lost" -> lost();
            case "noticed" -> lossNoticedWhileGivingBack();
            case "refusals" -> refusals();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static JCudaDriverApi open() {
        JCudaDriverApi driver = JCudaDriverApi.open(0);
        calls();
        return driver;
    }

    private static String hex(long number) {
        return Long.toHexString(number);
    }

    private static void says(String sentence, Executable call) {
        assertEquals(sentence, assertThrows(DeviceException.class, call).getMessage());
    }

    private static void start() {
        device(12060, 2, 9, 0);
        assertEquals(2, JCudaDriverApi.deviceCount());
        called("cuDriverGetVersion", "cuInit 0", "cuDeviceGetCount");
        try (JCudaDriverApi driver = JCudaDriverApi.open(1)) {
            called("cuDriverGetVersion", "cuInit 0", "cuDeviceGetCount", "cuDeviceGet 1", "cuDeviceGetName 256 71",
                    "cuDeviceGetAttribute 75 71", "cuDeviceGetAttribute 76 71", "cuDeviceGetAttribute 16 71",
                    "cuDeviceGetAttribute 97 71", "cuDevicePrimaryCtxRetain 71");
            assertEquals("Fake GPU", driver.deviceName());
            assertEquals(90, driver.computeCapability());
            assertEquals(132, driver.multiprocessors());
            assertEquals(227 * 1024, driver.sharedBytesPerBlock());
            assertEquals(12060, driver.driverVersion());
        }
        called("cuDevicePrimaryCtxRelease 71");
        device(12060, 1, 7, 5);
        assertEquals(12060, InstalledGpu.driverVersion());
        assertEquals(List.of("GPU 0: Fake GPU, compute capability 7.5, 22 GiB; too old, 8.0 or newer is needed (GeForce RTX 30,"
                + " A100 and later)"), InstalledGpu.all().stream().map(InstalledGpu::description).toList());
        calls();
        device(12060, 2, 9, 0);
    }

    private static void memory() {
        JCudaDriverApi driver = open();
        assertEquals(new CudaDriver.Memory(5_000_000_000L, 24_000_000_000L), driver.memory());
        called("cuMemGetInfo");
        long address = driver.allocate(1000);
        assertTrue(address != 0 && address % 256 == 0, hex(address));
        called("cuMemAlloc 1000");
        driver.fill(address, (byte) 0xab, 1000);
        called("cuCtxSynchronize", "cuMemsetD8 " + hex(address) + " 171 1000", "cuStreamSynchronize (nil)");
        assertEquals((byte) 0xab, MemorySegment.ofAddress(address).reinterpret(1000).get(ValueLayout.JAVA_BYTE, 999));
        driver.free(address);
        called("cuMemFree " + hex(address));

        fail("cuMemAlloc_v2", 2);
        assertEquals("The GPU (Fake GPU) has not enough memory: 300 MiB more were asked for, 4769 MiB of 22 GiB are free; make"
                + " smaller or fewer pictures, or end other programs that use it",
                assertThrows(OutOfDeviceMemoryException.class, () -> driver.allocate(300L << 20)).getMessage());
        // It goes on.
        driver.free(driver.allocate(5));
        calls();
        driver.close();
        driver.close();
        called("cuDevicePrimaryCtxRelease 70");
        assertThrows(IllegalStateException.class, () -> driver.allocate(1));
        called();
    }

    private static void copies() {
        JCudaDriverApi driver = open();
        long address = driver.allocate(1000);
        MemorySegment device = MemorySegment.ofAddress(address).reinterpret(1000);
        calls();
        try (Arena arena = Arena.ofConfined()) {
            // A slice: neither its offset nor its length is the whole segment's.
            MemorySegment host = arena.allocate(100).asSlice(10, 50);
            host.fill((byte) 7);
            driver.copyIn(address + 20, host, 30);
            called("cuCtxSynchronize", "cuMemcpyHtoD " + hex(address + 20) + " 30", "cuStreamSynchronize (nil)");
            assertEquals(7, device.get(ValueLayout.JAVA_BYTE, 49));
            device.fill((byte) 9);
            driver.copyOut(host, address + 500, 40);
            called("cuCtxSynchronize", "cuMemcpyDtoH " + hex(address + 500) + " 40");
            assertEquals(9, host.get(ValueLayout.JAVA_BYTE, 39));
            assertEquals(7, host.get(ValueLayout.JAVA_BYTE, 40));
            assertThrows(IllegalArgumentException.class, () -> driver.copyIn(address, MemorySegment.ofArray(new byte[4]), 4));
        }
        calls();

        CudaDriver.HostBuffer buffer = driver.allocateHost(5000);
        String pinned = hex(buffer.segment().address());
        called("cuMemHostAlloc 5000 0");
        assertEquals(5000, buffer.segment().byteSize());
        CudaDriver.Stream stream = driver.newStream();
        calls();
        String handle = "0x" + hex(stream.handle());
        buffer.segment().fill((byte) 3);
        driver.copyIn(address + 8, buffer, 4000, 16, stream);
        called("cuMemcpyHtoDAsync " + hex(address + 8) + " 16 " + handle);
        assertEquals(3, device.get(ValueLayout.JAVA_BYTE, 23));
        assertEquals(9, device.get(ValueLayout.JAVA_BYTE, 24));
        driver.copyOut(buffer, 4900, address + 100, 100, stream);
        called("cuMemcpyDtoHAsync " + hex(address + 100) + " 100 " + handle);
        assertEquals(3, buffer.segment().get(ValueLayout.JAVA_BYTE, 4899));
        assertEquals(9, buffer.segment().get(ValueLayout.JAVA_BYTE, 4999));
        driver.copyIn(address, buffer, 0, 1, null);
        called("cuMemcpyHtoDAsync " + hex(address) + " 1 (nil)");
        assertThrows(IndexOutOfBoundsException.class, () -> driver.copyIn(address, buffer, 4990, 11, stream));
        called();
        driver.copy(address + 900, address, 24, stream);
        called("cuMemcpyDtoDAsync " + hex(address + 900) + " " + hex(address) + " 24 " + handle);
        assertEquals(3, device.get(ValueLayout.JAVA_BYTE, 908));
        buffer.close();
        called("cuMemFreeHost " + pinned);

        fail("cuMemHostAlloc", 2);
        says("64 MiB of the computer's memory could not be page-locked", () -> driver.allocateHost(64 << 20));
    }

    private static void streams() {
        JCudaDriverApi driver = open();
        CudaDriver.Stream stream = driver.newStream();
        // Without order towards the default stream.
        called("cuStreamCreate 1");
        String s = "0x" + hex(stream.handle());
        CudaDriver.Event first = driver.newEvent();
        CudaDriver.Event second = driver.newEvent();
        called("cuEventCreate 0", "cuEventCreate 0");
        first.record(stream);
        second.record(null);
        String[] recorded = calls().toArray(String[]::new);
        String e1 = recorded[0].split(" ")[1];
        String e2 = recorded[1].split(" ")[1];
        assertArrayEquals(new String[] {"cuEventRecord " + e1 + " " + s, "cuEventRecord " + e2 + " (nil)"}, recorded);
        first.synchronize();
        called("cuEventSynchronize " + e1);
        assertEquals(1.5f, second.millisecondsSince(first));
        called("cuEventSynchronize " + e2, "cuEventElapsedTime " + e1 + " " + e2);
        stream.synchronize();
        driver.synchronize();
        called("cuStreamSynchronize " + s, "cuCtxSynchronize");
        first.close();
        stream.close();
        called("cuEventDestroy " + e1, "cuStreamDestroy " + s);
    }

    private static void kernels() {
        JCudaDriverApi driver = open();
        CudaDriver.Module module = driver.load("f16/add", ".version 7.0 text");
        called("cuModuleLoadDataEx .version 7.0 text 5 buffer 6 2048");
        CudaDriver.Function function = module.function("scale-8-4-4-16");
        assertTrue(calls().getFirst().matches("cuModuleGetFunction 0x[0-9a-f]+ scale-8-4-4-16"));
        function.allowSharedBytes(70000);
        called("cuFuncSetAttribute scale-8-4-4-16 8 70000");
        CudaDriver.Stream stream = driver.newStream();
        calls();
        Parameters parameters = new Parameters();
        parameters.int64(0x0102030405060708L).int32(-2).float32(1).structure(() -> parameters.int64(5).int32(6));
        driver.launch(function, new Grid(3, 4, 5), 96, 70000, stream, parameters);
        called("cuLaunchKernel scale-8-4-4-16 3 4 5 96 1 1 70000 0x" + hex(stream.handle()) + " (nil): 0807060504030201"
                + " feffffff 0000803f 05000000000000000600000000000000");
        driver.launch(module.function("none"), new Grid(1, 1, 1), 1, 0, null, new Parameters());
        assertEquals("cuLaunchKernel none 1 1 1 1 1 1 0 (nil) (nil):", calls().getLast());

        fail("cuLaunchKernel", 701);
        says("launch of scale-8-4-4-16 failed on GPU 0 (Fake GPU): CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
                () -> driver.launch(function, new Grid(1, 1, 1), 1, 0, null, parameters));
        fail("cuModuleGetFunction", 500);
        says("cuModuleGetFunction of nothing failed on GPU 0 (Fake GPU): CUDA_ERROR_NOT_FOUND",
                () -> module.function("nothing"));
        fail("cuModuleLoadDataEx", 218);
        says("the kernels do not fit GPU 0 (Fake GPU): cuModuleLoadDataEx of f16/add failed with CUDA_ERROR_INVALID_PTX: ptxas fatal :"
                + " Unresolved extern function 'f'", () -> driver.load("f16/add", "x"));
        fail("cuModuleLoadDataEx", 222);
        says("NVIDIA's driver is too old for these kernels (CUDA_ERROR_UNSUPPORTED_PTX_VERSION: ptxas fatal : Unresolved extern"
                + " function 'f'); update the driver", () -> driver.load("f16/add", "x"));
    }

    private static void graphs() {
        JCudaDriverApi driver = open();
        CudaDriver.Stream stream = driver.newStream();
        CudaDriver.Function function = driver.load("f16/add", "").function("f-4");
        calls();
        String s = "0x" + hex(stream.handle());
        CudaDriver.Graph graph = driver.record(stream,
                () -> driver.launch(function, new Grid(1, 1, 1), 32, 0, stream, new Parameters().int32(1)));
        String[] all = calls().toArray(String[]::new);
        String g = all[3].split(" ")[1];
        assertArrayEquals(new String[] {"cuStreamBeginCapture " + s + " 1",
            "cuLaunchKernel f-4 1 1 1 32 1 1 0 " + s + " (nil): 01000000", "cuStreamEndCapture " + s,
            "cuGraphGetNodes " + g + " (nil)", "cuGraphInstantiateWithFlags " + g + " 0", "cuGraphDestroy " + g}, all);
        assertEquals(1, graph.nodes());
        graph.launch(stream);
        String[] launched = calls().getFirst().split(" ");
        assertEquals("cuGraphLaunch", launched[0]);
        assertEquals(s, launched[2]);
        graph.close();
        called("cuGraphExecDestroy " + launched[1]);
    }

    private static void spoiltRecordings() {
        JCudaDriverApi driver = open();
        CudaDriver.Stream stream = driver.newStream();
        calls();
        String s = "0x" + hex(stream.handle());
        says("cuMemAlloc of 10 bytes cannot be done while a graph is recorded (CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)",
                () -> driver.record(stream, () -> driver.allocate(10)));
        called("cuStreamBeginCapture " + s + " 1", "cuMemAlloc 10", "cuStreamEndCapture " + s);

        // Somebody swallows the exception.
        says("what was given to the stream cannot be done while a graph is recorded (CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)",
                () -> driver.record(stream, () -> assertThrows(CudaException.class, driver::synchronize)));
        called("cuStreamBeginCapture " + s + " 1", "cuCtxSynchronize", "cuStreamEndCapture " + s);

        // An exception that has nothing to do with CUDA leaves a graph behind, which nobody wants.
        assertEquals("mine", assertThrows(IllegalStateException.class, () -> driver.record(stream, () -> {
            throw new IllegalStateException("mine");
        })).getMessage());
        assertTrue(calls().getLast().startsWith("cuGraphDestroy 0x"));

        fail("cuGraphInstantiateWithFlags", 2);
        assertThrows(OutOfDeviceMemoryException.class, () -> driver.record(stream, () -> { }));
        assertTrue(calls().getLast().startsWith("cuGraphDestroy 0x"));

        assertThrows(NullPointerException.class, () -> driver.record(null, () -> { }));
        called();
        // After all of these the stream and the driver work.
        stream.synchronize();
        driver.free(driver.allocate(10));
        driver.record(stream, () -> { }).launch(stream);
    }

    /** Two drivers of one GPU: what one does while the other records does not spoil the recording. */
    private static void sharedContext() throws InterruptedException {
        JCudaDriverApi driver = open();
        CudaDriver.Stream stream = driver.newStream();
        JCudaDriverApi other = open();
        long address = other.allocate(16);
        MemorySegment host = Arena.global().allocate(16);
        List<Runnable> waits = List.of(other::synchronize, () -> other.copyIn(address, host, 16), () -> other.copyOut(host, address, 16),
                () -> other.fill(address, (byte) 0, 16), () -> other.betweenRecordings(other::synchronize));
        for (Runnable wait : waits) {
            Thread waiting = Thread.ofPlatform().unstarted(wait);
            driver.record(stream, () -> {
                waiting.start();
                // Until it waits for the recording, or has spoilt it.
                while (waiting.getState() != Thread.State.WAITING && waiting.isAlive()) {
                    LockSupport.parkNanos(100_000);
                }
            }).close();
            waiting.join();
        }
        calls();
        Thread using = Thread.ofPlatform().unstarted(() -> {
            other.free(other.allocate(16));
            other.load("f16/add", "");
        });
        driver.record(stream, () -> {
            using.start();
            assertDoesNotThrow(() -> using.join());
        }).close();
        // Who records itself is refused, and does not wait for itself.
        for (Runnable wait : List.<Runnable>of(driver::synchronize, () -> driver.copyIn(address, host, 16),
                () -> driver.copyOut(host, address, 16), () -> driver.fill(address, (byte) 0, 16), other::synchronize)) {
            says("cuCtxSynchronize cannot be done while a graph is recorded (CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)",
                    () -> driver.record(stream, wait));
        }
        driver.record(stream, () -> { }).launch(stream);
    }

    private static void lost() {
        JCudaDriverApi driver = open();
        CudaDriver.Stream stream = driver.newStream();
        CudaDriver.Event event = driver.newEvent();
        CudaDriver.HostBuffer buffer = driver.allocateHost(16);
        CudaDriver.Graph graph = driver.record(stream, () -> { });
        CudaDriver.Function function = driver.load("f16/add", "").function("f");
        long address = driver.allocate(16);
        lose(700);
        says("GPU 0 (Fake GPU) failed: CUDA_ERROR_ILLEGAL_ADDRESS, noticed by cuCtxSetCurrent; it cannot be used any more,"
                + " start the program again", stream::synchronize);
        calls();
        says(LOST, driver::synchronize);
        says(LOST, () -> driver.allocate(1));
        says(LOST, driver::memory);
        says(LOST, driver::newStream);
        says(LOST, driver::newEvent);
        says(LOST, () -> driver.load("f16/add", ""));
        says(LOST, () -> driver.allocateHost(1));
        says(LOST, () -> driver.fill(address, (byte) 0, 1));
        says(LOST, () -> driver.copyOut(buffer, 0, address, 1, stream));
        says(LOST, () -> driver.copy(address, address + 8, 1, stream));
        says(LOST, () -> driver.launch(function, new Grid(1, 1, 1), 1, 0, stream, new Parameters()));
        says(LOST, () -> driver.record(stream, () -> { }));
        says(LOST, () -> graph.launch(stream));
        says(LOST, () -> event.record(stream));
        says(LOST, event::synchronize);
        driver.free(address);
        graph.close();
        event.close();
        buffer.close();
        stream.close();
        called();
        driver.close();
        called("cuDevicePrimaryCtxRelease 70");
    }

    private static void lossNoticedWhileGivingBack() {
        JCudaDriverApi driver = open();
        long address = driver.allocate(16);
        fail("cuMemFree_v2", 719);
        driver.free(address);
        assertTrue(assertThrows(CudaException.class, driver::synchronize).getMessage()
                .startsWith("GPU 0 (Fake GPU) failed earlier (CUDA_ERROR_LAUNCH_FAILED)"));
        driver.close();
    }

    private static void refusals() {
        device(11080, 1, 8, 0);
        says("NVIDIA's driver is too old: it supports CUDA 11.8, 12.0 or newer is needed; update the driver",
                () -> JCudaDriverApi.open(0));
        called("cuDriverGetVersion");
        device(13000, 0, 8, 0);
        says("NVIDIA's driver is there, but it finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES",
                () -> JCudaDriverApi.open(0));
        device(13000, 1, 7, 5);
        says("GPU 0 (Fake GPU) is too old: it has compute capability 7.5, 8.0 or newer is needed (GeForce RTX 30, A100 and"
                + " later)", () -> JCudaDriverApi.open(0));
        says("There is no GPU 1: the driver knows only GPU 0", () -> JCudaDriverApi.open(1));
        device(13000, 3, 8, 9);
        says("There is no GPU 3: the driver knows GPUs 0 to 2", () -> JCudaDriverApi.open(3));
        fail("cuInit", 34);
        says("the libcuda.so.1 that is found is the CUDA toolkit's stub; put the driver's own before it in LD_LIBRARY_PATH",
                () -> JCudaDriverApi.open(0));
        fail("cuDevicePrimaryCtxRetain", 46);
        says("GPU 0 (Fake GPU) is reserved by another program (CUDA_ERROR_DEVICE_UNAVAILABLE)", () -> JCudaDriverApi.open(0));
    }
}
