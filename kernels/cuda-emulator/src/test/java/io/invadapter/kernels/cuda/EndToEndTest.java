package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.engine.Latents;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.verification.Verification;
import io.invadapter.verification.Verification.Part;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The engine on the emulated CUDA device: what users of a GPU rely on. */
class EndToEndTest {
    private static final ChoiceBook CHOSEN = ChoiceBook.inMemory();

    private final EmulatedGpu gpu = EmulatedGpu.fast();

    @BeforeAll
    static void choose() {
        try (Device device = CudaDeviceTest.open(EmulatedGpu.fast(), Precision.FP16, CHOSEN); SmallModel small = new SmallModel(device)) {
            small.picture();
        }
    }

    private CudaDevice open(Precision precision) {
        return CudaDeviceTest.open(gpu, precision, CHOSEN);
    }

    @Test
    void resultsAreTheReferenceImplementations() {
        try (Device device = open(Precision.FP16)) {
            Verification verification = Verification.run(BundledModel.directory(), device,
                    EnumSet.of(Part.TEXT, Part.VAE, Part.UNET, Part.IDENTITY));
            for (Verification.Row row : verification.rows()) {
                assertTrue(row.limit() <= 2e-2 && row.passed(), row::toString);
            }
            assertTrue(verification.passed());
        }
    }

    @ParameterizedTest
    @CsvSource({"FP32, 1e-4", "FP16, 2e-2", "BF16, 1e-1"})
    void allOfItAgreesWithTheCpu(Precision precision, double limit) {
        try (Device cpu = Devices.open("cpu", Precision.FP32, notice -> { }); SmallModel expected = new SmallModel(cpu);
                Device cuda = open(precision); SmallModel found = new SmallModel(cuda)) {
            assertClose(expected.picture(), found.picture(), limit);
            assertClose(expected.customised(expected.faces(null)).values(), found.customised(found.faces(null)).values(), limit);
        }
    }

