package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Modules are loaded once, when they are needed or before, side by side, and what cannot be loaded is told who needs it. */
@Timeout(60)
class KernelLibraryTest {
    /** Who loaded which module. */
    private final Map<String, Thread> loads = new ConcurrentHashMap<>();

    /** What a driver does when it is asked for a module. */
    private interface Loading {
        void load(String name) throws Exception;
    }

    /** A driver that can do nothing but load modules. */
    private KernelLibrary library(Loading loading) {
        CudaDriver driver = (CudaDriver) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {CudaDriver.class},
                (proxy, method, arguments) -> {
                    String name = (String) arguments[0];
                    assertEquals("load", method.getName());
                    assertEquals(null, loads.put(name, Thread.currentThread()), name + " is loaded twice");
                    loading.load(name);
                    return (CudaDriver.Module) kernel -> function(kernel);
                });
        return new KernelLibrary(driver, DataType.FLOAT16);
    }

    private static CudaDriver.Function function(String name) {
        return new CudaDriver.Function() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public void allowSharedBytes(int bytes) {
                throw new AssertionError();
            }
        };
    }

    @Test
    void loadedWhenFirstUsed() {
        KernelLibrary library = library(name -> { });
        assertEquals(Map.of(), library.loadTimes());
        assertEquals("add_silu", library.function("add", "add_silu", 0).name());
        assertEquals("add_gelu", library.function("add", "add_gelu", 0).name());
        library.function("add", "add_silu", 0);
        assertEquals(Map.of("f16/add_silu", Thread.currentThread(), "f16/add_gelu", Thread.currentThread()), loads);
        assertEquals(Set.of("add_silu", "add_gelu"), library.loadTimes().keySet());
    }

    /** What the driver gets of a file: its lines in their places, without those of the other kernels. */
    @Test
    void aKernelIsCutOutOfItsFile() {
        for (DataType type : KernelLibrary.TYPES) {
            for (String operator : KernelLibrary.operators(type)) {
                List<String> lines = KernelLibrary.ptx(type, operator).lines().toList();
                int head = lines.indexOf(lines.stream().filter(line -> line.startsWith(".visible .entry")).findFirst().orElseThrow());
                int[] found = new int[lines.size()];
                for (String kernel : KernelLibrary.kernels(type, operator)) {
                    List<String> only = KernelLibrary.only(kernel, KernelLibrary.ptx(type, operator)).lines().toList();
                    assertEquals(List.of(kernel), only.stream().filter(line -> line.contains(".entry"))
                            .map(line -> line.replaceAll(".*entry (\\w+)\\(.*", "$1")).toList());
                    for (int i = 0; i < only.size(); i++) {
                        if (!only.get(i).isEmpty()) {
                            assertEquals(lines.get(i), only.get(i));
                            found[i]++;
                        }
                    }
                }
                for (int i = 0; i < lines.size(); i++) {
                    assertEquals(lines.get(i).isEmpty() ? 0 : i < head ? KernelLibrary.kernels(type, operator).size() : 1, found[i],
                            operator + " line " + (i + 1));
                }
            }
        }
        assertEquals("the kernel add_tanh is missing from its file", assertThrows(IllegalStateException.class,
                () -> KernelLibrary.only("add_tanh", KernelLibrary.ptx(DataType.FLOAT16, "add"))).getMessage());
    }

    @Test
    void preparedKernelsAreLoadedSideBySide() throws Exception {
        // Nobody gets past it alone.
        CyclicBarrier together = new CyclicBarrier(3);
        KernelLibrary library = library(name -> together.await(30, TimeUnit.SECONDS));
        library.prepare("attention", "attention_40", "attention_80_few");
        library.prepare("attention", "attention_80_few");
        library.prepare("geglu", "geglu");
        library.settle();
        assertEquals(Set.of("attention_40", "attention_80_few", "geglu"), library.loadTimes().keySet());
        assertFalse(loads.containsValue(Thread.currentThread()));
        library.function("geglu", "geglu", 0);
    }

    @Test
    void whoNeedsAKernelWaitsForThatOneOnly() throws Exception {
        CountDownLatch slow = new CountDownLatch(1);
        KernelLibrary library = library(name -> {
            if (name.equals("f16/attention_40")) {
                slow.await();
            }
        });
        library.prepare("attention", "attention_40");
        library.function("attention", "attention_80", 0);
        library.function("add", "add", 0);
        assertFalse(library.loadTimes().containsKey("attention_40"));
        Thread release = Thread.ofPlatform().start(slow::countDown);
        assertEquals("attention_40", library.function("attention", "attention_40", 0).name());
        release.join();
    }

    @Test
    void whatCannotBeLoadedIsToldWhoeverNeedsItAndTriedAgain() {
        EmulatedGpu gpu = EmulatedGpu.fast();
        gpu.faults().failModule("f16/add_silu");
        CudaDevice device = CudaDeviceTest.open(gpu, Precision.FP16);
        Device.Linear layer = device.packer().linear(HostTensor.of(new float[64], 8, 8), HostTensor.of(new float[8], 8));
        Runnable use = () -> {
            try (var scope = device.scope()) {
                device.linear(device.upload(DataType.FLOAT16, new float[8], 1, 8), layer, Device.Activation.SILU, null);
            }
        };
        assertEquals("the kernels do not fit GPU 0 (emulated): cuModuleLoadDataEx of f16/add_silu failed with CUDA_ERROR_INVALID_PTX",
                assertThrows(CudaException.class, use::run).getMessage());
        assertThrows(CudaException.class, use::run);
        gpu.faults().none();
        use.run();
        device.close();
    }

    /** Threads may load while another one records; the one that records may not. */
    @Test
    void aRecordingIsNotSpoiltByWhatOthersLoad() throws Exception {
        try (CudaDriver driver = EmulatedGpu.fast().driver(); CudaDriver.Stream stream = driver.newStream()) {
            KernelLibrary library = new KernelLibrary(driver, DataType.FLOAT16);
            driver.record(stream, () -> {
                library.prepare("add", "add", "add_gelu");
                library.function("add", "add", 0);
                library.settle();
            }).close();
            assertThrows(CudaException.class, () -> driver.record(stream, () -> library.function("pad", "pad", 0)));
            library.function("pad", "pad", 0);
        }
    }

    /** A kernel that only other requests need is loaded to its end before a graph is recorded. */
    @Test
    void nothingIsBeingLoadedWhileAGraphIsRecorded() {
        EmulatedGpu gpu = EmulatedGpu.fast();
        CountDownLatch recording = new CountDownLatch(1);
        AtomicBoolean recordedMeanwhile = new AtomicBoolean();
        CudaDriver driver = (CudaDriver) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {CudaDriver.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("record")) {
                        recording.countDown();
                    } else if (method.getName().equals("load") && arguments[0].equals("f16/eaa_attention_160")) {
                        recordedMeanwhile.set(recording.await(500, TimeUnit.MILLISECONDS));
                    }
                    return method.invoke(gpu.driver(), arguments);
                });
        try (CudaDevice device = new CudaDevice("cuda:0", Precision.FP16, driver, gpu.blas(), gpu.dnn(), ChoiceBook.inMemory())) {
            Tensor x = device.upload(DataType.FLOAT32, new float[8], 8);
            try (Device.Recording work = device.record(() -> device.toActivations(x))) {
                work.run();
                device.packer().tokenMixer(HostTensor.of(new float[4], 2, 2));
                work.run();
            }
        }
        assertEquals(0, recording.getCount(), "it was recorded");
        assertFalse(recordedMeanwhile.get());
    }

    /** Where the system gives no thread, the calling one loads, and nobody waits for ever. */
    @Test
    void withoutThreadsTheCallingOneLoads() {
        CudaDriver driver = library(name -> { }).driver();
        KernelLibrary library = new KernelLibrary(driver, DataType.FLOAT16, operator -> KernelLibrary.ptx(DataType.FLOAT16, operator), load -> new Thread(load) {
            @Override
            public void start() {
                throw new OutOfMemoryError("unable to create native thread");
            }
        });
        library.prepare("add", "add_silu");
        library.settle();
        assertEquals("add_silu", library.function("add", "add_silu", 0).name());
        assertEquals(Map.of("f16/add_silu", Thread.currentThread()), loads);
    }

    /** Launches that are recorded need what they were recorded with for as long as their graph lives. */
    @Test
    void sharedMemoryIsAllowedForTheGreatestLaunch() {
        List<Integer> allowed = new ArrayList<>();
        CudaDriver driver = (CudaDriver) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {CudaDriver.class},
                (proxy, method, arguments) -> (CudaDriver.Module) kernel -> new CudaDriver.Function() {
                    @Override
                    public String name() {
                        return kernel;
                    }

                    @Override
                    public void allowSharedBytes(int bytes) {
                        allowed.add(bytes);
                    }
                });
        KernelLibrary library = new KernelLibrary(driver, DataType.FLOAT16);
        for (int bytes : new int[] {1000, 49152, 91776, 205312, 69632, 205312, 1000, 210000}) {
            library.function("group_norm", "group_norm_2", bytes);
        }
        library.function("group_norm", "group_norm_4", 60000);
        assertEquals(List.of(91776, 205312, 210000, 60000), allowed);
    }

    @Test
    void aDeviceTellsHowLongItsKernelsTook() {
        CudaDevice device = CudaDeviceTest.open(EmulatedGpu.fast(), Precision.FP16);
        assertFalse(device.description().contains("loaded"), device.description());
        device.packer().norm(HostTensor.of(new float[4], 4), HostTensor.of(new float[4], 4));
        device.close();
        assertEquals(Set.of("layer_norm"), device.kernelLoadTimes().keySet());
        assertTrue(device.description().matches(
                ".*, kernels loaded: 1, together \\d+ ms, the longest layer_norm with \\d+ ms"),
                device.description());
    }

    /** Of a transformer, its adapter and a norm: beside the weights, and no kernel of other sizes. */
    @Test
    void whatStableDiffusionNeedsIsPrepared() {
        EmulatedGpu gpu = EmulatedGpu.counting();
        gpu.chip(108, 163 * 1024);
        CudaDevice device = CudaDeviceTest.open(gpu, Precision.FP16);
        for (int channels : new int[] {320, 640, 1280}) {
            HostTensor vector = HostTensor.of(new float[channels], channels);
            device.packer().gatedLinear(HostTensor.of(new float[2 * channels], 2, channels), vector.rows(0, 2),
                    new Device.LayerNorm(vector, vector, 0));
        }
        for (int tokens : new int[] {4096, 1024, 256, 64}) {
            device.packer().tokenMixer(HostTensor.of(new float[tokens], 1, tokens));
        }
        device.close();
        assertEquals(Set.of("attention_40", "attention_80_few", "attention_160_few", "attention_wide_512", "eaa_attention_40",
                "eaa_attention_80_few", "eaa_attention_160_few", "geglu", "group_norm_2", "group_norm_4", "group_norm_8", "group_norm_apply",
                "group_norm_statistics", "layer_norm"), device.kernelLoadTimes().keySet());
    }

    /** A library of a device that is closed at once has to let go of the driver first. */
    @Test
    void aDeviceIsClosedAfterWhatIsBeingLoaded() {
        for (DataType type : KernelLibrary.TYPES) {
            Precision precision = List.of(Precision.values()).stream().filter(p -> p.type() == type).findFirst().orElseThrow();
            CudaDevice device = CudaDeviceTest.open(EmulatedGpu.fast(), precision);
            device.packer().tokenMixer(HostTensor.of(new float[4], 2, 2));
            HostTensor vector = HostTensor.of(new float[32], 32);
            device.packer().gatedLinear(HostTensor.of(new float[512], 16, 32), vector.rows(0, 16), new Device.LayerNorm(vector, vector, 0));
            device.close();
            Set<String> loaded = device.kernelLoadTimes().keySet();
            assertTrue(loaded.containsAll(List.of("geglu", "group_norm_1", "group_norm_apply", "group_norm_statistics", "layer_norm")),
                    loaded::toString);
            assertTrue(loaded.containsAll(type == DataType.FLOAT32 ? List.of("attention_scalar_64", "attention_scalar_160")
                    : List.of("attention_any_32", "attention_wide_512", "eaa_attention_160")), loaded::toString);
        }
    }
}
