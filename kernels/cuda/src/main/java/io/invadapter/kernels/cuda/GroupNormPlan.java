package io.invadapter.kernels.cuda;

/**
 * How group_norm.cu is launched for a map: in one launch or in two.
 *
 * <p>One launch keeps at most {@code images x groups} multiprocessors busy, each with all pixels of its groups, in accesses as
 * narrow as a group. Two fill the chip with accesses of 16 bytes, read everything twice, and cost the second launch. Where the
 * values of a group find room in shared memory, that is decided by a model of clocks of a multiprocessor, beyond those of any launch.
 * What it says of one launch is within a tenth of what an H200 took for the maps of SD 1.x's UNet at batch 2; of two it is an
 * estimate, not yet measured. Where they find no room, it is two if the map allows.
 */
public sealed interface GroupNormPlan {
    /** Values that a multiprocessor norms in a clock in one launch. */
    int VALUES = 6;
    /** Clocks that it takes to read and write a thread's access. */
    double ACCESS = 1;
    /** The same for reading or writing it once more. */
    double FURTHER_ACCESS = 0.4;
    /** Bytes in a clock of a multiprocessor, in two launches: between what a chip's L2 cache gives and what its memory does. */
    int BYTES = 16;
    /**
     * What the second launch costs: the gap between dependent launches, filling and draining the chip once more, the way of the sums
     * through the L2 cache. Not yet measured.
     */
    int SECOND_LAUNCH = 6_500;
    /** What it costs in two launches that a block more tells the others its sums. */
    int SUMS_OF_A_BLOCK = 8;

    int WARP = 32;
    int MOST_THREADS = 1024;

    /** What of a chip counts: how many multiprocessors, and the bytes of shared memory that a block may have. */
    record Chip(int multiprocessors, int sharedBytes) {
    }

    /**
     * What is normed.
     *
     * @param first   channels of the first of two maps side by side; all channels where there is one map
     * @param bytes   of a value
     * @param aligned bytes that all addresses are a multiple of, 16 at most
     */
    record Map(int images, int pixels, int channels, int first, int groups, int bytes, int aligned) {
        int perGroup() {
            return channels / groups;
        }

        long values() {
            return (long) images * pixels * channels;
        }

        /** Arrays that are written: the result and two maps side by side. */
        int written() {
            return first < channels ? 2 : 1;
        }
    }

    /** What the model says. */
    double clocks();

    /**
     * One launch: a block to {@code groupsPerBlock} groups of an image.
     *
     * @param width          values that a thread moves at once
     * @param threads        of a block
     * @param kept           pixels that each thread keeps in shared memory, of all that it has or as a multiple of those it
     *                       reads at once
     * @param keepsAll       whether that is all
     * @param sharedBytes    of a block
     * @param clocks         what the model says
     */
    record OneLaunch(int width, int groupsPerBlock, int threads, int kept, boolean keepsAll, int sharedBytes, double clocks)
            implements GroupNormPlan {

        /** With so many groups to a block. */
        public static OneLaunch of(Map map, int groupsPerBlock, Chip chip) {
            int width = Math.min(16, map.aligned) / map.bytes;
            while (map.perGroup() % width != 0 || map.first % width != 0) {
                width /= 2;
            }
            if (map.perGroup() / width > MOST_THREADS) {
                width = 1;
            }
            int slots = groupsPerBlock * map.perGroup() / width;
            int threads = MOST_THREADS;
            int rounds = map.pixels;
            int kept = 0;
            int sums = 8 * (threads + 2 * WARP);
            if (slots <= MOST_THREADS) {
                // As many threads as leave none without work in the last round.
                int passes = Math.ceilDiv(map.pixels, MOST_THREADS / slots);
                threads = Math.ceilDiv(Math.ceilDiv(map.pixels, passes) * slots, WARP) * WARP;
                rounds = Math.ceilDiv(map.pixels, threads / slots);
                sums = 8 * (threads + 2 * WARP);
                int room = (chip.sharedBytes - sums) / (threads * width * map.bytes);
                kept = room >= rounds ? rounds : room / batch(width * map.bytes) * batch(width * map.bytes);
            }
            long blocks = (long) map.images * map.groups / groupsPerBlock;
            double accesses = ACCESS + FURTHER_ACCESS * (map.written() - (double) kept / rounds);
            double clocks = (double) map.pixels * groupsPerBlock * map.perGroup() * (1.0 / VALUES + accesses / width)
                    * Math.ceilDiv(blocks, chip.multiprocessors);
            return new OneLaunch(width, groupsPerBlock, threads, kept, kept == rounds, sums + kept * threads * width * map.bytes, clocks);
        }

        /** Pixels that a thread reads at once, as group_norm.cu has it. */
        private static int batch(int bytes) {
            return bytes == 2 ? 8 : 32 / bytes;
        }
    }

