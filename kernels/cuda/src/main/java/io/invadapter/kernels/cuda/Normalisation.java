package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of group_norm.cu and layer_norm.cu. Arrays are of the library's type, statistics float32. */
public final class Normalisation {
    private static final int WARP = 32;
    private static final int MOST_THREADS = 1024;
    /** Threads that a block of the group norm has at least about. */
    private static final int USUAL_THREADS = 256;
    /** Pixels that each of its threads goes through. */
    private static final int PIXELS_PER_THREAD = 16;

    private static final int LAYER_NORM_WARPS = 8;
    private static final int LAYER_NORM_MOST_CHANNELS = 2048;
    /** Blocks from which on a block takes several rows per warp. */
    private static final int MANY_BLOCKS = 1024;

    private final KernelLibrary library;

    /** On the library's driver. */
    public Normalisation(KernelLibrary library) {
        this.library = library;
    }

    /** Begins to load the kernels. */
    void prepare() {
        library.prepare("group_norm", "layer_norm");
    }

    /** How a group norm is cut up: {@code width} channels per thread. */
    private record Plan(int width, int threads, int pixelsPerBlock, int blocks) {
        /** Null when a block cannot cover that many channels. */
        static Plan of(int pixels, int channels, int width) {
            int slots = channels / width;
            if (channels % width != 0 || slots > MOST_THREADS) {
                return null;
            }
            int perPass = Math.max(1, USUAL_THREADS / slots);
            int threads = Math.ceilDiv(slots * perPass, WARP) * WARP;
            // Rounding up to whole warps may have made room for another row of slots.
            int pixelsPerBlock = threads / slots * PIXELS_PER_THREAD;
            return new Plan(width, threads, pixelsPerBlock, Math.ceilDiv(pixels, pixelsPerBlock));
        }

        String suffix() {
            return width == 1 ? "_any" : "";
        }
    }

    /**
     * The workspace that {@link #groupNorm} needs for this size, in bytes. Before its first use it must be filled with
     * zeros; every launch leaves it fit for the next one of the same or a smaller size, on the same stream.
     */
    public long groupNormWorkspaceBytes(int images, int pixels, int channels, int groups) {
        Check.positive("images", images);
        Check.positive("pixels", pixels);
        Check.positive("channels", channels);
        Check.positive("groups", groups);
        // Either way of cutting, as the addresses are not known here.
        int blocks = 1;
        for (int width : new int[] {1, library.chunk()}) {
            Plan plan = Plan.of(pixels, channels, width);
            blocks = plan == null ? blocks : Math.max(blocks, plan.blocks);
        }
        return ticketBytes(images) + 8L * images * groups * (1 + blocks);
    }

    /** A ticket counter for each warp of a block, for each image. */
    private static long ticketBytes(int images) {
        return (long) images * WARP * Integer.BYTES;
    }

