package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.ptx.Counters;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Group and layer normalisation against float64. */
final class NormalisationCases {
    /** Most global bytes over the least. */
    private static final double TRAFFIC_SLACK = 1.15;

    private NormalisationCases() {
    }

    /** What every chip is at least. */
    private static final GroupNormPlan.Chip CHIP = new GroupNormPlan.Chip(108, 99 << 10);

    /** How a group norm is cut up. With few threads to a block, or few blocks, each has many pixels, of which it keeps or reads some. */
    private enum Way {
        CHOSEN, FOUR_GROUPS, FEW_THREADS, TWO_LAUNCHES, TWO_OF_FEW_BLOCKS;

        GroupNormPlan plan(GroupNormPlan.Map map) {
            return switch (this) {
                case CHOSEN -> GroupNormPlan.of(map, CHIP);
                case FOUR_GROUPS -> GroupNormPlan.OneLaunch.of(map, 4, CHIP);
                case FEW_THREADS -> {
                    GroupNormPlan.OneLaunch usual = GroupNormPlan.OneLaunch.of(map, 1, CHIP);
                    int threads = Math.ceilDiv(2 * map.perGroup() / usual.width(), 32) * 32;
                    yield new GroupNormPlan.OneLaunch(usual.width(), 1, threads, 8, false,
                            8 * (threads + 64) + 8 * threads * usual.width() * map.bytes(), 0);
                }
                case TWO_LAUNCHES -> GroupNormPlan.TwoLaunches.of(map, CHIP);
                case TWO_OF_FEW_BLOCKS -> GroupNormPlan.TwoLaunches.of(map, new GroupNormPlan.Chip(2, 99 << 10));
            };
        }
    }

    /** At least one of each kernel: what the types beside float16 are tried with. */
    static List<KernelCase> few() {
        return List.of(group(2, 70, 320, 32, true, 0.3, 1, 0), group(1, 100, 64, 16, false, 0, 1, 1),
                group(1, 3, 1030, 5, true, 0, 1, 0), group(1, 150, 96, 8, false, 0, 1, 0), joined(2, 30, 640, 640, 32, 0.5),
                joined(1, 40, 32, 16, Way.FEW_THREADS, 8, 0.5), joined(1, 90, 64, 32, Way.TWO_LAUNCHES, 32, 0.5),
                group(2, 48, 320, 32, true, 0.3, 1, 0, Way.TWO_LAUNCHES), layer(40, 1280, 0), layer(9, 45, 0), layer(20, 64, 1));
    }

