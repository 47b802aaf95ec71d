package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** How many kernels, products and convolutions a step of Stable Diffusion 1.5 starts at 512 x 512: each costs microseconds. */
class StepLaunchesTest {
    private static final EmulatedGpu GPU = EmulatedGpu.counting();
    private static Device device;
    private static StableDiffusion15 model;

    @BeforeAll
    static void open() {
        device = CudaDeviceTest.open(GPU, Precision.FP16);
        model = new StableDiffusion15(device);
    }

    @AfterAll
    static void close() {
        model.close();
        device.close();
    }

    /** By kind, what the last of three steps started, without what the host writes. */
    private static Map<String, Integer> lastStep(boolean face) {
        List<Integer> ends = new ArrayList<>();
        model.generate(face, () -> ends.add(GPU.started().size()));
        Map<String, Integer> counts = new TreeMap<>();
        for (String name : GPU.started().subList(ends.get(ends.size() - 2), ends.getLast())) {
            if (!name.equals("copy in")) {
                String kind = name.startsWith("product") || name.startsWith("convolution") ? name.split(" ")[0] : name;
                counts.merge(kind, 1, Integer::sum);
            }
        }
        return counts;
    }

    private static void assertAtMost(int most, Map<String, Integer> counts) {
        int all = counts.values().stream().mapToInt(n -> n).sum();
        assertTrue(all <= most, () -> all + " where " + most + " are allowed: " + counts);
        assertFalse(counts.containsKey("add"), () -> "what is added to a product or a convolution is part of its launch: " + counts);
    }

    @Test
    void ofAPlainPictureWithGuidance() {
        assertAtMost(376, lastStep(false));
    }

    /** What the README's table is made from. */
    @Test
    void theRooflineCountsTheSame() {
        List<StepRoofline.Call> calls = StepRoofline.step(false);
        assertEquals(lastStep(false).values().stream().mapToInt(n -> n).sum(), StepRoofline.launches(calls));
        // Of one row of the batch this network is known to need 0.8 TFLOP.
        assertEquals(1.6e12, calls.stream().mapToDouble(StepRoofline.Call::operations).sum(), 0.01e12);
    }

    @Test
    void withANewFace() {
        assertAtMost(425, lastStep(true));
    }
}
