package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Attempt;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** How a device chooses and keeps the ways of its convolutions, on engines whose times are made up. */
class ConvolutionPlansTest {
    private static final int CHANNELS = 8;

    private final EmulatedGpu gpu = EmulatedGpu.fast();
    private final ChoiceBook book = ChoiceBook.inMemory();
    private final List<Attempt> attempts = new ArrayList<>();
    private CudaDevice device = open(gpu);

    private CudaDevice open(EmulatedGpu on) {
        CudaDevice opened = new CudaDevice("cuda:0", Precision.FP32, on.driver(), on.blas(), on.dnn(), book);
        opened.chooser().listener((key, attempt) -> attempts.add(attempt));
        return opened;
    }

    ConvolutionPlansTest() {
        gpu.kernelsTake(3);
    }

    @AfterEach
    void nothingIsLeft() {
        device.close();
        assertEquals(0, gpu.emulatedDnn().open());
        assertEquals(0, gpu.usedMemory());
        assertEquals(0, gpu.openHandles());
    }

    private static float[] counted(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (i * 7 % 11 - 5) / 8f;
        }
        return values;
    }

    private Tensor upload(float[] values, int... shape) {
        return device.upload(DataType.FLOAT32, values, shape);
    }

    private Device.Convolution pointwise() {
        return device.packer().convolution(HostTensor.of(counted(CHANNELS * CHANNELS), CHANNELS, CHANNELS, 1, 1),
                HostTensor.of(counted(CHANNELS), CHANNELS), 1, Device.Padding.NONE, DataType.FLOAT32);
    }

    private float[] expected(float[] x, float[] shift) {
        float[] w = counted(CHANNELS * CHANNELS);
        float[] bias = counted(CHANNELS);
        float[] y = new float[x.length];
        for (int i = 0; i < y.length; i++) {
            y[i] = bias[i % CHANNELS] + (shift == null ? 0 : shift[i % CHANNELS]);
            for (int k = 0; k < CHANNELS; k++) {
                y[i] += x[i - i % CHANNELS + k] * w[i % CHANNELS * CHANNELS + k];
            }
        }
        return y;
    }

    /** One convolution of that many pictures of two pixels; its result must be right. */
    private void convolve(int batch) {
        convolve(batch, pointwise());
    }

    private void convolve(int batch, Device.Convolution layer) {
        float[] x = counted(batch * 2 * CHANNELS);
        float[] shift = counted(CHANNELS);
        try (Scope scope = device.scope()) {
            Tensor input = upload(x, batch, 1, 2, CHANNELS);
            assertArrayEquals(expected(x, null), device.download(device.conv2d(input, layer, null, null)), 1e-5f);
            Tensor shifted = device.conv2d(input, layer, upload(shift, 1, CHANNELS), null);
            assertArrayEquals(expected(x, shift), device.download(shifted), 1e-5f);
            assertTrue(scope != null);
        }
    }

    private List<String> planned() {
        List<String> planned = gpu.emulatedDnn().planned();
        List<String> found = planned.stream().map(p -> p.replaceAll("convolution of FLOAT32 \\[(\\d+),.*: ", "$1 ")).toList();
        planned.clear();
        return found;
    }

    @Test
    void theQuickestKernelIsTakenThoughItLeavesTheBiasToUs() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("slow", 50, 1), EmulatedEngine.of("alone", 9, 40).withoutBias(),
                EmulatedEngine.of("refused", 1, 1).refusing("no such kernel"), EmulatedEngine.of("whole", 20, 1));
        convolve(2);
        assertEquals("alone", book.find(key(2)).orElseThrow().name());
        assertEquals(List.of("slow", "alone", "refused", "whole"), attempts.stream().map(Attempt::name).toList());
        // Its own 9 us, the kernel that adds the bias, and a gap behind each.
        assertEquals(14, attempts.get(1).microseconds(), 0.5);
        assertEquals("cuDNN failed: CUDNN_STATUS_NOT_SUPPORTED (no such kernel)", attempts.get(2).refusal());
        // Where the kernel that adds takes longer than it saves, it loses.
        gpu.emulatedDnn().proposes(EmulatedEngine.of("alone", 17, 1).withoutBias(), EmulatedEngine.of("whole", 20, 1));
        convolve(4);
        assertEquals("whole", book.find(key(4)).orElseThrow().name());
    }

    private static String key(int batch) {
        return "convolution of FLOAT32 [" + batch + ", 1, 2, 8] to 8 channels, kernel 1 x 1, stride 1, padding 0";
    }

    @Test
    void batchesBetweenTakeTheChoiceOfTheNextLargerOne() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("a", 20, 1), EmulatedEngine.of("b", 10, 1), EmulatedEngine.of("c", 30, 1));
        convolve(3);
        assertEquals(List.of("4 a", "4 b", "4 c", "3 b"), planned());
        convolve(4);
        assertEquals(List.of(), planned());
        convolve(5);
        assertEquals(List.of("8 a", "8 b", "8 c", "5 b"), planned());
        convolve(7);
        assertEquals(List.of("7 b"), planned(), "one plan, nothing timed");
        convolve(20);
        assertEquals(List.of("16 a", "16 b", "16 c", "20 b"), planned());
    }

    @Test
    void theChoiceOfTheNextLargerOneIsTakenThoughNotProposed() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("a", 20, 1), EmulatedEngine.of("b", 10, 1));
        gpu.emulatedDnn().proposesFor(3, EmulatedEngine.of("c", 20, 1), EmulatedEngine.of("d", 30, 1));
        convolve(3);
        assertEquals(List.of("4 a", "4 b", "3 b"), planned());
        assertTrue(book.find(key(3)).isEmpty());
    }

    @Test
    void aBatchThatCannotHaveItGetsAChoiceOfItsOwn() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("a", 20, 1), EmulatedEngine.of("b", 10, 1));
        gpu.emulatedDnn().proposesFor(3, EmulatedEngine.of("b", 10, 1).refusing("odd"), EmulatedEngine.of("c", 30, 1),
                EmulatedEngine.of("d", 40, 1));
        convolve(3);
        ChoiceBook.Entry ofFour = book.find(key(4)).orElseThrow();
        assertEquals("b", ofFour.name(), "as it was");
        assertEquals(16, ofFour.microseconds(), 6);
        assertEquals("c", book.find(key(3)).orElseThrow().name());
        device.close();
        EmulatedGpu other = EmulatedGpu.fast();
        other.emulatedDnn().proposes(EmulatedEngine.of("b", 10, 1), EmulatedEngine.of("c", 30, 1));
        try (CudaDevice next = open(other)) {
            device = next;
            convolve(3);
        }
        assertTrue(other.emulatedDnn().planned().getFirst().endsWith(": c"), "once and for all");
        assertEquals(1, other.emulatedDnn().planned().size());
        device = open(EmulatedGpu.fast());
    }

    @Test
    void anotherProcessPreparesOnlyWhatWasChosen() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("a", 20, 1), EmulatedEngine.of("b", 10, 1));
        convolve(2);
        device.close();
        attempts.clear();
        EmulatedGpu other = EmulatedGpu.fast();
        other.emulatedDnn().proposes(EmulatedEngine.of("a", 20, 1), EmulatedEngine.of("b", 10, 1));
        try (CudaDevice next = open(other)) {
            device = next;
            convolve(2);
        }
        assertEquals(1, other.emulatedDnn().planned().size());
        assertTrue(other.emulatedDnn().planned().getFirst().endsWith(": b"));
        assertEquals(List.of(), attempts);
        device = open(EmulatedGpu.fast());
    }

    @Test
    void onlyTheHungriestWayIsGivenUp() {
        Device.Convolution layer = pointwise();
        gpu.totalMemory(gpu.usedMemory() + (6L << 20));
        gpu.emulatedDnn().proposes(EmulatedEngine.of("hungry", 5, 1).withScratch(64L << 20),
                EmulatedEngine.of("modest", 10, 1).withScratch(1L << 20), EmulatedEngine.of("slow", 20, 1));
        convolve(2, layer);
        assertEquals("modest", book.find(key(2)).orElseThrow().name());
    }

    @Test
    void whereNoneWorksOneSentenceSaysWhyOfEach() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("a", 1, 1).refusing("odd"), EmulatedEngine.of("b", 1, 1).failing("never"));
        DeviceException e = assertThrows(DeviceException.class, () -> convolve(2));
        assertEquals(key(2) + " cannot be computed: a: cuDNN failed: CUDNN_STATUS_NOT_SUPPORTED (odd); b: cuDNN failed:"
                + " CUDNN_STATUS_EXECUTION_FAILED (never)", e.getMessage());
    }

    private Device.Recording recording(Tensor x, Tensor y, Device.Convolution layer) {
        return device.record(() -> device.copy(device.conv2d(x, layer, null, null), y));
    }

    @Test
    void whatCannotBeRecordedGoesOnOneByOneForGood() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("engine", 5, 1).notRecordable(),
                EmulatedEngine.of("another", 10, 1).notRecordable());
        float[] values = counted(2 * CHANNELS);
        try (Scope scope = device.scope()) {
            Tensor x = upload(values, 1, 1, 2, CHANNELS);
            Tensor y = upload(new float[values.length], 1, 1, 2, CHANNELS);
            assertFalse(device.description().contains("graph"), device.description());
            try (Device.Recording recording = recording(x, y, pointwise())) {
                long[] calls = new long[5];
                for (int run = 0; run < calls.length; run++) {
                    device.write(y, new float[values.length]);
                    long before = gpu.faults().calls();
                    recording.run();
                    calls[run] = gpu.faults().calls() - before;
                    assertArrayEquals(expected(values, null), device.download(y), 1e-5f);
                }
                assertTrue(calls[3] < calls[1] && calls[4] == calls[3], "tried twice: " + Arrays.toString(calls));
            }
            assertTrue(device.description().endsWith(", launching one by one what cannot be recorded as a graph (engine cannot be done"
                    + " while a graph is recorded)"), device.description());
            assertTrue(scope != null);
        }
        assertEquals("engine cannot be done while a graph is recorded", book.find(CudaDevice.NOT_RECORDABLE).orElseThrow().name());
        assertTrue(book.find(key(1)).isEmpty(), "nothing to rely on: the next process looks again");
    }

    @Test
    void aSecondTryMayRecordIt() {
        book.put(CudaDevice.NOT_RECORDABLE, new ChoiceBook.Entry("an earlier process could not", Double.NaN));
        float[] values = counted(2 * CHANNELS);
        try (Scope scope = device.scope()) {
            Tensor x = upload(values, 1, 1, 2, CHANNELS);
            Tensor y = upload(new float[values.length], 1, 1, 2, CHANNELS);
            try (Device.Recording recording = recording(x, y, pointwise())) {
                recording.run();
                gpu.faults().failConvolution(1);
                recording.run();
                assertTrue(book.find(CudaDevice.NOT_RECORDABLE).isPresent(), "nothing is known yet");
                long given = gpu.emulatedDnn().calls();
                recording.run();
                recording.run();
                assertEquals(given + 1, gpu.emulatedDnn().calls(), "recorded, replayed");
                assertArrayEquals(expected(values, null), device.download(y), 1e-5f);
            }
            assertFalse(device.description().contains("one by one"), device.description());
            assertTrue(book.find(CudaDevice.NOT_RECORDABLE).isEmpty(), "it holds no more");
            assertTrue(scope != null);
        }
    }

    @Test
    void theHandlesAreClosedBeforeTheStreamThatTheyName() {
        List<Integer> open = new ArrayList<>();
        EmulatedGpu other = EmulatedGpu.fast();
        Blas blas = (Blas) Proxy.newProxyInstance(Blas.class.getClassLoader(), new Class<?>[] {Blas.class}, (proxy, method, arguments) -> {
            if (method.getName().equals("close")) {
                open.add(other.openHandles());
            }
            return method.invoke(other.blas(), arguments);
        });
        new CudaDevice("cuda:0", Precision.FP32, other.driver(), blas, other.dnn(), ChoiceBook.inMemory()).close();
        assertEquals(List.of(1), open);
        assertEquals(0, other.openHandles());
    }

    @Test
    void aPlanInARecordingOutlivesManyOthers() {
        float[] values = counted(2 * CHANNELS);
        try (Scope scope = device.scope()) {
            Tensor x = upload(values, 1, 1, 2, CHANNELS);
            Tensor y = upload(new float[values.length], 1, 1, 2, CHANNELS);
            Device.Convolution layer = pointwise();
            Device.Recording recording = recording(x, y, layer);
            recording.run();
            recording.run();
            Device.Recording closed = recording(upload(counted(3 * CHANNELS), 1, 1, 3, CHANNELS),
                    upload(counted(3 * CHANNELS), 1, 1, 3, CHANNELS), layer);
            closed.run();
            closed.run();
            closed.close();
            for (int width = 4; width < 5 + ConvolutionPlans.MOST; width++) {
                try (Scope inner = device.scope()) {
                    device.conv2d(upload(new float[width * CHANNELS], 1, 1, width, CHANNELS), layer, null, null);
                    device.settle();
                    assertTrue(inner != null);
                }
            }
            assertEquals(ConvolutionPlans.MOST, gpu.emulatedDnn().open(), "those used longest ago are closed");
            device.write(y, new float[values.length]);
            recording.run();
            assertArrayEquals(expected(values, null), device.download(y), 1e-5f);
            recording.close();
            assertTrue(scope != null);
        }
    }

    @Test
    void recordingsThatNameAnOutgrownWorkspaceStayRight() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("small", 5, 1).withScratch(1L << 20));
        float[] values = counted(2 * CHANNELS);
        try (Scope scope = device.scope()) {
            Tensor x = upload(values, 1, 1, 2, CHANNELS);
            Tensor y = upload(new float[values.length], 1, 1, 2, CHANNELS);
            try (Device.Recording recording = recording(x, y, pointwise())) {
                recording.run();
                recording.run();
                gpu.emulatedDnn().proposes(EmulatedEngine.of("large", 5, 1).withScratch(5L << 20));
                convolve(2);
                device.write(y, new float[values.length]);
                recording.run();
                assertArrayEquals(expected(values, null), device.download(y), 1e-5f);
            }
            assertTrue(scope != null);
        }
    }

    @Test
    void oneWorkspaceServesAllShapes() {
        gpu.emulatedDnn().proposes(EmulatedEngine.of("engine", 5, 1).withScratch(8L << 20));
        convolve(1);
        long used = gpu.usedMemory();
        for (int batch : new int[] {2, 4, 8}) {
            convolve(batch);
        }
        assertTrue(gpu.usedMemory() - used < 1L << 20, Arrays.toString(new long[] {used, gpu.usedMemory()}));
    }
}