    static List<KernelCase> all() {
        List<KernelCase> cases = new ArrayList<>(few());
        // Groups of more channels than a block has threads; of few channels.
        cases.add(group(1, 2, 8200, 8, false, 0.5, 1, 0));
        cases.add(joined(1, 3, 4000, 4200, 8, 0.5));
        cases.add(group(2, 9, 1026, 342, false, 0.5, 1, 0));
        // 48 x 80 latents, fewer channels.
        cases.add(group(1, 48 * 80, 64, 32, true, 0.3, 1, 0));
        cases.add(group(2, 2 * 353, 320, 32, false, 0, 1, 0));
        cases.add(group(2, 64, 1280, 32, true, -0.5, 2, 0));
        cases.add(group(1, 30, 2560, 32, false, 0, 1, 0));
        // What the model itself does in two launches.
        cases.add(group(1, 5000, 32, 1, true, 0.3, 1, 0));
        // A mean far above the deviation, near what float16 can tell apart.
        cases.add(group(1, 500, 96, 8, false, 100, 0.5, 0));
        cases.add(group(1, 500, 96, 8, false, 100, 0.5, 0, Way.TWO_LAUNCHES));
        cases.add(group(1, 500, 96, 8, false, 1000, 1, 0));
        cases.add(group(2, 500, 96, 8, false, 1000, 1, 0, Way.TWO_LAUNCHES));
        cases.add(group(3, 77, 36, 4, true, 0.5, 1, 0));
        cases.add(group(1, 100, 64, 16, true, 0, 1, 1));
        cases.add(group(1, 100, 96, 32, false, 0, 1, 0));
        cases.add(group(1, 300, 36, 4, false, 0.5, 1, 0));
        cases.add(group(1, 9, 5, 5, false, 0, 1, 0));
        // Several groups to a block, of which none, some or all values are kept; of each width.
        for (int perGroup : new int[] {3, 6, 12, 40}) {
            for (boolean silu : new boolean[] {true, false}) {
                cases.add(group(2, 130, 8 * perGroup, 8, silu, 0.5, 1, 0, Way.FOUR_GROUPS));
                cases.add(group(1, 235, 8 * perGroup, 8, silu, 0.5, 1, 0, Way.FEW_THREADS));
            }
            cases.add(joined(1, 197, 4 * perGroup, 4 * perGroup, Way.FEW_THREADS, 8, 2));
            cases.add(joined(1, 70, 6 * perGroup, 2 * perGroup, Way.FOUR_GROUPS, 8, 2));
        }
        // A group that lies in both maps.
        cases.add(joined(1, 64, 640, 320, 32, 0.5));
        cases.add(joined(2, 50, 48, 16, Way.TWO_LAUNCHES, 2, 0.5));
        cases.add(joined(1, 20, 7, 5, 4, 0.5));
        // Every way in which a loop over pixels can end, and more blocks than a warp has lanes.
        for (int n = 1; n <= 5; n++) {
            cases.add(group(1, 6 * n, 320, 32, n % 2 == 0, 0, 1, 0));
            cases.add(group(1, 6 * n, 320, 32, n % 2 == 0, 0, 1, 0, Way.TWO_LAUNCHES));
            cases.add(group(1, 7 * n, 36, 4, n % 2 == 0, 0, 1, 0));
        }
        cases.add(group(1, 34 * 64, 512, 32, false, 0, 1, 0, Way.TWO_LAUNCHES));
        // As many reads of a thread as are on their way at once, and up to four more; rows of threads that end before others.
        for (int pixels : new int[] {192, 200, 230, 250, 275, 300}) {
            cases.add(group(1, pixels, 320, 32, pixels % 4 == 0, 0.5, 1, 0, Way.TWO_OF_FEW_BLOCKS));
        }
        cases.add(joined(2, 210, 64, 96, Way.TWO_OF_FEW_BLOCKS, 20, 0.5));
        // More groups than the warps of a block add up at a time; fewer; of one channel, and ends of groups within a chunk.
        cases.add(group(1, 60, 640, 64, false, 0.5, 1, 0, Way.TWO_LAUNCHES));
        cases.add(group(2, 90, 80, 5, true, 0.5, 1, 0, Way.TWO_LAUNCHES));
        cases.add(group(1, 40, 8, 8, false, 0.5, 1, 0, Way.TWO_LAUNCHES));
        cases.add(group(2, 70, 24, 8, false, 0.5, 1, 0, Way.TWO_LAUNCHES));
        cases.add(group(1, 50, 72, 6, false, 0.5, 1, 0, Way.TWO_LAUNCHES));
        // One row of threads to a block.
        cases.add(group(1, 9, 2560, 32, false, 0.5, 1, 0, Way.TWO_LAUNCHES));
        // A row that ends within each of a lane's chunks.
        for (int chunks = 5; chunks < 256; chunks += 32) {
            cases.add(layer(3, chunks * 8, 0));
        }
        cases.add(layer(77, 768, 0));
        cases.add(layer(130, 320, 0));
        cases.add(layer(40, 1280, 0));
        cases.add(layer(5, 2048, 0));
        cases.add(layer(9, 2560, 0));
        cases.add(layer(20, 45, 0));
        cases.add(layer(20, 64, 1));
        cases.add(layer(16500, 8, 0));
        return cases;
    }

