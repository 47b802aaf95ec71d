package io.invadapter.kernels.cuda;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every kernel against its plain reference, on the emulator or, with {@code -Dcuda.driver=jcuda}, on a GPU. */
class KernelsTest {
    private static Bench bench;

    @BeforeAll
    static void open() {
        bench = Bench.open();
    }

    @AfterAll
    static void close() {
        bench.close();
    }

    private static Stream<DynamicTest> tests(List<KernelCase> cases) {
        return cases.stream().map(c -> DynamicTest.dynamicTest(c.name(), () -> c.run(bench)));
    }

    @TestFactory
    Stream<DynamicTest> attention() {
        return tests(AttentionCases.all());
    }

    @TestFactory
    Stream<DynamicTest> normalisation() {
        return tests(NormalisationCases.all());
    }

    @TestFactory
    Stream<DynamicTest> pointwise() {
        return tests(PointwiseCases.all());
    }

    @TestFactory
    Stream<DynamicTest> identityOfStrengthZeroIsPlainAttention() {
        return Stream.of(40, 64, 80, 160, 32, 96, 157).map(size -> DynamicTest.dynamicTest("head size " + size,
                () -> AttentionCases.sameWithoutIdentity(bench, size)));
    }
}
