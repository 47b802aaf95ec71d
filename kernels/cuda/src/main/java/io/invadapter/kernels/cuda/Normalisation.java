package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of group_norm.cu and layer_norm.cu. Arrays are float16, statistics float32. */
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

    /** How a group norm is cut up. */
    private record Plan(int width, int threads, int pixelsPerBlock, int blocks) {
        static Plan of(int pixels, int channels, boolean vectors) {
            int width = vectors ? 8 : 1;
            int slots = channels / width;
            if (slots > MOST_THREADS) {
                throw Check.wrong("channels", channels, vectors ? "at most " + MOST_THREADS * 8
                        : "a multiple of 8 in arrays aligned to 16 bytes, or at most " + MOST_THREADS);
            }
            int perPass = Math.max(1, USUAL_THREADS / slots);
            int threads = Math.ceilDiv(slots * perPass, WARP) * WARP;
            // Rounding up to whole warps may have made room for another row of slots.
            int pixelsPerBlock = threads / slots * PIXELS_PER_THREAD;
            return new Plan(width, threads, pixelsPerBlock, Math.ceilDiv(pixels, pixelsPerBlock));
        }

        String suffix() {
            return width == 8 ? "" : "_any";
        }
    }

    /**
     * The workspace that {@link #groupNorm} needs for this size, in bytes. Before its first use it must be filled with
     * zeros; every launch leaves it fit for the next one of the same or a smaller size, on the same stream.
     */
    public static long groupNormWorkspaceBytes(int images, int pixels, int channels, int groups) {
        Check.positive("images", images);
        Check.positive("pixels", pixels);
        Check.positive("channels", channels);
        Check.positive("groups", groups);
        // Either way of cutting, as the addresses are not known here.
        int blocks = Math.max(channels % 8 == 0 ? Plan.of(pixels, channels, true).blocks : 1,
                channels <= MOST_THREADS ? Plan.of(pixels, channels, false).blocks : 1);
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
     * @param channels  a multiple of {@code groups}; a multiple of 8 up to 8192, or at most 1024
     * @param groups    how many groups
     * @param eps       positive or 0
     * @param silu      whether {@code act} is SiLU instead of nothing
     * @param stream    where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void groupNorm(long x, long gamma, long beta, long y, long workspace, int images, int pixels, int channels,
                          int groups, float eps, boolean silu, CudaDriver.Stream stream) {
        Check.address("x", x, 2);
        Check.address("gamma", gamma, 2);
        Check.address("beta", beta, 2);
        Check.address("y", y, 2);
        Check.address("workspace", workspace, 16);
        Check.range("images", images, 1, 65535);
        Check.positive("pixels", pixels);
        Check.positive("channels", channels);
        Check.range("groups", groups, 1, channels);
        if (channels % groups != 0) {
            throw Check.wrong("channels", channels, "a multiple of groups (" + groups + ")");
        }
        checkEps(eps);
        Plan plan = Plan.of(pixels, channels, channels % 8 == 0 && (x | gamma | beta | y) % 16 == 0);
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
     * @param channels at least 1; fastest as a multiple of 8 up to 2048 in arrays aligned to 16 bytes
     * @param eps      positive or 0
     * @param stream   where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void layerNorm(long x, long gamma, long beta, long y, int rows, int channels, float eps,
                          CudaDriver.Stream stream) {
        Check.address("x", x, 2);
        Check.address("gamma", gamma, 2);
        Check.address("beta", beta, 2);
        Check.address("y", y, 2);
        Check.positive("rows", rows);
        Check.positive("channels", channels);
        checkEps(eps);
        boolean vectors = channels % 8 == 0 && channels <= LAYER_NORM_MOST_CHANNELS
                && (x | gamma | beta | y) % 16 == 0;
        // With many rows several per warp, so that gamma and beta are read less often.
        int rowsPerWarp = Math.clamp(rows / (LAYER_NORM_WARPS * MANY_BLOCKS), 1, 4);
        int rowsPerBlock = LAYER_NORM_WARPS * rowsPerWarp;
        int sharedBytes = vectors ? channels * 4 : 0;
        CudaDriver.Function function =
                library.function("layer_norm", vectors ? "layer_norm" : "layer_norm_any", sharedBytes);
        library.driver().launch(function, new Grid(Math.ceilDiv(rows, rowsPerBlock), 1, 1), LAYER_NORM_WARPS * WARP,
                sharedBytes, stream, new Parameters().int64(x).int64(gamma).int64(beta).int64(y).int32(rows)
                        .int32(channels).int32(rowsPerBlock).float32(eps));
    }

    private static void checkEps(float eps) {
        if (!(eps >= 0) || !Float.isFinite(eps)) {
            throw Check.wrong("eps", eps, "0 or a positive number");
        }
    }
}