    private static KernelCase group(int images, int pixels, int channels, int groups, boolean silu, double mean,
                                    double deviation, int shift) {
        return group(images, pixels, channels, groups, silu, mean, deviation, shift, Way.CHOSEN);
    }

    private static KernelCase group(int images, int pixels, int channels, int groups, boolean silu, double mean,
                                    double deviation, int shift, Way way) {
        return new KernelCase("group norm, " + images + " x " + pixels + " x " + channels + ", " + groups + " groups"
                + (silu ? ", SiLU" : "") + ", mean " + mean + (shift == 0 ? "" : ", shifted") + ", " + way, bench -> {
            Random random = new Random(pixels);
            float[] x = bench.random(random, images * pixels * channels, mean, deviation);
            float[] gamma = bench.random(random, channels, 1, 0.3);
            float[] beta = bench.random(random, channels, 0.1, 0.5);
            float eps = 1e-5f;
            double[] expected = groupReference(x, gamma, beta, images, pixels, groups, eps, silu);
            long input = bench.values(x, shift);
            long scales = bench.values(gamma);
            long offsets = bench.values(beta);
            Normalisation norms = new Normalisation(bench.library());
            long workspace = bench.zeros(norms.groupNormWorkspaceBytes());
            long out = bench.result(x.length);
            GroupNormPlan.Map map = new GroupNormPlan.Map(images, pixels, channels, channels, groups, bench.size(),
                    shift == 0 ? 16 : bench.size());
            GroupNormPlan plan = way.plan(map);
            norms.groupNorm(plan, map, input, 0, 0, scales, offsets, out, workspace, eps, silu, null);
            Bench.close("group norm", expected, bench.readValues(out, x.length), bench.tolerance());
            counts(bench, plan, map);
            // Another array with the same workspace and in place, as in the next layer; cut up as the launcher likes it.
            float[] next = bench.random(random, x.length, 1, 2);
            long array = bench.values(next, shift);
            norms.groupNorm(array, scales, offsets, array, workspace, images, pixels, channels, groups, eps, silu, null);
            Bench.close("group norm in place", groupReference(next, gamma, beta, images, pixels, groups, eps, silu),
                    bench.readValues(array, x.length), bench.tolerance());
        });
    }

    private static KernelCase joined(int images, int pixels, int channelsA, int channelsB, int groups, double mean) {
        return joined(images, pixels, channelsA, channelsB, Way.CHOSEN, groups, mean);
    }

    private static KernelCase joined(int images, int pixels, int channelsA, int channelsB, Way way, int groups, double mean) {
        return new KernelCase("group norm of two, " + images + " x " + pixels + " x (" + channelsA + " + " + channelsB + "), "
                + groups + " groups, " + way, bench -> {
            Random random = new Random(pixels);
            int channels = channelsA + channelsB;
            float[] x = bench.random(random, images * pixels * channels, mean, 1);
            float[] a = new float[images * pixels * channelsA];
            float[] b = new float[images * pixels * channelsB];
            for (int p = 0; p < images * pixels; p++) {
                System.arraycopy(x, p * channels, a, p * channelsA, channelsA);
                System.arraycopy(x, p * channels + channelsA, b, p * channelsB, channelsB);
            }
            float[] gamma = bench.random(random, channels, 1, 0.3);
            float[] beta = bench.random(random, channels, 0.1, 0.5);
            float eps = 1e-5f;
            double[] expected = groupReference(x, gamma, beta, images, pixels, groups, eps, true);
            long first = bench.values(a);
            long second = bench.values(b);
            long scales = bench.values(gamma);
            long offsets = bench.values(beta);
            Normalisation norms = new Normalisation(bench.library());
            long workspace = bench.zeros(norms.groupNormWorkspaceBytes());
            long out = bench.result(x.length);
            long map = bench.result(x.length);
            GroupNormPlan.Map sizes = new GroupNormPlan.Map(images, pixels, channels, channelsA, groups, bench.size(), 16);
            GroupNormPlan plan = way.plan(sizes);
            norms.groupNorm(plan, sizes, first, second, map, scales, offsets, out, workspace, eps, true, null);
            Bench.same(x, bench.readValues(map, x.length));
            Bench.close("group norm of two", expected, bench.readValues(out, x.length), bench.tolerance());
            counts(bench, plan, sizes);
            long outAgain = bench.result(x.length);
            long mapAgain = bench.result(x.length);
            norms.joinedGroupNorm(first, channelsA, second, channelsB, mapAgain, scales, offsets, outAgain, workspace, images,
                    pixels, groups, eps, true, null);
            Bench.same(x, bench.readValues(mapAgain, x.length));
            Bench.close("group norm of two", expected, bench.readValues(outAgain, x.length), bench.tolerance());
        });
    }

