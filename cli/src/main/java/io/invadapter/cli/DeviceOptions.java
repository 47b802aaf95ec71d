package io.invadapter.cli;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.pipeline.Pipeline;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.Precision;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import picocli.CommandLine.Option;

/** Options of every command that makes pictures: where it computes and how much it says. */
final class DeviceOptions {
    @Option(names = "--device", paramLabel = "NAME", defaultValue = "auto", description = "auto, cpu, cuda or cuda:N (default: ${DEFAULT-VALUE})")
    private String device;

    @Option(names = "--precision", paramLabel = "NAME", description = "fp32, bf16 or fp16 (default: the device's own)")
    private Precision precision;

    @Option(names = {"-q", "--quiet"}, description = "no progress, no notices")
    private boolean quiet;

    private final Set<String> said = ConcurrentHashMap.newKeySet();

    boolean quiet() {
        return quiet;
    }

    /** @throws InvalidRequestException when the name is none that {@code --device} knows */
    static String checkDevice(String name) {
        if (!name.matches("auto|cpu|cuda(:\\d{1,9})?")) {
            throw new InvalidRequestException("--device '" + name + "': expected auto, cpu, cuda or cuda:N");
        }
        return name;
    }

    Pipeline open(Pipeline.Builder pipeline) {
        checkDevice(device);
        Notices.to(this::warn);
        try (Progress.Loading shown = new Progress.Loading(quiet)) {
            return pipeline.device(device).precision(precision).notices(this::warn).loading(shown).open();
        } catch (OutOfMemoryError e) {
            throw new OutOfDeviceMemoryException("out of memory while loading the model: give Java more, e.g. with "
                    + "JAVA_TOOL_OPTIONS=-Xmx8g");
        }
    }

    /** Says it once, however many pictures it holds for. */
    void warn(String notice) {
        if (!quiet && said.add(notice)) {
            Progress.clearLine();
            System.err.println("invadapter: " + notice);
        }
    }
}
