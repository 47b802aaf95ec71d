package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.base.WholeFile;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.timing.BenchReport;
import io.invadapter.timing.GenerationBench;
import io.invadapter.timing.JsonText;
import io.invadapter.timing.Structure;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** How fast this computer is. */
@Command(name = "bench", sortOptions = false, description = "Times Stable Diffusion 1.5 with synthetic weights: plain, the first picture of a "
        + "face, the next of the same face; then each operator. Nothing is downloaded.")
final class Bench implements Callable<Integer> {
    @Option(names = "--device", paramLabel = "NAME", defaultValue = "auto", description = "auto, cpu, cuda or cuda:N (default: ${DEFAULT-VALUE})")
    private String deviceName;

    @Option(names = "--precision", paramLabel = "NAME", description = "fp32, bf16 or fp16 (default: the device's own)")
    private Precision precision;

    @Option(names = "--steps", paramLabel = "N", defaultValue = "50", description = "of a picture (default: ${DEFAULT-VALUE})")
    private Integer steps;

    @Option(names = "--batch", paramLabel = "N", split = ",", defaultValue = "1,4,16", description = "pictures of a request; several with commas (default: ${DEFAULT-VALUE})")
    private List<Integer> batches;

    @Option(names = "--size", paramLabel = "N", defaultValue = "512", description = "height and width of the pictures (default: ${DEFAULT-VALUE})")
    private Integer size;

    @Option(names = "--repeats", paramLabel = "N", defaultValue = "10", description = "runs of each request, after one that does not count (default: ${DEFAULT-VALUE})")
    private Integer repeats;

    @Option(names = "--json", paramLabel = "FILE", description = "writes all figures")
    private Path json;

    @Override
    public Integer call() throws IOException {
        DeviceOptions.checkDevice(deviceName);
        check(steps >= 1 && steps <= 1000, "--steps must be between 1 and 1000, not " + steps);
        check(batches.stream().allMatch(batch -> batch >= 1 && batch <= 1000), "--batch must be between 1 and 1000");
        check(size >= 64 && size <= 4096 && size % 64 == 0, "--size must be a multiple of 64 between 64 and 4096, not " + size);
        check(repeats >= 1, "--repeats must be 1 or more, not " + repeats);
        if (json != null) {
            Checks.writable(List.of(json));
        }
        GenerationBench.Options options =
                new GenerationBench.Options(steps, batches, size, repeats, Double.POSITIVE_INFINITY);
        try (Device device = Devices.open(deviceName, precision, notice -> System.err.println("invadapter: " + notice));
                GenerationBench bench = new GenerationBench(device, Structure.STABLE_DIFFUSION_15, options, Bench::progress)) {
            BenchReport report = bench.run();
            progress("");
            System.out.print(report.table());
            if (json != null) {
                ByteBuffer text = StandardCharsets.UTF_8.encode(JsonText.of(report.json()));
                WholeFile.write(json, channel -> channel.write(text));
            }
        }
        return 0;
    }

    private static void check(boolean holds, String message) {
        if (!holds) {
            throw new InvalidRequestException(message);
        }
    }

    /** One line that changes, on a terminal only. */
    private static void progress(String doing) {
        if (System.console() != null && System.console().isTerminal()) {
            System.err.print("\r\u001b[K" + doing);
        }
    }
}
