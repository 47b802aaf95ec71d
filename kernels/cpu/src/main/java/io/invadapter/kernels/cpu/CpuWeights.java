package io.invadapter.kernels.cpu;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Operators;

/** Weights packed for the CPU. They are their packer's; addresses are of its memory. */
interface CpuWeights {
    CpuPacker packer();

    /** A vector pair in float32. */
    record Norm(CpuPacker packer, int channels, long scale, long shift) implements CpuWeights, Operators.Norm {
    }

    /** Vectors below one another. */
    record Table(CpuPacker packer, int rows, int channels, DataType type, long address) implements CpuWeights, Operators.Table {
    }

    /** A matrix in plain order. */
    record TokenMixer(CpuPacker packer, int inTokens, int outTokens, long address) implements CpuWeights, Operators.TokenMixer {
    }

    /** @param norm in front of both, or {@code null} */
    record GatedLinear(CpuPacker packer, Norm norm, float epsilon, CpuLinear value, CpuLinear gate)
            implements CpuWeights, Operators.GatedLinear {
        @Override
        public int inFeatures() {
            return value.inFeatures();
        }

        @Override
        public int outFeatures() {
            return value.outFeatures();
        }
    }
}
