package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.cuda.GroupNormPlan.Chip;
import io.invadapter.kernels.cuda.GroupNormPlan.OneLaunch;
import io.invadapter.kernels.cuda.GroupNormPlan.TwoLaunches;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** How group norms are cut up, on chips with few and many multiprocessors, and with little and much shared memory. */
class GroupNormPlanTest {
    private static final Chip A100 = new Chip(108, 163 << 10);
    private static final Chip H100 = new Chip(132, 227 << 10);
    private static final Chip RTX_4090 = new Chip(128, 99 << 10);
    private static final Chip RTX_5090 = new Chip(170, 99 << 10);
    private static final Chip RTX_3060 = new Chip(28, 99 << 10);
    private static final List<Chip> CHIPS = List.of(A100, H100, RTX_4090, RTX_5090, RTX_3060);

    /** Pixels and channels of what SD 1.x's UNet norms at 512 x 512; with two numbers of channels, of two maps side by side. */
    private static final int[][] UNET = {{4096, 320}, {4096, 320, 320}, {4096, 640, 320}, {1024, 320}, {1024, 640},
        {1024, 640, 320}, {1024, 640, 640}, {1024, 1280, 640}, {256, 640}, {256, 1280}, {256, 1280, 640}, {256, 1280, 1280},
        {64, 1280}, {64, 1280, 1280}};

    private static GroupNormPlan.Map map(int images, int[] sizes, int bytes) {
        return new GroupNormPlan.Map(images, sizes[0], sizes.length == 2 ? sizes[1] : sizes[1] + sizes[2], sizes[1], 32, bytes, 16);
    }

    /** Microseconds on an H200 at 1.98 GHz, batch 2, as benchmarks/results has them, of which any launch takes 3.2. */
    @Test
    void oneLaunchTakesWhatTheModelSays() {
        int[][] maps = {{4096, 320}, {4096, 320, 320}, {1024, 640}, {1024, 640, 640}, {256, 1280}, {256, 1280, 1280}, {64, 1280},
            {64, 1280, 1280}};
        double[] measured = {17.4, 26.7, 7.5, 10.1, 4.7, 6.5, 3.5, 4.1};
        for (int i = 0; i < maps.length; i++) {
            OneLaunch one = OneLaunch.of(map(2, maps[i], 2), 1, H100);
            assertEquals(measured[i], 3.2 + one.clocks() / 1980, 0.1 * measured[i], one.toString());
        }
    }

    @Test
    void smallMapsOfTheUNetTakeOneLaunchAndLargeOnesTwo() {
        for (Chip chip : List.of(A100, H100, RTX_4090, RTX_5090)) {
            for (int[] sizes : UNET) {
                for (int images : new int[] {1, 2, 3, 4, 8, 16}) {
                    GroupNormPlan.Map map = map(images, sizes, 2);
                    GroupNormPlan plan = GroupNormPlan.of(map, chip);
                    if (sizes[0] <= 256) {
                        OneLaunch one = assertInstanceOf(OneLaunch.class, plan, chip + ", " + map);
                        assertTrue(images > 2 || one.groupsPerBlock() == 1, () -> one + " leaves multiprocessors idle");
                    } else if (sizes[0] == 4096 && images <= 2) {
                        assertInstanceOf(TwoLaunches.class, plan, chip + ", " + map);
                    }
                }
            }
        }
    }

    @Test
    void twoLaunchesFillTheChip() {
        for (Chip chip : CHIPS) {
            for (int[] sizes : new int[][] {{512 * 512, 128}, {512 * 512, 256}, {256 * 256, 512}, {128 * 128, 640, 320}, {4096, 320}}) {
                TwoLaunches two = assertInstanceOf(TwoLaunches.class, GroupNormPlan.of(map(1, sizes, 2), chip));
                int atOnce = chip.multiprocessors() * (GroupNormPlan.MOST_THREADS / two.threads());
                double busiest = Math.ceilDiv(two.blocks(), chip.multiprocessors()) * two.pixelsPerBlock();
                assertTrue(two.blocks() <= atOnce && sizes[0] > 0.8 * busiest * chip.multiprocessors(), () -> chip + ": " + two);
            }
        }
    }

    /** The values stay on the multiprocessor where its memory is large enough; where it is not, two launches do better. */
    @Test
    void valuesAreKeptWhereTheyFit() {
        GroupNormPlan.Map map = map(2, new int[] {4096, 640}, 2);
        OneLaunch roomy = OneLaunch.of(map, 1, H100);
        assertTrue(roomy.keepsAll() && roomy.kept() * (roomy.threads() / (20 / roomy.width())) >= 4096, roomy.toString());
        OneLaunch tight = OneLaunch.of(map, 1, RTX_4090);
        assertTrue(!tight.keepsAll() && tight.kept() > 0 && tight.kept() < roomy.kept(), tight.toString());
        assertInstanceOf(TwoLaunches.class, GroupNormPlan.of(map(64, new int[] {4096, 640}, 2), RTX_4090));
    }

    /** Whatever the sizes: within the chip's limits, the whole map is covered, and the workspace is large enough. */
    @Test
    void anyMapFits() {
        Random random = new Random(5);
        for (int i = 0; i < 20_000; i++) {
            int groups = 1 + random.nextInt(random.nextBoolean() ? 40 : 1000);
            int channels = groups * (1 + random.nextInt(random.nextBoolean() ? 50 : 1500));
            int first = random.nextBoolean() ? channels : 1 + random.nextInt(channels);
            int bytes = random.nextBoolean() ? 2 : 4;
            int images = 1 + random.nextInt(random.nextBoolean() ? 4 : 200);
            GroupNormPlan.Map map = new GroupNormPlan.Map(images, 1 + random.nextInt(300_000), channels, first, groups, bytes,
                    bytes << random.nextInt(bytes == 2 ? 4 : 3));
            Chip chip = CHIPS.get(random.nextInt(CHIPS.size()));
            String what = map + " on " + chip + ": " + GroupNormPlan.of(map, chip);
            switch (GroupNormPlan.of(map, chip)) {
                case OneLaunch one -> {
                    assertTrue(one.sharedBytes() <= chip.sharedBytes(), what);
                    assertTrue(one.threads() <= GroupNormPlan.MOST_THREADS && one.threads() % 32 == 0, what);
                    assertEquals(0, groups % one.groupsPerBlock(), what);
                    assertEquals(0, map.perGroup() % one.width() + first % one.width(), what);
                    assertTrue(one.width() * bytes <= map.aligned(), what);
                }
                case TwoLaunches two -> {
                    assertTrue((long) two.blocks() * two.pixelsPerBlock() >= map.pixels(), what);
                    assertTrue(two.threads() <= GroupNormPlan.MOST_THREADS && two.threads() % 32 == 0, what);
                    assertTrue(TwoLaunches.partialOffset() + 8L * images * groups * two.blocks() <= TwoLaunches.workspaceBytes(chip), what);
                }
            }
        }
    }
}