    /** What the header of group_norm.cu says of a launch that has just run. */
    private static void counts(Bench bench, GroupNormPlan plan, GroupNormPlan.Map map) {
        long bytes = map.values() * map.bytes();
        bench.counted(launches -> {
            switch (plan) {
                case GroupNormPlan.OneLaunch one -> {
                    Counters counters = launches.getFirst();
                    Bench.require(launches.size() == 1, launches.size() + " launches");
                    if (one.groupsPerBlock() == 1) {
                        conflicts(counters);
                    }
                    // Each thread has a pivot and a scale and an offset for each of its channels, read once.
                    long blocks = (long) map.images() * map.groups() / one.groupsPerBlock();
                    long columns = (long) one.groupsPerBlock() * map.perGroup() / one.width();
                    if (columns <= one.threads()) {
                        long step = one.threads() / columns;
                        long again = bytes - Math.min(map.pixels(), one.kept() * step) * blocks * columns * one.width() * map.bytes();
                        long read = bytes + again + blocks * one.threads() * (2L * one.width() + 1) * map.bytes();
                        Bench.require(counters.globalLoadedBytes() == read, read + " bytes to be read: " + counters);
                        Bench.require(counters.globalStoredBytes() == bytes * map.written(), counters.toString());
                    }
                    long run = (long) one.groupsPerBlock() * map.perGroup() * map.bytes();
                    double sectors = map.written() * blocks * map.pixels()
                            * (run + 32 - Math.min(32, Long.lowestOneBit(run))) / 32.0;
                    if (map.pixels() >= 50 && map.channels() * map.bytes() % 32 == 0) {
                        Bench.require(counters.globalStoredSectors() <= TRAFFIC_SLACK * sectors,
                                sectors + " sectors to be written: " + counters);
                    }
                }
                case GroupNormPlan.TwoLaunches two -> {
                    if (map.pixels() * map.channels() >= 32768) {
                        traffic(launches.get(0), bytes, 8L * map.images() * map.groups() + (map.written() - 1) * bytes);
                    }
                    // Each thread has a scale and an offset for each of its channels, read once, as are each block's statistics.
                    long blocks = (long) map.images() * two.blocks();
                    long read = bytes + blocks * (two.threads() * 32L + map.groups() * 8L);
                    Counters applied = launches.get(1);
                    Bench.require(applied.globalLoadedBytes() == read, read + " bytes to be read: " + applied);
                    Bench.require(applied.globalStoredBytes() == bytes, applied.toString());
                    coalesced(launches.get(0));
                    coalesced(launches.get(1));
                    conflicts(launches.get(1));
                }
            }
        });
    }

