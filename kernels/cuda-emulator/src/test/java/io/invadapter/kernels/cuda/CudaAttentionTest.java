package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Attempt;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.choice.Chooser;
import io.invadapter.kernels.cuda.choice.Workspace;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Who computes an attention: this module's kernels, which take 1000 us here, or cuDNN where that is faster. */
class CudaAttentionTest {
    private static final int BATCH = 2;
    private static final int HEADS = 2;
    private static final int TOKENS = 20;
    private static final int SIZE = 40;
    private static final int WIDTH = HEADS * SIZE;

    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final Bench bench = Bench.on(driver, DataType.FLOAT16);
    private final EmulatedDnn dnn = new EmulatedDnn(driver);
    private final CudaDriver.Stream stream = driver.newStream();
    private final Workspace workspace = new Workspace(driver);
    private final ChoiceBook book = ChoiceBook.inMemory();
    private final List<Attempt> attempts = new ArrayList<>();
    private CudaAttention attention = attention(0);

    private final long fused = bench.values(bench.random(new Random(1), BATCH * TOKENS * 3 * WIDTH, 0, 1));
    private final long identityKeys = bench.values(bench.random(new Random(2), TOKENS * WIDTH, 0, 1));
    private final long identityValues = bench.values(bench.random(new Random(3), TOKENS * WIDTH, 0, 1));
    private final long out = bench.result(BATCH * TOKENS * WIDTH);

    private CudaAttention attention(long worthChoosing) {
        Chooser chooser = new Chooser(driver, stream, workspace, book, () -> { });
        chooser.listener((key, attempt) -> attempts.add(attempt));
        return new CudaAttention(bench.library(), dnn, chooser, workspace, worthChoosing);
    }

    CudaAttentionTest() {
        driver.kernelsTake(1000);
    }

    @AfterEach
    void nothingIsLeft() {
        attention.close();
        workspace.close();
        bench.clear();
        assertEquals(0, driver.usedMemory());
        bench.close();
    }

    private Strided part(int which) {
        return Strided.part(fused, DataType.FLOAT16, which, 3, TOKENS, HEADS, SIZE);
    }

    private Attention.Shape shape() {
        return new Attention.Shape(BATCH, HEADS, TOKENS, TOKENS, SIZE, 0.2f);
    }

    /** Each batch row's own keys and values. */
    private Attention.Source own() {
        return new Attention.Source(part(1), part(2), TOKENS, BATCH, 0, 0);
    }

    private Attention.Source identity(float... lambda) {
        return new Attention.Source(Strided.contiguous(identityKeys, TOKENS, HEADS, SIZE),
                Strided.contiguous(identityValues, TOKENS, HEADS, SIZE), TOKENS, 1, bench.ints(-1, 0), bench.floats(lambda));
    }

    /** The kernels that one run launches once it is known who does it; the result is near what the kernels give alone. */
    private List<String> kernels(boolean causal, Attention.Source... sources) {
        float[] expected = alone(causal, sources);
        run(causal, sources);
        int before = driver.launches().size();
        run(causal, sources);
        List<String> kernels = driver.launches().subList(before, driver.launches().size()).stream()
                .map(EmulatorDriver.Launch::kernel).toList();
        assertArrayEquals(expected, result(), 4e-3f);
        return kernels;
    }

    /** Sources that follow the first, which is each row's own. */
    private float[] alone(boolean causal, Attention.Source... others) {
        Attention kernels = new Attention(bench.library());
        Strided to = Strided.contiguous(out, TOKENS, HEADS, SIZE);
        kernels.attention(part(0), part(1), part(2), to, shape(), causal, stream);
        for (Attention.Source source : others) {
            kernels.addSource(part(0), to, source, shape(), stream);
        }
        stream.synchronize();
        return result();
    }

    private float[] result() {
        return bench.readValues(out, BATCH * TOKENS * WIDTH);
    }

    private void run(boolean causal, Attention.Source... others) {
        run(causal, Stream.concat(Stream.of(own()), Stream.of(others)).toList());
    }

    private void run(boolean causal, List<Attention.Source> sources) {
        attention.run(part(0), sources, Strided.contiguous(out, TOKENS, HEADS, SIZE), shape(), causal, stream);
        stream.synchronize();
    }