    @Test
    void replayedGraphsGiveTheBitsOfDirectRuns() {
        float[] direct;
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(withoutGraphs(device))) {
            direct = small.picture();
        }
        EmulatedGpu other = EmulatedGpu.fast();
        try (Device device = CudaDeviceTest.open(other, Precision.FP16); SmallModel small = new SmallModel(device)) {
            assertArrayEquals(direct, small.picture());
            assertArrayEquals(direct, small.picture());
        }
    }

    @Test
    void keptKeysAndValuesGiveTheSamePictureWithinRounding() {
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(device)) {
            List<Tensor[]> kept = new ArrayList<>();
            People faces = small.faces((step, features) -> {
                Tensor[] both = new Tensor[2];
                for (int i = 0; i < both.length; i++) {
                    both[i] = device.keep(device.allocate(device.precision().type(), features.elements()));
                    features.copyTo(both[i], i);
                }
                kept.add(both);
            });
            Latents first = small.customised(faces);
            Latents again = small.customised(new People.Stored(2, (step, features) -> {
                for (int i = 0; i < 2; i++) {
                    features.copyFrom(kept.get(step)[i], i);
                }
            }));
            assertClose(first.values(), again.values(), 1e-2);
            Latents without = small.customised(small.faces(null));
            assertArrayEquals(without.values(), first.values());
            kept.forEach(both -> List.of(both).forEach(device::release));
        }
    }

    @Test
    void nothingIsAllocatedOrPlannedOnceTheSizesAreKnown() {
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(device)) {
            small.picture();
            // What the plans keep of the first picture's memory has to be found once more.
            small.picture();
            long allocations = gpu.faults().allocations();
            List<String> planned = List.copyOf(gpu.emulatedDnn().planned());
            long memory = gpu.usedMemory();
            small.picture();
            assertEquals(allocations, gpu.faults().allocations());
            assertEquals(planned, gpu.emulatedDnn().planned());
            assertEquals(memory, gpu.usedMemory());
        }
        assertNothingLeft();
    }

    @Test
    void partsThatMakeRoomForEachOtherAreMadeAgainAndSoAreTheirRecordings() {
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(device, 2)) {
            float[] expected = small.picture();
            assertArrayEquals(expected, small.picture());
            long all = gpu.usedMemory();
            small.room.tight(() -> assertArrayEquals(expected, small.picture()));
            assertTrue(gpu.usedMemory() < all, "only the VAE is there");
            assertArrayEquals(expected, small.picture());
        }
        assertNothingLeft();
    }

    @Test
    void runningOutOfMemoryAnywhereIsSurvived() {
        float[] expected;
        long allocations;
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(device, 2)) {
            expected = small.picture();
            allocations = gpu.faults().allocations();
        }
        assertNothingLeft();
        for (long n = 1; n <= allocations; n += Math.max(1, allocations / 12)) {
            EmulatedGpu poor = EmulatedGpu.fast();
            poor.faults().failAllocation(n);
            boolean failed = false;
            try (Device device = CudaDeviceTest.open(poor, Precision.FP16); SmallModel small = new SmallModel(device, 2)) {
                try {
                    small.picture();
                } catch (OutOfDeviceMemoryException e) {
                    failed = true;
                    small.diffusion.trim();
                    device.trim();
                }
                assertArrayEquals(expected, small.picture(), "after allocation " + n);
            } catch (OutOfDeviceMemoryException e) {
                failed = true;
            }
            assertTrue(failed || poor.faults().allocations() > n, "allocation " + n);
            assertEquals(0, poor.usedMemory(), "bytes left after allocation " + n);
            assertEquals(0, poor.openHandles(), "handles left after allocation " + n);
        }
    }

    /** Once the ways are chosen: one that fails while it is tried is passed over. */
    @ParameterizedTest
    @ValueSource(ints = {1, 40, 90, 140})
    void aRefusedLaunchIsOneSentenceAndTheDeviceGoesOn(int launch) {
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(device)) {
            gpu.faults().failLaunch(launch);
            try {
                small.picture();
                // Refused while it was recorded, which the second try made good.
                assertFalse(device.description().contains("made to fail"), device.description());
            } catch (DeviceException e) {
                assertSentence(e);
            }
            small.picture();
        }
        assertNothingLeft();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 100, 300, 500})
    void aLostDeviceSaysSoInOneSentenceAndCanBeClosed(int call) {
        try (Device device = open(Precision.FP16); SmallModel small = new SmallModel(device)) {
            gpu.faults().loseAt(gpu.faults().calls() + call);
            assertSentence(assertThrows(DeviceException.class, small::picture));
            assertSentence(assertThrows(DeviceException.class, small::picture));
        }
    }

    private static void assertSentence(DeviceException e) {
        assertTrue(!e.getMessage().isBlank() && e.getMessage().lines().count() == 1, e.getMessage());
    }

    private void assertNothingLeft() {
        assertEquals(0, gpu.usedMemory());
        assertEquals(0, gpu.openHandles());
    }

    /** The same device, whose recordings call their work every time. */
    private static Device withoutGraphs(Device device) {
        return (Device) Proxy.newProxyInstance(Device.class.getClassLoader(), new Class<?>[] {Device.class}, (proxy, method, arguments) -> {
            if (method.getName().equals("record")) {
                Runnable work = (Runnable) arguments[0];
                return new Device.Recording() {
                    @Override
                    public void run() {
                        try (var scope = device.scope()) {
                            work.run();
                        }
                    }

                    @Override
                    public void close() {
                        // Its tensors were the device's.
                    }
                };
            }
            try {
                return method.invoke(device, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    private static void assertClose(float[] expected, float[] found, double limit) {
        assertEquals(expected.length, found.length);
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += Math.pow((double) found[i] - expected[i], 2);
            norm += (double) expected[i] * expected[i];
        }
        double error = Math.sqrt(difference / norm);
        assertTrue(error <= limit, "relative error " + error + ", at most " + limit + " expected");
    }
}