    private static double[] groupReference(float[] x, float[] gamma, float[] beta, int images, int pixels, int groups,
                                           double eps, boolean silu) {
        double[] expected = new double[x.length];
        int channels = gamma.length;
        int perGroup = channels / groups;
        for (int n = 0; n < images; n++) {
            for (int g = 0; g < groups; g++) {
                double sum = 0;
                for (int p = 0; p < pixels; p++) {
                    for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
                        sum += x[(n * pixels + p) * channels + c];
                    }
                }
                double average = sum / pixels / perGroup;
                double squares = 0;
                for (int p = 0; p < pixels; p++) {
                    for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
                        squares += Math.pow(x[(n * pixels + p) * channels + c] - average, 2);
                    }
                }
                double factor = 1 / Math.sqrt(squares / pixels / perGroup + eps);
                for (int p = 0; p < pixels; p++) {
                    for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
                        int i = (n * pixels + p) * channels + c;
                        double y = (x[i] - average) * factor * gamma[c] + beta[c];
                        expected[i] = silu ? y / (1 + Math.exp(-y)) : y;
                    }
                }
            }
        }
        return expected;
    }

    private static KernelCase layer(int rows, int channels, int shift) {
        return new KernelCase("layer norm, " + rows + " x " + channels + (shift == 0 ? "" : ", shifted"), bench -> {
            Random random = new Random(rows);
            float[] x = bench.random(random, rows * channels, 0.4, 1.5);
            float[] gamma = bench.random(random, channels, 1, 0.3);
            float[] beta = bench.random(random, channels, 0.1, 0.5);
            float eps = 1e-5f;
            double[] expected = layerReference(x, gamma, beta, rows, eps);
            long input = bench.values(x, shift);
            long scales = bench.values(gamma);
            long offsets = bench.values(beta);
            long out = bench.result(x.length);
            Normalisation norms = new Normalisation(bench.library());
            norms.layerNorm(input, scales, offsets, out, rows, channels, eps, null);
            Bench.close("layer norm", expected, bench.readValues(out, x.length), bench.tolerance());
            bench.counted(launches -> {
                if (shift == 0 && channels % 8 == 0 && channels <= 2048) {
                    // x once, gamma and beta once for each block.
                    long bytes = (long) bench.size() * x.length;
                    long blocks = Math.ceilDiv(rows, norms.layerNormWarps(rows) * Math.clamp(rows / 8192, 1, 4));
                    traffic(launches.getFirst(), bytes + blocks * 2 * bench.size() * channels, bytes);
                    coalesced(launches.getFirst());
                    conflicts(launches.getFirst());
                }
            });
            norms.layerNorm(input, scales, offsets, input, rows, channels, eps, null);
            Bench.close("layer norm in place", expected, bench.readValues(input, x.length), bench.tolerance());
        });
    }

    static double[] layerReference(float[] x, float[] gamma, float[] beta, int rows, double eps) {
        int channels = gamma.length;
        double[] expected = new double[x.length];
        for (int r = 0; r < rows; r++) {
            double sum = 0;
            for (int c = 0; c < channels; c++) {
                sum += x[r * channels + c];
            }
            double average = sum / channels;
            double squares = 0;
            for (int c = 0; c < channels; c++) {
                squares += Math.pow(x[r * channels + c] - average, 2);
            }
            double factor = 1 / Math.sqrt(squares / channels + eps);
            for (int c = 0; c < channels; c++) {
                expected[r * channels + c] = (x[r * channels + c] - average) * factor * gamma[c] + beta[c];
            }
        }
        return expected;
    }

    /** Global bytes against the least that the operation must read and write. */
    static void traffic(Counters counters, long read, long written) {
        long all = counters.globalLoadedBytes() + counters.globalStoredBytes();
        Bench.require(all <= TRAFFIC_SLACK * (read + written),
                all + " global bytes, the least is " + (read + written) + ": " + counters);
    }

    /** Nothing uncoalesced in a loop: only what each warp does at most once may be. */
    static void coalesced(Counters counters) {
        long warps = counters.perInstruction().getFirst().executed();
        counters.perInstruction().forEach(i -> Bench.require(
                i.globalRequests() == 0 || i.coalescing() > 0.99 || i.executed() <= warps, "uncoalesced: " + i));
    }

    /** The same for bank conflicts. */
    static void conflicts(Counters counters) {
        long warps = counters.perInstruction().getFirst().executed();
        counters.perInstruction().forEach(i -> Bench.require(
                i.bankConflicts() == 0 || i.executed() <= warps, "bank conflicts: " + i));
    }
}
