package io.invadapter.kernels.cuda.dnn;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** Each faulty engine is passed over where it is faulty, and nowhere else. */
class FaultyEnginesTest {
    private static List<Long> passedOver(int capability, long cudnn, int cublas) {
        FaultyEngines faulty = new FaultyEngines(capability, cudnn, cublas);
        return LongStream.range(0, 100).filter(faulty::contains).boxed().toList();
    }

    @Test
    void engine5IsPassedOverOn86WithCudnn923() {
        assertEquals(List.of(), passedOver(86, 92201, 130100));
        assertEquals(List.of(5L), passedOver(86, 92300, 130100));
        assertEquals(List.of(5L), passedOver(86, 92301, 130700));
        assertEquals(List.of(), passedOver(86, 92400, 130100));
        assertEquals(List.of(), passedOver(90, 92301, 130100));
    }

    @Test
    void engines58And63ArePassedOverOn120BeforeCublas1361() {
        assertEquals(List.of(58L, 63L), passedOver(120, 92400, 130600));
        assertEquals(List.of(58L, 63L), passedOver(120, 92400, 120603));
        assertEquals(List.of(), passedOver(120, 92400, 130601));
        assertEquals(List.of(), passedOver(90, 92400, 130600));
    }
}
