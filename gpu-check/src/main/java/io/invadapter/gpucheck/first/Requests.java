package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.BenchReport;
import io.invadapter.timing.GenerationBench;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Whole requests: plain, a new face, the same face again. */
final class Requests {
    /** In parts of the usual limit: a kind of request, and what the first one makes, all weights and plans. */
    private static final double LONG = 5;

    private final Contact contact;
    private GenerationBench bench;

    private Requests(Contact contact) {
        this.contact = contact;
    }

    static void run(Contact contact) {
        Requests requests = new Requests(contact);
        for (BenchReport.Kind kind : BenchReport.Kind.values()) {
            contact.item(kind.toString(), LONG * contact.sizes().limit(), () -> requests.timed(kind));
        }
    }

    /** The bench and its weights stay for the other kinds, and go with the device. */
    private Outcome timed(BenchReport.Kind kind) {
        if (bench == null) {
            bench = new GenerationBench(contact.device(Precision.FP16), contact.sizes().structure(), contact.sizes().requests(),
                    progress -> contact.journal().more(Map.of("doing", progress)));
        }
        BenchReport report = bench.run(kind);
        Map<String, Object> data = new LinkedHashMap<>(report.json());
        data.put("table", report.table());
        return Outcome.of(!report.cases().isEmpty(), report.cases().stream()
                .map(c -> String.format(Locale.ROOT, "%.0f ms", c.median())).collect(Collectors.joining(", ")), data);
    }
}