    /**
     * Two launches of {@code blocks} blocks to an image, with a chunk of channels to each thread.
     *
     * @param threads        of a block
     * @param pixelsPerBlock pixels of a block
     * @param blocks         blocks of an image
     * @param clocks         what the model says
     */
    record TwoLaunches(int threads, int pixelsPerBlock, int blocks, double clocks) implements GroupNormPlan {
        /** More than that, and one launch has blocks enough. */
        static final int MOST_IMAGES = 64;
        static final int MOST_GROUPS = 64;
        /** Threads that a block has at least, so that there are not too many blocks. */
        private static final int LEAST_THREADS = 256;
        /** Pixels of a thread at least, which group_norm.cu reads at once. */
        private static final int LEAST_PIXELS = 4;

        /** Null where channels or addresses do not allow it. */
        public static TwoLaunches of(Map map, Chip chip) {
            int chunk = 16 / map.bytes;
            int slots = map.channels / chunk;
            if (map.aligned < 16 || map.channels % chunk != 0 || map.first % chunk != 0 || slots > MOST_THREADS
                    || map.images > MOST_IMAGES || map.groups > MOST_GROUPS) {
                return null;
            }
            TwoLaunches best = null;
            for (int rows = Math.ceilDiv(LEAST_THREADS, slots); rows == 1 || rows * slots <= MOST_THREADS; rows++) {
                TwoLaunches other = of(map, chip, slots, rows);
                best = best == null || other.clocks < best.clocks ? other : best;
            }
            return best;
        }

        /** With so many rows of threads in a block, each of one pixel's channels. */
        private static TwoLaunches of(Map map, Chip chip, int slots, int rows) {
            int threads = Math.ceilDiv(slots * rows, WARP) * WARP;
            // All blocks of all images at once: 1024 threads to a multiprocessor.
            int most = Math.max(1, chip.multiprocessors * (MOST_THREADS / threads) / map.images);
            int pixelsPerBlock = Math.max(LEAST_PIXELS, Math.ceilDiv(Math.ceilDiv(map.pixels, most), rows)) * rows;
            int blocks = Math.ceilDiv(map.pixels, pixelsPerBlock);
            double bytes = (double) Math.ceilDiv(map.images * blocks, chip.multiprocessors) * Math.min(pixelsPerBlock, map.pixels)
                    * map.channels * map.bytes * (2 + map.written());
            return new TwoLaunches(threads, pixelsPerBlock, blocks, SECOND_LAUNCH + bytes / BYTES + blocks * SUMS_OF_A_BLOCK);
        }

        /** A ticket counter for each warp of a block, for each image. */
        static int ticketBytes() {
            return MOST_IMAGES * WARP * Integer.BYTES;
        }

        /** Where partial sums begin. */
        static int partialOffset() {
            return ticketBytes() + 8 * MOST_IMAGES * MOST_GROUPS;
        }

        /** Memory for any map: the tickets, mean and deviation of each group, the partial sums of each block. */
        static long workspaceBytes(Chip chip) {
            int blocks = chip.multiprocessors * (MOST_THREADS / LEAST_THREADS) + MOST_IMAGES;
            return partialOffset() + 8L * MOST_GROUPS * blocks;
        }
    }

    static GroupNormPlan of(Map map, Chip chip) {
        OneLaunch one = OneLaunch.of(map, 1, chip);
        for (int groups = 2; groups <= Math.min(WARP, map.groups); groups++) {
            if (map.groups % groups == 0 && groups * map.perGroup() <= MOST_THREADS) {
                OneLaunch other = OneLaunch.of(map, groups, chip);
                one = other.clocks < one.clocks ? other : one;
            }
        }
        TwoLaunches two = TwoLaunches.of(map, chip);
        return two == null || one.keepsAll && one.clocks <= two.clocks ? one : two;
    }
}
