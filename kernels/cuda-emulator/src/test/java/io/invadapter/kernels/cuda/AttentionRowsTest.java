package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Which kernel an attention is given to: half the rows per block where more would leave multiprocessors idle. */
class AttentionRowsTest {
    private final EmulatorDriver driver = new EmulatorDriver(new Emulator(1), true);
    private final Bench bench = Bench.on(driver, DataType.FLOAT16);
    private final Random random = new Random(1);

    @AfterEach
    void close() {
        bench.close();
    }

    private String kernel(Attention attention, int batch, int queries, int size) {
        long address = bench.values(bench.random(random, batch * queries * size, 0, 1));
        Strided all = Strided.contiguous(address, queries, 1, size);
        Strided out = Strided.contiguous(bench.result((long) batch * queries * size), queries, 1, size);
        attention.attention(all, all, all, out, new Attention.Shape(batch, 1, queries, 1, size, 1), false, null);
        return driver.launches().getLast().kernel();
    }

    @Test
    void upToOneAndAHalfBlocksPerMultiprocessorHaveHalfTheRows() {
        Attention two = new Attention(bench.library(), 2, 163 * 1024);
        assertEquals("attention_40_few", kernel(two, 1, 128, 40));
        assertEquals("attention_40_few", kernel(two, 3, 128, 40));
        assertEquals("attention_40", kernel(two, 3, 129, 40));
        assertEquals("attention_40", kernel(two, 4, 1, 40));
        assertEquals("attention_160_few", kernel(two, 3, 64, 160));
        assertEquals("attention_160", kernel(two, 2, 65, 160));
    }

    /** Chips with 100 KB hold one block of either kernel for head size 160; halves would take turns. */
    @Test
    void halfTheRowsOnlyWhereTwoBlocksFit() {
        Attention small = new Attention(bench.library(), 2, 99 * 1024);
        assertEquals("attention_160", kernel(small, 1, 64, 160));
        assertEquals("attention_80_few", kernel(small, 1, 128, 80));
        assertEquals("attention_40_few", kernel(small, 1, 128, 40));
    }

    @Test
    void theDriverTellsHowManyThereAre() {
        Attention attention = new Attention(bench.library());
        assertEquals(108, driver.multiprocessors());
        assertEquals("attention_80_few", kernel(attention, 162, 1, 80));
        assertEquals("attention_80", kernel(attention, 163, 1, 80));
    }

    @Test
    void padded() {
        assertEquals("attention_any_32", kernel(new Attention(bench.library()), 1, 1, 32));
    }
}
