package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
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

    private static Stream<DynamicTest> tests(DataType type, List<KernelCase> cases) {
        return cases.stream().map(c -> DynamicTest.dynamicTest(c.name() + ", " + type, () -> c.run(BENCHES.get(type))));
    }

    @TestFactory
    Stream<DynamicTest> attention() {
        return tests(DataType.FLOAT16, AttentionCases.all());
    }

    @TestFactory
    Stream<DynamicTest> normalisation() {
        return tests(DataType.FLOAT16, NormalisationCases.all());
    }

    @TestFactory
    Stream<DynamicTest> pointwise() {
        return tests(DataType.FLOAT16, PointwiseCases.all());
    }

    @TestFactory
    Stream<DynamicTest> otherTypes() {
        return Stream.of(DataType.BFLOAT16, DataType.FLOAT32).flatMap(type ->
                Stream.of(AttentionCases.few(), NormalisationCases.few(), PointwiseCases.few())
                        .flatMap(cases -> tests(type, cases)));
    }

    @TestFactory
    Stream<DynamicTest> identityOfStrengthZeroIsPlainAttention() {
        return KernelLibrary.TYPES.stream().flatMap(type -> IntStream.of(40, 64, 80, 160, 32, 96, 157, 171).boxed()
                .filter(size -> type == DataType.FLOAT16 || size % 8 == 0 && size <= 80)
                .map(size -> DynamicTest.dynamicTest("head size " + size + ", " + type,
                        () -> AttentionCases.sameWithoutIdentity(BENCHES.get(type), size))));
    }
}
