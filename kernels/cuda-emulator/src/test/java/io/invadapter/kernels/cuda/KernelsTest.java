package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import java.util.EnumMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every kernel against its plain reference, on the emulator or, with {@code -Dcuda.driver=jcuda}, on a GPU. */
class KernelsTest {
    private static final Map<DataType, Bench> BENCHES = new EnumMap<>(DataType.class);

    @BeforeAll
    static void open() {
        for (DataType type : KernelLibrary.TYPES) {
            BENCHES.put(type, Bench.open(type));
        }
    }

    @AfterAll
    static void close() {
        BENCHES.values().forEach(Bench::close);
    }

    private static Stream<DynamicTest> tests(DataType type) {
        return KernelCases.all(type).stream()
                .map(c -> DynamicTest.dynamicTest(c.name() + ", " + type, () -> c.run(BENCHES.get(type))));
    }

    @TestFactory
    Stream<DynamicTest> float16() {
        return tests(DataType.FLOAT16);
    }

    @TestFactory
    Stream<DynamicTest> bfloat16() {
        return tests(DataType.BFLOAT16);
    }

    @TestFactory
    Stream<DynamicTest> float32() {
        return tests(DataType.FLOAT32);
    }
}
