package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;

/** Launches of group_norm.cu and layer_norm.cu. Arrays are of the library's type, statistics float32. */
public final class Normalisation {
    private static final int WARP = 32;
    /** Stable Diffusion's. */
    private static final int USUAL_GROUPS = 32;

    private static final int LAYER_NORM_WARPS = 8;
    private static final int LAYER_NORM_MOST_CHANNELS = 2048;
    /** Blocks from which on a block takes several rows per warp. */
    private static final int MANY_BLOCKS = 1024;

    private final KernelLibrary library;
    private final GroupNormPlan.Chip chip;

    /** On the library's driver. */
    public Normalisation(KernelLibrary library) {
        this.library = library;
        this.chip = new GroupNormPlan.Chip(library.driver().multiprocessors(), library.driver().sharedBytesPerBlock());
    }

    /** Begins to load the kernels for norms of so many channels, group norms in 32 groups: others are loaded when they are first used. */
    void prepare(int channels) {
        library.prepare("layer_norm", "layer_norm");
        if (channels % USUAL_GROUPS == 0) {
            int width = Math.min(library.chunk(), Integer.lowestOneBit(channels / USUAL_GROUPS));
            library.prepare("group_norm", "group_norm_" + width, "group_norm_statistics", "group_norm_apply");
        }
    }

