package io.invadapter.timing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.BenchReport.Kind;
import io.invadapter.timing.BenchReport.Part;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** A very small model through every kind of request. No time is asserted. */
class GenerationBenchTest {
    private static final Structure TINY = new Structure(new UNetConfig(4, 4, 8, 8, new int[] {32, 64}, new int[] {1, 1},
            new boolean[] {true, false}, new boolean[] {false, true}, new int[] {2, 2}, new int[] {1, 1}, 16, 8, 1e-5f, true, 0),
            new ClipTextConfig(16, 32, 1, 2, 77, 49408, Device.Activation.QUICK_GELU, 1e-5f),
            new VaeConfig(4, new int[] {8, 8, 8, 16}, 1, 4, 0.18215, true, true, true, false));

    @Test
    void everyKindOfRequestIsTimedAndCounted() {
        List<String> progress = new ArrayList<>();
        GenerationBench.Options options = new GenerationBench.Options(2, List.of(1, 2), 64, 2, 60);
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { });
                GenerationBench bench = new GenerationBench(device, TINY, options, progress::add)) {
            BenchReport report = bench.run();
            assertEquals(6, report.cases().size());
            for (BenchReport.Case c : report.cases()) {
                assertEquals(2, c.repeats());
                assertTrue(c.median() > 0 && c.p95() >= c.median() && c.teraflops() > 0 && c.usedMemory() > 0, c.toString());
                assertEquals(c.kind() == Kind.FIRST, c.parts().containsKey(Part.INVERT));
            }
            assertEquals(8, calls(report, Kind.NEXT, "attention over several sources"), "four transformers, self and cross");
            JsonValue json = Json.parse(JsonText.of(report.json()));
            assertEquals(6, json.get("requests").asList().size());
            assertTrue(report.table().contains("known face") && report.table().contains("conv2d"), report.table());
            assertTrue(progress.contains("known face, batch 2, run 2 of 2"), progress.toString());
            assertTrue(progress.stream().anyMatch(line -> line.startsWith("known face, batch 2, run 2 of 2: text ")
                    && line.contains("  denoise ")), progress.toString());
        }
    }

    @Test
    void aKnownFaceByItselfIsMetFirst() {
        GenerationBench.Options options = new GenerationBench.Options(3, List.of(1), 64, 1, 60);
        List<String> progress = new ArrayList<>();
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { });
                GenerationBench bench = new GenerationBench(device, TINY, options, progress::add)) {
            BenchReport known = bench.run(Kind.NEXT);
            assertEquals(List.of(Kind.NEXT), known.cases().stream().map(BenchReport.Case::kind).toList());
            bench.run(Kind.NEXT);
            assertEquals(1, progress.stream().filter(line -> line.contains("to be known")).count(), "it stays known");
            assertEquals(List.of(Kind.PLAIN), bench.run(Kind.PLAIN).cases().stream().map(BenchReport.Case::kind).toList());
        }
    }

    @Test
    void whatIsLeftOutIsSaid() {
        BenchReport report = new BenchReport("device", 512, 50);
        report.leftOut(Kind.FIRST, 16, "out of memory");
        assertTrue(report.table().contains("new face, batch 16: left out: out of memory"), report.table());
        assertEquals(1, Json.parse(JsonText.of(report.json())).get("left_out").asList().size());
    }

    @Test
    void theDeviceIsDescribedAsItIsAfterItsWork() {
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            Device changing = new ForwardingDevice(device) {
                private boolean worked;

                @Override
                public String description() {
                    return worked ? "a tired device" : "a fresh device";
                }

                @Override
                protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
                    worked = true;
                    return super.compute(operator, work, operands);
                }
            };
            GenerationBench.Options options = new GenerationBench.Options(1, List.of(1), 64, 1, 60);
            try (GenerationBench bench = new GenerationBench(changing, TINY, options, progress -> { })) {
                assertTrue(bench.run().table().contains("a tired device"));
            }
        }
    }

    private static int calls(BenchReport report, Kind kind, String operator) {
        return report.operators().stream().filter(o -> o.kind() == kind && o.batch() == 1 && o.name().equals(operator))
                .mapToInt(BenchReport.Operator::calls).sum();
    }

    @Test
    void quantilesLieBetweenTheValues() {
        double[] values = {4, 1, 3, 2};
        assertEquals(2.5, BenchReport.quantile(values, 0.5));
        assertEquals(3.85, BenchReport.quantile(values, 0.95), 1e-12);
        assertEquals(7, BenchReport.quantile(new double[] {7}, 0.95));
    }

    @Test
    void jsonEscapes() {
        assertEquals("{\n  \"a\\\"\": [\n    1,\n    null,\n    \"\\u000a\"\n  ]\n}\n",
                JsonText.of(Map.of("a\"", Arrays.asList(1, Double.NaN, "\n"))));
        assertEquals("{\"a\": [1, null, \"\\u000a\", []]}\n",
                JsonText.line(Map.of("a", Arrays.asList(1, Float.POSITIVE_INFINITY, "\n", List.of()))));
    }
}
