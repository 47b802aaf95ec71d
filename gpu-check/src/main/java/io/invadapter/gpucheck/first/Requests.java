package io.invadapter.gpucheck.first;

import io.invadapter.bench.BenchReport;
import io.invadapter.bench.GenerationBench;
import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.Precision;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Whole requests: plain, a new face, the same face again. */
final class Requests {
    /** In parts of the usual limit. */
    private static final double LONG = 10;

    private Requests() {
    }

    static void run(Contact contact) {
        contact.item("plain, new face, known face", LONG * contact.sizes().limit(), () -> {
            try (GenerationBench bench = new GenerationBench(contact.device(Precision.FP16), contact.sizes().structure(),
                    contact.sizes().requests(), progress -> contact.journal().more(Map.of("doing", progress)))) {
                BenchReport report = bench.run();
                Map<String, Object> data = new LinkedHashMap<>(report.json());
                data.put("table", report.table());
                return Outcome.of(report.cases().size() == BenchReport.Kind.values().length, report.cases().stream()
                        .map(c -> String.format(Locale.ROOT, "%s %.0f ms", c.kind(), c.median())).collect(Collectors.joining(", ")),
                        data);
            }
        });
    }
}