    /**
     * The workspace that the group norms need, in bytes. Before its first use it must be filled with zeros; every launch leaves
     * it fit for the next one of any size, on the same stream.
     */
    public long groupNormWorkspaceBytes() {
        return GroupNormPlan.TwoLaunches.workspaceBytes(chip);
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
     * @param channels  a multiple of {@code groups}; fast where the channels of a group are an even number
     * @param groups    how many groups
     * @param eps       positive or 0
     * @param silu      whether {@code act} is SiLU instead of nothing
     * @param stream    where, null for the default stream
     * @throws IllegalArgumentException when sizes or addresses do not fit
     */
    public void groupNorm(long x, long gamma, long beta, long y, long workspace, int images, int pixels, int channels,
                          int groups, float eps, boolean silu, CudaDriver.Stream stream) {
        groupNorm(x, channels, 0, 0, gamma, beta, y, workspace, images, pixels, channels, groups, eps, silu, stream);
    }

    /**
     * The same of two maps side by side, which are also written side by side.
     *
     * @param a         address of {@code [images, pixels, channelsA]}
     * @param channelsA at least 1
     * @param b         address of {@code [images, pixels, channelsB]}
     * @param channelsB at least 1; {@code channelsA + channelsB} a multiple of {@code groups}
     * @param joined    address of {@code [images, pixels, channelsA + channelsB]}: must not overlap anything else
     * @param y         address like {@code joined}: must not overlap anything else
     */
    public void joinedGroupNorm(long a, int channelsA, long b, int channelsB, long joined, long gamma, long beta, long y,
                                long workspace, int images, int pixels, int groups, float eps, boolean silu,
                                CudaDriver.Stream stream) {
        Check.address("b", b, library.bytes());
        Check.address("joined", joined, library.bytes());
        Check.positive("channels of a", channelsA);
        Check.positive("channels of b", channelsB);
        groupNorm(a, channelsA, b, joined, gamma, beta, y, workspace, images, pixels, channelsA + channelsB, groups, eps, silu,
                stream);
    }

    private void groupNorm(long a, int channelsA, long b, long joined, long gamma, long beta, long y, long workspace, int images,
                           int pixels, int channels, int groups, float eps, boolean silu, CudaDriver.Stream stream) {
        Check.address("x", a, library.bytes());
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
        int aligned = (int) Long.lowestOneBit(a | b | joined | gamma | beta | y | 16);
        GroupNormPlan.Map map = new GroupNormPlan.Map(images, pixels, channels, channelsA, groups, library.bytes(), aligned);
        groupNorm(GroupNormPlan.of(map, chip), map, a, b, joined, gamma, beta, y, workspace, eps, silu, stream);
    }

    /** What plans are made for. */
    public GroupNormPlan.Chip chip() {
        return chip;
    }

    /**
     * As a plan for this {@link #chip} and that map has it.
     *
     * @param a      address of the first of two maps, or of the only one
     * @param b      address of the second map, 0 without one
     * @param joined where the two are written side by side, 0 without a second map
     */
    public void groupNorm(GroupNormPlan plan, GroupNormPlan.Map map, long a, long b, long joined, long gamma, long beta, long y,
                   long workspace, float eps, boolean silu, CudaDriver.Stream stream) {
        switch (plan) {
            case GroupNormPlan.OneLaunch one -> {
                Grid grid = new Grid(map.groups() / one.groupsPerBlock(), map.images(), 1);
                launch("group_norm_" + one.width(), grid, one.threads(), one.sharedBytes(), stream, new Parameters().int64(a)
                        .int64(b).int64(joined).int64(gamma).int64(beta).int64(y).int32(map.pixels()).int32(map.first())
                        .int32(map.channels()).int32(map.perGroup()).int32(one.groupsPerBlock()).int32(one.kept())
                        .float32(eps).int32(silu ? 1 : 0));
            }
            case GroupNormPlan.TwoLaunches two -> {
                long statistics = workspace + GroupNormPlan.TwoLaunches.ticketBytes();
                statistics(two, map, a, b, joined, statistics, workspace, eps, stream);
                apply(two, map, joined == 0 ? a : joined, statistics, gamma, beta, y, silu, stream);
            }
        }
    }

    private void statistics(GroupNormPlan.TwoLaunches two, GroupNormPlan.Map map, long a, long b, long joined, long statistics,
                            long workspace, float eps, CudaDriver.Stream stream) {
        long partial = workspace + GroupNormPlan.TwoLaunches.partialOffset();
        launch("group_norm_statistics", new Grid(two.blocks(), map.images(), 1), two.threads(),
                two.threads() * library.chunk() * 8 + map.groups() * 4, stream, new Parameters().int64(a).int64(b).int64(joined)
                        .int64(partial).int64(statistics).int64(workspace).int32(map.pixels()).int32(map.first())
                        .int32(map.channels()).int32(map.groups()).int32(two.pixelsPerBlock()).float32(eps));
    }

    private void apply(GroupNormPlan.TwoLaunches two, GroupNormPlan.Map map, long x, long statistics, long gamma, long beta, long y,
                       boolean silu, CudaDriver.Stream stream) {
        launch("group_norm_apply", new Grid(two.blocks(), map.images(), 1), two.threads(), map.groups() * 8, stream, new Parameters()
                .int64(x).int64(statistics).int64(gamma).int64(beta).int64(y).int32(map.pixels()).int32(map.channels())
                .int32(map.groups()).int32(two.pixelsPerBlock()).int32(silu ? 1 : 0));
    }

    /**
     * The statistics alone, as the two launches of a group norm hand them on.
     *
     * @param x          address of {@code [images, pixels, channels]}, a multiple of 16
     * @param statistics address of float32 {@code [images, groups, 2]}: mean and {@code 1 / sqrt(variance + eps)}
     * @param images     1 to 64
     * @param channels   a multiple of {@code groups} and of 16 bytes
     * @param groups     1 to 64
     */
    public void groupStatistics(long x, long statistics, long workspace, int images, int pixels, int channels, int groups, float eps,
                                CudaDriver.Stream stream) {
        Check.address("x", x, 16);
        Check.address("statistics", statistics, 8);
        Check.address("workspace", workspace, 16);
        Check.eps(eps);
        GroupNormPlan.Map map = apart(images, pixels, channels, groups);
        statistics(GroupNormPlan.TwoLaunches.of(map, chip), map, x, 0, 0, statistics, workspace, eps, stream);
    }

    /** The norm with such statistics. All addresses but theirs are multiples of 16. */
    public void groupNorm(long x, long statistics, long gamma, long beta, long y, int images, int pixels, int channels, int groups,
                          boolean silu, CudaDriver.Stream stream) {
        Check.address("x", x, 16);
        Check.address("statistics", statistics, 8);
        Check.address("gamma", gamma, 16);
        Check.address("beta", beta, 16);
        Check.address("y", y, 16);
        GroupNormPlan.Map map = apart(images, pixels, channels, groups);
        apply(GroupNormPlan.TwoLaunches.of(map, chip), map, x, statistics, gamma, beta, y, silu, stream);
    }

    private GroupNormPlan.Map apart(int images, int pixels, int channels, int groups) {
        Check.range("images", images, 1, GroupNormPlan.TwoLaunches.MOST_IMAGES);
        Check.positive("pixels", pixels);
        Check.range("channels", channels, 1, library.chunk() * GroupNormPlan.MOST_THREADS);
        Check.range("groups", groups, 1, GroupNormPlan.TwoLaunches.MOST_GROUPS);
        if (channels % groups != 0 || channels % library.chunk() != 0) {
            throw Check.wrong("channels", channels, "a multiple of groups (" + groups + ") and of " + library.chunk());
        }
        return new GroupNormPlan.Map(images, pixels, channels, channels, groups, library.bytes(), 16);
    }

    private void launch(String kernel, Grid grid, int threads, int sharedBytes, CudaDriver.Stream stream, Parameters parameters) {
        library.driver().launch(library.function("group_norm", kernel, sharedBytes), grid, threads, sharedBytes, stream,
                parameters);
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
        int warps = layerNormWarps(rows);
        // With many rows several per warp, so that gamma and beta are read less often.
        int rowsPerWarp = Math.clamp(rows / (LAYER_NORM_WARPS * MANY_BLOCKS), 1, 4);
        int rowsPerBlock = warps * rowsPerWarp;
        int sharedBytes = vectors ? 2 * channels * library.bytes() : 0;
        CudaDriver.Function function =
                library.function("layer_norm", vectors ? "layer_norm" : "layer_norm_any", sharedBytes);
        library.driver().launch(function, new Grid(Math.ceilDiv(rows, rowsPerBlock), 1, 1), warps * WARP,
                sharedBytes, stream, new Parameters().int64(x).int64(gamma).int64(beta).int64(y).int32(rows)
                        .int32(channels).int32(rowsPerBlock).float32(eps));
    }

    /** Warps of a block, each with a row: fewer where there would be fewer blocks than multiprocessors. */
    int layerNormWarps(int rows) {
        int warps = LAYER_NORM_WARPS;
        while (warps > 1 && Math.ceilDiv(rows, warps) < chip.multiprocessors()) {
            warps /= 2;
        }
        return warps;
    }
}
