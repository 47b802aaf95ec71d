package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class OpenMpTest {
    @BeforeAll
    static void load() {
        NativeLibraries.load();
    }

    @Test
    void aThreadIsAloneForAWhile() {
        assertTrue(OpenMp.canBeAlone());
        int before = OpenMp.threads();
        assertEquals(Threads.count(), before);
        OpenMp.alone(() -> assertEquals(1, OpenMp.threads()));
        assertEquals(before, OpenMp.threads());
    }

    @Test
    void itIsNotAfterAFailureEither() {
        int before = OpenMp.threads();
        assertThrows(IllegalStateException.class, () -> OpenMp.alone(() -> {
            throw new IllegalStateException();
        }));
        assertEquals(before, OpenMp.threads());
    }
}
