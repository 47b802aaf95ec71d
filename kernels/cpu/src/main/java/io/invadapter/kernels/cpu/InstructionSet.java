package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

/** The instructions oneDNN found on this processor. */
final class InstructionSet {

    private InstructionSet() {
    }

    /** E.g. {@code AVX-512 with bfloat16}. */
    static String name() {
        return name(System.getProperty("os.arch"), dnnl_get_effective_cpu_isa());
    }

    /** @param isa of oneDNN, which gives the same numbers another meaning on ARM */
    static String name(String architecture, int isa) {
        return architecture.equals("aarch64") ? arm(isa) : x86(isa);
    }

    private static String x86(int isa) {
        return isa == dnnl_cpu_isa_avx512_core_amx || isa == dnnl_cpu_isa_avx512_core_amx_fp16 ? "AMX"
                : isa == dnnl_cpu_isa_avx512_core_fp16 || isa == dnnl_cpu_isa_avx512_core_bf16 ? "AVX-512 with bfloat16"
                : isa == dnnl_cpu_isa_avx512_core || isa == dnnl_cpu_isa_avx512_core_vnni ? "AVX-512"
                : isa == dnnl_cpu_isa_avx2 || isa == dnnl_cpu_isa_avx2_vnni || isa == dnnl_cpu_isa_avx2_vnni_2 ? "AVX2"
                : isa == dnnl_cpu_isa_sse41 ? "SSE 4.1"
                : "instruction set " + isa;
    }

    private static String arm(int isa) {
        return switch (isa) {
            case 0x1 -> "NEON";
            case 0x3 -> "SVE of 128 bits";
            case 0x7 -> "SVE of 256 bits";
            case 0x27 -> "SVE of 512 bits";
            default -> "instruction set " + isa;
        };
    }
}
