package io.invadapter.kernels.cuda;

/**
 * How group_norm.cu is launched for a map: in one launch or in two, whichever a model of the chip says is over sooner. The model
 * counts clocks, and adds the times of reading and of writing, which a block does one after the other; no GPU has confirmed it.
 *
 * <p>One launch keeps at most {@code images x groups} multiprocessors busy, each with all pixels of its groups. Two fill the
 * chip, and cost the second launch.
 */
sealed interface GroupNormPlan {
    /** Bytes per clock between one multiprocessor and the L2 cache, at most. */
    int MULTIPROCESSOR_BYTES = 64;
    /** The same for each of them when all are busy. */
    int SHARED_OUT_BYTES = 32;
    /** Values per clock of a multiprocessor: 128 instructions, about 18 for each. */
    int VALUES = 7;
    /**
     * What a second launch costs, set so that every map of SD 1.x's UNet at 512 x 512 takes one launch: the largest
     * (64 x 64 x 960) at batch 1 would take two from 10,600 clocks down on an H100, from 15,200 on an RTX 5090. An estimate of the
     * real cost inside a graph (the gap between dependent launches, filling and draining the chip once more, the way of the sums
     * through the L2 cache) is 5,000 to 6,500 clocks. By that and this model, on an H100 or A100, that map would be 2 to 4
     * microseconds quicker in two launches at batch 1, and not at batch 2. None of it has been measured.
     */
    int SECOND_LAUNCH = 16_000;

    int WARP = 32;
    int MOST_THREADS = 1024;
    int SECTOR = 32;

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

    double clocks();

    /**
     * One launch: a block to {@code groupsPerBlock} groups of an image.
     *
     * @param width          values that a thread moves at once
     * @param threads        of a block
     * @param kept           pixels that each thread keeps in shared memory, of all that it has or as a multiple of those it
     *                       reads at once
     * @param sharedBytes    of a block
     * @param clocks         what the model says
     */
    record OneLaunch(int width, int groupsPerBlock, int threads, int kept, int sharedBytes, double clocks)
            implements GroupNormPlan {

        static OneLaunch of(Map map, int groupsPerBlock, Chip chip) {
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
            int run = groupsPerBlock * map.perGroup() * map.bytes;
            double runBytes = run + SECTOR - Math.min(SECTOR, Integer.lowestOneBit(run));
            double moved = map.pixels * runBytes * (2 - (double) kept / rounds + map.written());
            double one = Math.max(moved / MULTIPROCESSOR_BYTES, (double) map.pixels * groupsPerBlock * map.perGroup() / VALUES);
            double clocks = Math.max(Math.ceilDiv(blocks, chip.multiprocessors) * one,
                    blocks * moved / chip.multiprocessors / SHARED_OUT_BYTES);
            return new OneLaunch(width, groupsPerBlock, threads, kept, sums + kept * threads * width * map.bytes, clocks);
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
        /** Threads that a block has at least about. */
        private static final int USUAL_THREADS = 256;
        /** Pixels of a thread at least, so that it does not read its scales and offsets too often. */
        private static final int LEAST_PIXELS = 8;

        /** Null where channels or addresses do not allow it. */
        static TwoLaunches of(Map map, Chip chip) {
            int chunk = 16 / map.bytes;
            int slots = map.channels / chunk;
            if (map.aligned < 16 || map.channels % chunk != 0 || map.first % chunk != 0 || slots > MOST_THREADS
                    || map.images > MOST_IMAGES || map.groups > MOST_GROUPS) {
                return null;
            }
            int threads = Math.ceilDiv(slots * Math.max(1, USUAL_THREADS / slots), WARP) * WARP;
            int rows = threads / slots;
            // All blocks of all images at once: 1024 threads to a multiprocessor.
            int most = Math.max(1, chip.multiprocessors * (MOST_THREADS / threads) / map.images);
            int pixelsPerBlock = Math.max(LEAST_PIXELS, Math.ceilDiv(Math.ceilDiv(map.pixels, most), rows)) * rows;
            int blocks = Math.ceilDiv(map.pixels, pixelsPerBlock);
            int busy = Math.min(chip.multiprocessors, map.images * blocks);
            double moved = (double) map.values() * map.bytes * (2 + map.written());
            double clocks = SECOND_LAUNCH
                    + Math.max(moved / busy / SHARED_OUT_BYTES, (double) map.values() / busy / VALUES);
            return new TwoLaunches(threads, pixelsPerBlock, blocks, clocks);
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
            int blocks = chip.multiprocessors * (MOST_THREADS / (USUAL_THREADS / 2)) + MOST_IMAGES;
            return partialOffset() + 8L * MOST_GROUPS * blocks;
        }
    }

    /** The cheapest. */
    static GroupNormPlan of(Map map, Chip chip) {
        GroupNormPlan best = OneLaunch.of(map, 1, chip);
        for (int groups = 2; groups <= Math.min(WARP, map.groups); groups++) {
            if (map.groups % groups == 0 && groups * map.perGroup() <= MOST_THREADS) {
                OneLaunch other = OneLaunch.of(map, groups, chip);
                best = other.clocks < best.clocks() ? other : best;
            }
        }
        TwoLaunches two = TwoLaunches.of(map, chip);
        return two != null && two.clocks < best.clocks() ? two : best;
    }
}
