package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

/** The instructions oneDNN found on this processor. */
final class InstructionSet {

    private InstructionSet() {
    }

    /** E.g. {@code AVX-512 with bfloat16}. */
    static String name() {
        int isa = dnnl_get_effective_cpu_isa();
        return isa == dnnl_cpu_isa_avx512_core_amx || isa == dnnl_cpu_isa_avx512_core_amx_fp16 ? "AMX"
                : isa == dnnl_cpu_isa_avx512_core_fp16 || isa == dnnl_cpu_isa_avx512_core_bf16 ? "AVX-512 with bfloat16"
                : isa == dnnl_cpu_isa_avx512_core || isa == dnnl_cpu_isa_avx512_core_vnni ? "AVX-512"
                : isa == dnnl_cpu_isa_avx2 || isa == dnnl_cpu_isa_avx2_vnni || isa == dnnl_cpu_isa_avx2_vnni_2 ? "AVX2"
                : isa == dnnl_cpu_isa_sse41 ? "SSE 4.1"
                : "instruction set " + isa;
    }
}
