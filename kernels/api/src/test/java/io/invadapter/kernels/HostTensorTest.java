package io.invadapter.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class HostTensorTest {
    private final HostTensor matrix = HostTensor.of(new float[] {1, 2, 3, 4, 5, 6}, 3, 2);

    private static HostTensor stored(DataType type, float[] values, int... shape) {
        MemorySegment bytes = MemorySegment.ofArray(new byte[values.length * type.bytes()]);
        Floats.write(values, type, bytes);
        return new HostTensor(type, shape, bytes);
    }

    @Test
    void valuesOfEveryTypeAreReadAsFloats() {
        float[] values = {1, -0.5f, 3};
        for (DataType type : new DataType[] {DataType.FLOAT32, DataType.FLOAT16, DataType.BFLOAT16}) {
            HostTensor tensor = stored(type, values, 3);
            assertEquals(3, tensor.elements());
            assertArrayEquals(values, tensor.toFloats());
        }
    }

    @Test
    void rowsAreTakenWithoutCopying() {
        float[] values = {1, 2, 3, 4, 5, 6};
        HostTensor rows = HostTensor.of(values, 3, 1, 2).rows(1, 2);
        assertArrayEquals(new int[] {2, 1, 2}, rows.shape());
        values[2] = 30;
        assertArrayEquals(new float[] {30, 4, 5, 6}, rows.toFloats());
        assertArrayEquals(new float[] {5, 6}, rows.rows(1, 1).toFloats());
        assertArrayEquals(new float[] {4, 5}, stored(DataType.FLOAT16, new float[] {3, 4, 5}, 3).rows(1, 2).toFloats());
    }

    @Test
    void rowsBeyondTheTensorAreRefused() {
        assertRefused(() -> matrix.rows(2, 2), "FLOAT32[3, 2]");
        assertRefused(() -> matrix.rows(-1, 2), "FLOAT32[3, 2]");
        assertRefused(() -> matrix.rows(0, 0), "FLOAT32[3, 2]");
    }

    @Test
    void anotherShapeOfTheSameElements() {
        assertArrayEquals(new int[] {2, 3, 1}, matrix.reshape(2, 3, 1).shape());
        assertArrayEquals(matrix.toFloats(), matrix.reshape(6).toFloats());
        assertRefused(() -> matrix.reshape(4, 2), "[4, 2]");
    }

    @Test
    void tensorsAreStackedAlongTheFirstAxis() {
        HostTensor stacked = HostTensor.stack(matrix, HostTensor.of(new float[] {7, 8}, 1, 2), matrix.rows(2, 1));
        assertArrayEquals(new int[] {5, 2}, stacked.shape());
        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6, 7, 8, 5, 6}, stacked.toFloats());
        assertArrayEquals(new float[] {1, 2}, HostTensor.stack(stored(DataType.BFLOAT16, new float[] {1}, 1),
                stored(DataType.BFLOAT16, new float[] {2}, 1)).toFloats());
    }

    @Test
    void differentTypesAreStackedAsFloat32() {
        HostTensor stacked = HostTensor.stack(stored(DataType.FLOAT16, new float[] {0.5f, 1}, 1, 2), matrix);
        assertEquals(DataType.FLOAT32, stacked.type());
        assertArrayEquals(new float[] {0.5f, 1, 1, 2, 3, 4, 5, 6}, stacked.toFloats());
    }

    @Test
    void tensorsThatDoNotFitAreNotStacked() {
        for (HostTensor other : new HostTensor[] {
            HostTensor.of(new float[3], 1, 3),
            HostTensor.of(new float[2], 2),
            HostTensor.of(new float[2], 1, 2, 1)}) {
            assertRefused(() -> HostTensor.stack(matrix, other), "FLOAT32[3, 2]", other.toString());
        }
    }

    @Test
    void theDataAreExactlyTheElements() {
        assertRefused(() -> HostTensor.of(new float[5], 3, 2), "[3, 2]", "24", "20");
        assertRefused(() -> new HostTensor(DataType.FLOAT16, new int[] {3}, MemorySegment.ofArray(new byte[7])), "[3]", "6", "7");
    }

    private static void assertRefused(Executable call, String... named) {
        String message = assertThrows(IllegalArgumentException.class, call).getMessage();
        for (String part : named) {
            assertTrue(message.contains(part), () -> "'" + message + "' does not name " + part);
        }
    }
}