    @Test
    void theFasterOneIsTaken() {
        dnn.proposesForAttention(EmulatedEngine.of("slow", 2000, 1), EmulatedEngine.of("quick", 500, 1).withScratch(3000));
        assertEquals(List.of(), kernels(false));
        assertEquals(List.of("own kernel", "slow", "quick"), attempts.stream().map(Attempt::name).toList());
        // The identity is added to it.
        assertEquals(List.of("eaa_attention_40_few"), kernels(false, identity(0, 0.7f)));
        // No mask in cuDNN's.
        assertEquals(List.of("attention_40_few"), kernels(true));
        assertEquals(3, attempts.size(), "chosen once");
    }

    @Test
    void ownKernelsStayWhereTheyAreFaster() {
        dnn.proposesForAttention(EmulatedEngine.of("slow", 2000, 1));
        assertEquals(List.of("attention_40_few"), kernels(false));
        assertEquals(List.of("eaa_attention_40_few"), kernels(false, identity(0, 0.7f)));
    }

    /** Two sources are one launch, and each further one is a launch more; after cuDNN's each is one. */
    @Test
    void furtherSourcesAreAdded() {
        dnn.proposesForAttention(EmulatedEngine.of("slow", 2000, 1));
        assertEquals(List.of("eaa_attention_40_few", "eaa_attention_40_few"), kernels(false, identity(0, 0.7f), own()));
        attention.close();
        attention = attention(0);
        dnn.proposesForAttention(EmulatedEngine.of("quick", 500, 1));
        assertEquals(List.of("eaa_attention_40_few", "eaa_attention_40_few"), kernels(false, identity(0, 0.7f), own()));
    }

    /** The plain source is what cuDNN computes wherever it stands; without one there is nothing for cuDNN. */
    @Test
    void thePlainSourceIsTheFirst() {
        dnn.proposesForAttention(EmulatedEngine.of("quick", 500, 1));
        run(false, List.of(own()));
        int before = driver.launches().size();
        float[] expected = alone(false, identity(0, 0.7f));
        assertEquals(2, driver.launches().size() - before);
        run(false, List.of(identity(0, 0.7f), own()));
        assertEquals(3, driver.launches().size() - before);
        assertArrayEquals(expected, result(), 4e-3f);
        run(false, List.of(identity(0, 0.7f)));
        assertEquals(4, driver.launches().size() - before);
        for (int i = 0; i < TOKENS * WIDTH; i++) {
            assertEquals(0, result()[i], "a row that looks at nothing");
        }
    }

    @Test
    void rowsWithoutIdentityAreThoseOfPlainAttention() {
        for (int microseconds : new int[] {500, 2000}) {
            attention.close();
            attention = attention(0);
            dnn.proposesForAttention(EmulatedEngine.of("engine of " + microseconds, microseconds, 1));
            run(false);
            float[] plain = result();
            run(false, identity(0, 0));
            assertArrayEquals(plain, result(), "bit for bit");
        }
    }

    @Test
    void aRefusalLeavesOwnKernelsAndIsTold() {
        dnn.proposesForAttention(EmulatedEngine.of("engine", 500, 1).refusing("no kernel for it"));
        assertEquals(List.of("attention_40_few"), kernels(false));
        assertTrue(attempts.getLast().refusal().contains("no kernel for it"), attempts::toString);
    }

    @Test
    void whatCannotBeRecordedIsNotTaken() {
        dnn.proposesForAttention(EmulatedEngine.of("engine", 500, 1).notRecordable());
        assertEquals(List.of("attention_40_few"), kernels(false));
    }

    @Test
    void itCanBeRecorded() {
        dnn.proposesForAttention(EmulatedEngine.of("engine", 500, 1));
        Attention.Source identity = identity(0, 0.7f);
        run(false, identity);
        float[] expected = result();
        driver.fill(out, (byte) 0, 2L * BATCH * TOKENS * WIDTH);
        try (CudaDriver.Graph graph = driver.record(stream, () -> attention.run(part(0), List.of(own(), identity),
                Strided.contiguous(out, TOKENS, HEADS, SIZE), shape(), false, stream))) {
            graph.launch(stream);
            stream.synchronize();
        }
        assertArrayEquals(expected, result());
    }

    @Test
    void cudnnIsNotAskedForLittle() {
        dnn.proposesForAttention(EmulatedEngine.of("engine", 500, 1));
        attention = attention(CudaAttention.WORTH_CHOOSING);
        assertEquals(List.of("attention_40_few"), kernels(false));
        assertEquals(List.of(), attempts);
    }
}
