package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.ptx.Emulator;
import io.invadapter.kernels.cuda.ptx.PtxException;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The emulated cuDNN against plain float64 sums, and what it refuses. */
class EmulatedDnnTest {
    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final EmulatedDnn dnn = new EmulatedDnn(driver);
    private final EmulatedMemory memory = new EmulatedMemory(driver.emulator());
    private final Random random = new Random(1);

    @AfterEach
    void close() {
        dnn.close();
        driver.close();
    }

    private float[] random(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = random.nextInt(-32, 33) / 16f;
        }
        return values;
    }

    private long upload(DataType type, float[] values) {
        long address = driver.allocate((long) values.length * type.bytes());
        memory.write(type, address, values, 0, values.length);
        return address;
    }

    private Dnn.Plan plan(Dnn.Shape shape, boolean withScratch) {
        List<Candidate<Dnn.Plan>> candidates = dnn.propose(shape).candidates();
        return (withScratch ? candidates.getFirst() : candidates.getLast()).prepare();
    }

    private void convolution(Dnn.Shape s, boolean withScratch) {
        float[] x = random(s.batch() * s.height() * s.width() * s.inChannels());
        float[] w = random(s.outChannels() * s.kernelHeight() * s.kernelWidth() * s.inChannels());
        float[] bias = random(s.outChannels());
        float[] residual = random(s.batch() * s.outHeight() * s.outWidth() * s.outChannels());
        Dnn.Plan plan = plan(s, withScratch);
        assertEquals(withScratch && s.kernelHeight() > 1, plan.workspaceBytes() > 0);
        long y = driver.allocate((long) residual.length * s.type().bytes());
        plan.run(upload(s.type(), x), upload(s.type(), w), upload(s.type(), bias),
                s.residual() ? upload(s.type(), residual) : 0, y,
                plan.workspaceBytes() == 0 ? 0 : driver.allocate(plan.workspaceBytes()), null);
        float[] found = memory.read(s.type(), y, residual.length);
        double ulp = s.type() == DataType.FLOAT32 ? 1e-6 : s.type() == DataType.FLOAT16 ? 1e-3 : 8e-3;
        int at = 0;
        for (int image = 0; image < s.batch(); image++) {
            for (int row = 0; row < s.outHeight(); row++) {
                for (int column = 0; column < s.outWidth(); column++) {
                    for (int o = 0; o < s.outChannels(); o++, at++) {
                        double expected = bias[o] + (s.residual() ? residual[at] : 0);
                        for (int i = 0; i < s.kernelHeight(); i++) {
                            for (int j = 0; j < s.kernelWidth(); j++) {
                                int r = row * s.stride() + i - s.padding();
                                int c = column * s.stride() + j - s.padding();
                                for (int k = 0; r >= 0 && c >= 0 && r < s.height() && c < s.width() && k < s.inChannels(); k++) {
                                    expected += (double) x[((image * s.height() + r) * s.width() + c) * s.inChannels() + k]
                                            * w[((o * s.kernelHeight() + i) * s.kernelWidth() + j) * s.inChannels() + k];
                                }
                            }
                        }
                        assertEquals(expected, found[at], ulp * Math.max(1, Math.abs(expected)));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT16", "BFLOAT16"})
    void convolutionsAreRight(DataType type) {
        convolution(new Dnn.Shape(type, 2, 9, 11, 8, 16, 3, 3, 1, 1, true), true);
        convolution(new Dnn.Shape(type, 1, 9, 10, 4, 5, 3, 3, 2, 1, false), false);
        convolution(new Dnn.Shape(type, 2, 7, 5, 3, 8, 3, 3, 2, 0, false), true);
        convolution(new Dnn.Shape(type, 3, 6, 4, 16, 8, 1, 1, 1, 0, true), true);
        convolution(new Dnn.Shape(type, 1, 2, 2, 8, 8, 3, 3, 1, 1, false), true);
    }

    @Test
    void enginesAreAsTheTestWantsThem() {
        Dnn.Shape shape = new Dnn.Shape(DataType.FLOAT16, 1, 8, 8, 8, 8, 3, 3, 1, 1, false);
        List<Candidate<Dnn.Plan>> usual = dnn.propose(shape).candidates();
        assertEquals(List.of(1280L, 0L), usual.stream().map(c -> c.prepare().workspaceBytes()).toList());
        assertTrue(usual.getLast().isLastResort());
        assertThrows(CudaException.class,
                () -> plan(new Dnn.Shape(DataType.FLOAT16, 1, 1, 1, 8, 8, 3, 3, 1, 0, false), false));
        dnn.proposes(EmulatedEngine.of("a", 1, 2).refusing("no"), EmulatedEngine.of("b", 3, 4).compiledAtRunTime().failing("never"));
        List<Candidate<Dnn.Plan>> candidates = dnn.propose(shape).candidates();
        assertEquals("cuDNN failed: CUDNN_STATUS_NOT_SUPPORTED (no)",
                assertThrows(CudaException.class, candidates.getFirst()::prepare).getMessage());
        assertEquals(List.of("compiled at run time"), candidates.getLast().notes());
        Dnn.Plan failing = candidates.getLast().prepare();
        assertEquals("cuDNN failed: CUDNN_STATUS_EXECUTION_FAILED (never)",
                assertThrows(CudaException.class, () -> failing.run(16, 16, 16, 0, 16, 0, null)).getMessage());
        assertEquals(3, dnn.open());
        failing.close();
        assertThrows(CudaException.class, failing::close);
        assertEquals(List.of(shape + ": a", shape + ": b"), dnn.planned().subList(3, 5));
    }

    @Test
    void aPlanMayLeaveOutTheBiasAndMayNotBeClosedBeforeItsWorkIsDone() {
        dnn.proposes(EmulatedEngine.of("plain", 1, 1).withoutBias());
        Dnn.Shape shape = new Dnn.Shape(DataType.FLOAT32, 1, 1, 1, 1, 1, 1, 1, 1, 0, false);
        Dnn.Plan plan = plan(shape, false);
        assertFalse(plan.addsBias());
        long x = upload(DataType.FLOAT32, new float[] {3});
        long y = upload(DataType.FLOAT32, new float[] {0});
        plan.run(x, x, x, 0, y, 0, null);
        assertEquals(9, memory.read(DataType.FLOAT32, y, 1)[0]);
        CudaDriver.Stream stream = driver.newStream();
        plan.run(x, x, x, 0, y, 0, stream);
        plan.close();
        assertThrows(CudaException.class, stream::synchronize);
    }

    @Test
    void refusesWhatCudnnRefusesOrTurnsIntoGarbage() {
        Dnn.Shape shape = new Dnn.Shape(DataType.FLOAT16, 1, 4, 4, 8, 8, 3, 3, 1, 1, false);
        long x = upload(DataType.FLOAT16, random(128));
        long w = upload(DataType.FLOAT16, random(576));
        long b = upload(DataType.FLOAT16, random(8));
        long y = driver.allocate(256);
        Dnn.Plan plan = plan(shape, true);
        long ws = driver.allocate(plan.workspaceBytes());
        plan.run(x, w, b, 0, y, ws, null);
        assertThrows(CudaException.class, () -> plan.run(0, w, b, 0, y, ws, null));
        assertThrows(CudaException.class, () -> plan.run(x, w + 8, b, 0, y, ws, null));
        assertThrows(CudaException.class, () -> plan.run(x, w, b, 0, y, 0, null));
        assertThrows(CudaException.class, () -> plan.run(x, w, b, 0, x, ws, null));
        assertThrows(IllegalArgumentException.class, () -> plan.run(x, w, b, y, y, ws, null), "a residual that the shape lacks");
        assertThrows(PtxException.class, () -> plan.run(x, w, b, 0, y, driver.allocate(plan.workspaceBytes() - 1), null));
        assertThrows(PtxException.class, () -> plan.run(x, w, b, 0, driver.allocate(240), ws, null));
        assertThrows(PtxException.class, () -> plan.run(driver.allocate(256), w, b, 0, y, ws, null), "never written");
        Dnn.Plan adding = plan(new Dnn.Shape(DataType.FLOAT16, 1, 4, 4, 8, 8, 3, 3, 1, 1, true), false);
        assertThrows(IllegalArgumentException.class, () -> adding.run(x, w, b, 0, y, 0, null));
        assertThrows(CudaException.class, () -> adding.run(x, w, b, y, y, 0, null));
        dnn.close();
        assertThrows(CudaException.class, () -> plan.run(x, w, b, 0, y, ws, null));
    }

    @Test
    void waitsInItsStreamAndCanBeRecordedOncePlanned() {
        Dnn.Shape shape = new Dnn.Shape(DataType.FLOAT32, 1, 1, 1, 1, 1, 1, 1, 1, 0, false);
        CudaDriver.Stream stream = driver.newStream();
        assertThrows(CudaException.class, () -> driver.record(stream, () -> plan(shape, false)));
        Dnn.Plan plan = plan(shape, false);
        long x = upload(DataType.FLOAT32, new float[] {3});
        long y = upload(DataType.FLOAT32, new float[] {0});
        CudaDriver.Graph graph = driver.record(stream, () -> plan.run(x, x, x, 0, y, 0, stream));
        graph.launch(stream);
        assertEquals(0, memory.read(DataType.FLOAT32, y, 1)[0]);
        stream.synchronize();
        assertEquals(12, memory.read(DataType.FLOAT32, y, 1)[0]);
    }
}