    /**
     * {@code y = act((x - mean) / sqrt(variance + eps) * gamma + beta)}, statistics over all pixels and the channels of a
     * group.
     *
     * @param x         address of {@code [images, pixels, channels]}
     * @param gamma     address of {@code [channels]}
     * @param beta      address of {@code [channels]}
     * @param y         address like {@code x}, may be the same
     * @param workspace address of {@link #groupNormWorkspaceBytes} bytes; it must be a multiple of 16
     * @param images    1 to 65535
     * @param pixels    height times width
     * @param channels  a multiple of {@code groups}; slower with more than 1024 that are no multiple of 16 bytes, or more than
     *                  16 KiB
     * @param groups    how many groups
     * @param eps       positive or 0
     * @param silu      whether {@code act} is SiLU instead of nothing
     * @param stream    where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void groupNorm(long x, long gamma, long beta, long y, long workspace, int images, int pixels, int channels,
                          int groups, float eps, boolean silu, CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.address("gamma", gamma, library.bytes());
        Check.address("beta", beta, library.bytes());
        Check.address("y", y, library.bytes());
        Check.address("workspace", workspace, 16);
        Check.range("images", images, 1, 65535);
        Check.positive("pixels", pixels);
        Check.positive("channels", channels);
        Check.range("groups", groups, 1, channels);
        if (channels % groups != 0) {
            throw Check.wrong("channels", channels, "a multiple of groups (" + groups + ")");
        }
        Check.eps(eps);
        Plan plan = null;
        if ((x | gamma | beta | y) % 16 == 0) {
            plan = Plan.of(pixels, channels, library.chunk());
        }
        if (plan == null) {
            plan = Plan.of(pixels, channels, 1);
        }
        if (plan == null) {
            library.driver().launch(library.function("group_norm", "group_norm_wide", 0), new Grid(groups, images, 1),
                    USUAL_THREADS, 0, stream, new Parameters().int64(x).int64(gamma).int64(beta).int64(y).int32(pixels)
                            .int32(channels).int32(groups).float32(eps).int32(silu ? 1 : 0));
            return;
        }
        long result = workspace + ticketBytes(images);
        long partial = result + 8L * images * groups;
        Grid grid = new Grid(plan.blocks, images, 1);

        int sums = plan.threads * plan.width * 8 + groups * 4;
        library.driver().launch(library.function("group_norm", "group_norm_statistics" + plan.suffix(), sums), grid,
                plan.threads, sums, stream, new Parameters().int64(x).int64(partial).int64(result).int64(workspace)
                        .int32(pixels).int32(channels).int32(groups).int32(plan.pixelsPerBlock).float32(eps));
        int statistics = groups * 8;
        library.driver().launch(library.function("group_norm", "group_norm_apply" + plan.suffix(), statistics), grid,
                plan.threads, statistics, stream, new Parameters().int64(x).int64(result).int64(gamma).int64(beta).int64(y)
                        .int32(pixels).int32(channels).int32(groups).int32(plan.pixelsPerBlock).int32(silu ? 1 : 0));
    }

    /**
     * {@code y = (x - mean) / sqrt(variance + eps) * gamma + beta}, statistics per row.
     *
     * @param x        address of {@code [rows, channels]}
     * @param gamma    address of {@code [channels]}
     * @param beta     address of {@code [channels]}
     * @param y        address like {@code x}, may be the same
     * @param rows     at least 1
     * @param channels at least 1; fastest as whole chunks of 16 bytes up to 2048, in arrays aligned to 16 bytes
     * @param eps      positive or 0
     * @param stream   where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void layerNorm(long x, long gamma, long beta, long y, int rows, int channels, float eps,
                          CudaDriver.Stream stream) {
        Check.address("x", x, library.bytes());
        Check.address("gamma", gamma, library.bytes());
        Check.address("beta", beta, library.bytes());
        Check.address("y", y, library.bytes());
        Check.positive("rows", rows);
        Check.positive("channels", channels);
        Check.eps(eps);
        boolean vectors = channels % library.chunk() == 0 && channels <= LAYER_NORM_MOST_CHANNELS
                && (x | gamma | beta | y) % 16 == 0;
        // With many rows several per warp, so that gamma and beta are read less often.
        int rowsPerWarp = Math.clamp(rows / (LAYER_NORM_WARPS * MANY_BLOCKS), 1, 4);
        int rowsPerBlock = LAYER_NORM_WARPS * rowsPerWarp;
        int sharedBytes = vectors ? 2 * channels * library.bytes() : 0;
        CudaDriver.Function function =
                library.function("layer_norm", vectors ? "layer_norm" : "layer_norm_any", sharedBytes);
        library.driver().launch(function, new Grid(Math.ceilDiv(rows, rowsPerBlock), 1, 1), LAYER_NORM_WARPS * WARP,
                sharedBytes, stream, new Parameters().int64(x).int64(gamma).int64(beta).int64(y).int32(rows)
                        .int32(channels).int32(rowsPerBlock).float32(eps));
    }
}
