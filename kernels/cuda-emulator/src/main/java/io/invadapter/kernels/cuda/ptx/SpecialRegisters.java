package io.invadapter.kernels.cuda.ptx;

import java.util.Arrays;
import java.util.Map;

/** The registers that tell a thread where it is: rows that are filled in before a CTA starts. */
final class SpecialRegisters {
    private SpecialRegisters() { }

    /** Fills the rows of all special registers that the kernel names. */
    static void fill(Warp w, Kernel kernel, int dynamicSharedBytes) {
        for (Map.Entry<String, Integer> e : kernel.specialWords.entrySet()) {
            for (int lane = 0; lane < Warp.LANES; lane++) {
                w.r[e.getValue() + lane] = value(e.getKey(), w, lane, kernel, dynamicSharedBytes);
            }
        }
        for (Map.Entry<String, Integer> e : kernel.specialLongs.entrySet()) {
            for (int lane = 0; lane < Warp.LANES; lane++) {
                w.d[e.getValue() + lane] = value(e.getKey(), w, lane, kernel, dynamicSharedBytes);
            }
        }
    }

    /** Fills those that differ between CTAs. */
    static void fillCta(Warp w, Kernel kernel) {
        for (int axis = 0; axis < 3; axis++) {
            int row = kernel.ctaRows[axis];
            if (row >= 0) {
                Dim cta = w.cta.grid.at(w.cta.number);
                Arrays.fill(w.r, row, row + Warp.LANES, axis == 0 ? cta.x() : axis == 1 ? cta.y() : cta.z());
            }
        }
    }

    private static int value(String name, Warp w, int lane, Kernel kernel, int dynamicSharedBytes) {
        Cta cta = w.cta;
        return switch (name) {
            case "%tid.x" -> cta.block.at(w.index * Warp.LANES + lane).x();
            case "%tid.y" -> cta.block.at(w.index * Warp.LANES + lane).y();
            case "%tid.z" -> cta.block.at(w.index * Warp.LANES + lane).z();
            case "%ntid.x" -> cta.block.x();
            case "%ntid.y" -> cta.block.y();
            case "%ntid.z" -> cta.block.z();
            case "%ctaid.x" -> cta.grid.at(cta.number).x();
            case "%ctaid.y" -> cta.grid.at(cta.number).y();
            case "%ctaid.z" -> cta.grid.at(cta.number).z();
            case "%nctaid.x" -> cta.grid.x();
            case "%nctaid.y" -> cta.grid.y();
            case "%nctaid.z" -> cta.grid.z();
            case "%laneid" -> lane;
            case "%warpid" -> w.index;
            case "%nwarpid", "%nsmid" -> 64;
            case "%lanemask_eq" -> 1 << lane;
            case "%lanemask_lt" -> (1 << lane) - 1;
            case "%lanemask_le" -> (1 << lane) - 1 | 1 << lane;
            case "%lanemask_gt" -> ~((1 << lane) - 1 | 1 << lane);
            case "%lanemask_ge" -> -1 << lane;
            case "%dynamic_smem_size" -> dynamicSharedBytes;
            case "%total_smem_size" -> kernel.sharedBytes + dynamicSharedBytes;
            // Clocks stand still, and there is one multiprocessor.
            default -> 0;
        };
    }
}
