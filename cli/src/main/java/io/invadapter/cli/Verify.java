package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.verification.Verification;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Compares everything this engine computes with a reference implementation's outputs for the same model and inputs. */
@Command(name = "verify", sortOptions = false, description = "Compares every result with golden data from the reference implementation.")
final class Verify implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "model folder with golden data (case.json, tokens.json, golden.safetensors, eaa.safetensors), or golden data of synthetic weights (case.json, shapes.json, golden.safetensors) or of the case that case.json names")
    private Path folder;

    @Option(names = "--dump", paramLabel = "FILE", description = "writes all outputs under the golden keys")
    private Path dump;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "auto", description = "auto, cpu, cuda or cuda:N (default: ${DEFAULT-VALUE})")
    private String deviceName;

    @Option(names = "--precision", paramLabel = "NAME", description = "fp32, bf16 or fp16 (default: fp32)")
    private Precision precision = Precision.FP32;

    @Override
    public Integer call() {
        DeviceOptions.checkDevice(deviceName);
        if (!Files.isDirectory(folder)) {
            throw new InvalidRequestException("verify: " + folder + " is no folder; expected one with golden data");
        }
        if (dump != null) {
            Checks.writable(List.of(dump));
        }
        try (Device device = Devices.open(deviceName, precision, System.err::println)) {
            System.out.println(device.description());
            Verification verification = Verification.run(folder, device, EnumSet.allOf(Verification.Part.class));
            print(verification);
            if (dump != null) {
                verification.dump(dump);
            }
            return verification.passed() ? 0 : 1;
        }
    }

    private static void print(Verification verification) {
        DescriptiveStatistics errors = new DescriptiveStatistics();
        verification.differentTokens().forEach(System.out::println);
        for (Verification.Row row : verification.rows()) {
            errors.addValue(row.error());
            System.out.printf(Locale.ROOT, "%-70s %.2e  %s%n", row.key(), row.error(),
                    row.passed() ? "ok" : String.format(Locale.ROOT, "FAIL (limit %.0e)", row.limit()));
        }
        verification.skipped().forEach(key -> System.out.println(key + "  skipped: this version does not compute it"));
        System.out.printf(Locale.ROOT, "%d keys, median %.2e, largest %.2e: %s%n", errors.getN(), errors.getPercentile(50),
                errors.getMax(), verification.passed() ? "passed" : "FAILED");
    }
}
