package io.invadapter.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TensorPoolTest {

    /** Hands out addresses that never come twice and sees to it that each is freed at most once, in its own size. */
    private static final class FakeMemory implements TensorPool.Memory {
        private final Map<Long, Long> live = new HashMap<>();
        private final long limit;
        private long next = 4096;
        private int allocations;

        FakeMemory(long limit) {
            this.limit = limit;
        }

        @Override
        public long allocate(long bytes) {
            assertTrue(bytes > 0);
            if (used() + bytes > limit) {
                throw new OutOfDeviceMemoryException("no room for " + bytes);
            }
            allocations++;
            long address = next;
            next += bytes + 4096;
            live.put(address, bytes);
            return address;
        }

        @Override
        public void free(long address, long bytes) {
            assertEquals(bytes, live.remove(address));
        }

        long used() {
            return live.values().stream().mapToLong(Long::longValue).sum();
        }
    }

    private final FakeMemory memory = new FakeMemory(1 << 20);
    private final TensorPool pool = new TensorPool(memory);

    private List<Long> pass() {
        List<Long> addresses = new ArrayList<>();
        try (Scope outer = pool.scope()) {
            addresses.add(pool.tensor(DataType.FLOAT32, 2, 3, 5).address());
            Tensor result;
            try (Scope inner = pool.scope()) {
                Tensor large = pool.tensor(DataType.BFLOAT16, 1, 77, 40);
                addresses.add(large.address());
                inner.release(large);
                addresses.add(pool.tensor(DataType.BFLOAT16, 1, 77, 40).address());
                result = inner.keep(pool.tensor(DataType.FLOAT32, 7));
            }
            addresses.add(result.address());
            addresses.add(pool.tensor(DataType.BFLOAT16, 1, 77, 40).address());
        }
        return addresses;
    }

    @Test
    void addressesRepeatFromPassToPass() {
        pass();
        int allocations = memory.allocations;
        long held = pool.bytesHeld();
        List<Long> second = pass();
        for (int i = 0; i < 3; i++) {
            assertEquals(second, pass());
        }
        assertEquals(allocations, memory.allocations, "later passes take nothing from the device");
        assertEquals(held, pool.bytesHeld());
        assertEquals(held, memory.used());
    }

    @Test
    void releasedMemoryIsUsedAgainAtOnce() {
        List<Long> addresses = pass();
        assertEquals(addresses.get(1), addresses.get(2));
        assertEquals(addresses.get(1), addresses.get(4));
    }

    @Test
    void aTensorCannotBeUsedAfterItsScope() {
        Tensor tensor;
        Tensor view;
        try (Scope scope = pool.scope()) {
            tensor = pool.tensor(DataType.FLOAT32, 2, 6, 4);
            view = tensor.map(2, 3).columns(1, 2);
            tensor.address();
        }
        assertThrows(IllegalStateException.class, tensor::address);
        assertThrows(IllegalStateException.class, view::address);
        Tensor reuser = pool.tensor(DataType.FLOAT32, 2, 6, 4);
        reuser.address();
        assertThrows(IllegalStateException.class, tensor::address, "even when its memory belongs to another");
    }

    @Test
    void earlyReleaseEndsATensorOnce() {
        try (Scope scope = pool.scope()) {
            Tensor early = pool.tensor(DataType.FLOAT32, 8);
            Tensor other = pool.tensor(DataType.FLOAT32, 8);
            scope.release(early);
            scope.release(early);
            assertThrows(IllegalStateException.class, early::address);
            other.address();
        }
        long a = pool.tensor(DataType.FLOAT32, 8).address();
        long b = pool.tensor(DataType.FLOAT32, 8).address();
        assertNotEquals(a, b, "a block given back twice would be handed out twice");
    }

    @Test
    void keepHandsATensorToTheSurroundingScope() {
        Tensor kept;
        try (Scope outer = pool.scope()) {
            try (Scope inner = pool.scope()) {
                kept = pool.tensor(DataType.FLOAT32, 3);
                assertEquals(kept, inner.keep(kept));
            }
            kept.address();
        }
        assertThrows(IllegalStateException.class, kept::address);
    }

    @Test
    void keepOfTheOutermostScopeLeavesATensorToItsOwner() {
        Tensor kept;
        try (Scope scope = pool.scope()) {
            kept = scope.keep(pool.tensor(DataType.FLOAT32, 3));
        }
        kept.address();
        pool.release(kept);
        assertThrows(IllegalStateException.class, kept::address);
    }

    @Test
    void keepOfThePoolTakesATensorOutOfEveryScope() {
        Tensor kept;
        try (Scope outer = pool.scope()) {
            kept = pool.tensor(DataType.FLOAT32, 3);
            try (Scope inner = pool.scope()) {
                pool.keep(kept.reshape(1, 3));
            }
        }
        kept.address();
        pool.release(kept);
        assertThrows(IllegalStateException.class, kept::address);
        pool.close();
        assertEquals(0, memory.used());
    }

    @Test
    void scopesCloseInReverseOrder() {
        Scope outer = pool.scope();
        Scope inner = pool.scope();
        assertThrows(IllegalStateException.class, outer::close);
        inner.close();
        inner.close();
    }

    @Test
    void trimGivesBackOnlyWhatIsNotInUse() {
        Tensor used = pool.keep(pool.tensor(DataType.FLOAT32, 100));
        pass();
        assertTrue(pool.bytesHeld() > 512);
        pool.trim();
        assertEquals(512, pool.bytesHeld());
        assertEquals(512, memory.used());
        used.address();
    }

    /** A pass with one block of {@code size} floats. */
    private void passOf(int size) {
        try (Scope scope = pool.scope()) {
            pool.tensor(DataType.FLOAT32, size);
        }
    }

    @Test
    void whatOneSizeNeededIsNotKeptForEver() {
        for (int size = 1; size <= 100; size++) {
            passOf(64 * size);
            assertTrue(pool.bytesHeld() <= 4 * 256 * size, size + ": " + pool.bytesHeld());
            assertEquals(memory.used(), pool.bytesHeld());
        }
    }

    @Test
    void sizesThatTakeTurnsKeepTheirMemory() {
        for (int round = 0; round < 400; round++) {
            for (int size = 1; size <= 4; size++) {
                passOf(64 * size);
            }
        }
        assertEquals(4, memory.allocations);
    }

    @Test
    void memoryOfALargePassGoesBackThoughNothingElseIsNeeded() {
        passOf(64);
        passOf(100_000);
        for (int i = 0; i < 600; i++) {
            passOf(64);
        }
        assertEquals(256, pool.bytesHeld());
        assertEquals(256, memory.used());
    }

    @Test
    void whatAPassUsesStaysItsOwnWhileItLasts() {
        List<Long> second = new ArrayList<>();
        for (int round = 0; round < 2; round++) {
            second.clear();
            try (Scope scope = pool.scope()) {
                for (int i = 1; i <= 20; i++) {
                    Tensor tensor = pool.tensor(DataType.FLOAT32, 64 * i);
                    second.add(tensor.address());
                    scope.release(tensor);
                }
            }
        }
        assertEquals(20, memory.allocations, "a long pass asks for its memory once");
        assertEquals(20, second.stream().distinct().count());
    }

    @Test
    void unusedMemoryOfOtherSizesMakesRoom() {
        try (Scope scope = pool.scope()) {
            pool.tensor(DataType.FLOAT32, 200_000);
        }
        Tensor other = pool.tensor(DataType.FLOAT32, 150_000);
        other.address();
        assertEquals(memory.used(), pool.bytesHeld());
        assertThrows(OutOfDeviceMemoryException.class, () -> pool.tensor(DataType.FLOAT32, 150_001));
    }

    @Test
    void extentsArePositive() {
        assertThrows(IllegalArgumentException.class, () -> pool.tensor(DataType.FLOAT32, 2, 0));
        assertThrows(IllegalArgumentException.class, () -> pool.tensor(DataType.FLOAT32, -1, -1));
    }

    @Test
    void viewsLookAtTheSameMemory() {
        Tensor t = pool.tensor(DataType.BFLOAT16, 2, 6, 10);
        assertArrayEquals(new int[] {2, 2, 3, 10}, t.map(2, 3).shape());
        assertArrayEquals(t.shape(), t.map(2, 3).tokens().shape());
        Tensor columns = t.columns(4, 3);
        assertEquals(t.address() + 8, columns.address());
        assertEquals(10, columns.rowStride());
        assertFalse(columns.isContiguous());
        assertEquals(t.address() + 2 * (60 + 4), columns.rows(1, 1).address());
        assertThrows(IllegalArgumentException.class, columns::tokens);
        assertThrows(IllegalArgumentException.class, () -> t.columns(8, 3));
        assertThrows(IllegalArgumentException.class, () -> t.columns(-1, 3));
        assertThrows(IllegalArgumentException.class, () -> t.rows(1, 2));
        assertThrows(IllegalArgumentException.class, () -> t.reshape(2, 59));
    }
}
