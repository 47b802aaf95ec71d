package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DescriptorsTest {

    /** What is plain is computed in float32, or in Java. */
    @ParameterizedTest
    @CsvSource({
        "amd64, ref:any, true",
        "amd64, gemm:jit:bf16, false",
        "amd64, brg_matmul:avx2, false",
        "aarch64, ref:any, true",
        "aarch64, gemm:jit:bf16, true",
        "aarch64, gemm:jit:f32, false",
        "aarch64, brgconv:sve_256, false"})
    void whatIsPlain(String architecture, String implementation, boolean plain) {
        assertEquals(plain, Descriptors.isPlain(architecture, implementation));
    }
}
