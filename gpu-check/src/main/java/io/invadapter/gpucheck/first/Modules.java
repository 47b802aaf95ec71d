package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.KernelLibrary;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * How long the driver takes to compile each kernel, each a module of its own, whose cache is empty at first. The sections behind this one get them
 * from its cache, so that none of their time goes into it.
 */
final class Modules {
    /** All modules of a type are compiled, which takes seconds for some: in parts of the usual limit. */
    private static final double LONG = 4;

    private Modules() {
    }

    static void run(Contact contact) {
        for (DataType type : Proofs.TYPES) {
            contact.item("modules, " + Proofs.name(type), LONG * contact.sizes().limit(), () -> loaded(contact, type));
        }
    }

    /** All beside each other, as a device loads them. */
    private static Outcome loaded(Contact contact, DataType type) {
        KernelLibrary library = contact.kernels(type);
        List<String> operators = KernelLibrary.operators(type);
        List<String> failures = new ArrayList<>();
        long start = System.nanoTime();
        for (String operator : operators) {
            library.prepare(operator, KernelLibrary.kernels(type, operator).toArray(String[]::new));
        }
        for (String operator : operators) {
            for (String kernel : KernelLibrary.kernels(type, operator)) {
                try {
                    library.require(operator, kernel);
                } catch (DeviceException e) {
                    failures.add(e.getMessage());
                }
            }
        }
        double all = (System.nanoTime() - start) / 1e6;
        Map<String, Duration> times = library.loadTimes();
        Map<String, Object> data = new TreeMap<>();
        times.forEach((kernel, time) -> data.put(kernel, time.toNanos() / 1e6));
        String longest = times.entrySet().stream().max(Map.Entry.comparingByValue())
                .map(slowest -> slowest.getKey() + " " + slowest.getValue().toMillis() + " ms").orElse("none");
        return Outcome.of(failures.isEmpty() && !times.isEmpty(), failures.isEmpty()
                ? String.format(Locale.ROOT, "%d kernels in %.0f ms, the longest: %s", times.size(), all, longest)
                : String.join("; ", failures), data);
    }
}
