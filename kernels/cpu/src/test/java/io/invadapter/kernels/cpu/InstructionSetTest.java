package io.invadapter.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InstructionSetTest {

    /** oneDNN numbers both from 1. */
    @ParameterizedTest
    @CsvSource({
        "amd64, 1, SSE 4.1",
        "amd64, 7, AVX2",
        "amd64, 39, AVX-512",
        "aarch64, 1, NEON",
        "aarch64, 3, SVE of 128 bits",
        "aarch64, 7, SVE of 256 bits",
        "aarch64, 39, SVE of 512 bits",
        "aarch64, 2, instruction set 2"})
    void namesAreTheProcessorsOwn(String architecture, int isa, String name) {
        assertEquals(name, InstructionSet.name(architecture, isa));
    }
}
