package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.CudaDeviceProvider;
import io.invadapter.kernels.cuda.KernelLibrary;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.choice.Stopwatch;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** What a section works with in its process: driver, libraries and device, opened when first asked for, closed together. */
final class Contact implements AutoCloseable {
    private final Gpu gpu;
    private final Sizes sizes;
    private final Journal journal;
    private final Path choices;
    private CudaDriver driver;
    private CudaLibraries libraries;
    private final Map<DataType, KernelLibrary> kernels = new EnumMap<>(DataType.class);
    private final List<Integer> graphNodes = new ArrayList<>();
    private ChoiceBook book;
    private Device device;

    /** @param choices folder where choices are kept */
    Contact(Gpu gpu, Sizes sizes, Journal journal, Path choices) {
        this.choices = choices;
        this.gpu = gpu;
        this.sizes = sizes;
        this.journal = journal;
    }

    Gpu gpu() {
        return gpu;
    }

    Sizes sizes() {
        return sizes;
    }

    Journal journal() {
        return journal;
    }

    /** See {@link Journal#item}. */
    void item(String name, double limit, Callable<Outcome> work) {
        journal.item(name, limit, this::isLost, work);
    }

    /** See {@link Journal#summary}. */
    void summary(String name, Callable<Outcome> work) {
        journal.summary(name, sizes.limit(), this::isLost, work);
    }

    /** A list that items are made from; where it cannot be had that is an item of its own, and there are no others. */
    <T> List<T> asked(String name, Supplier<List<T>> question) {
        try {
            return question.get();
        } catch (DeviceException e) {
            item(name, sizes.limit(), () -> {
                throw e;
            });
            return List.of();
        }
    }

    private boolean isLost() {
        if (driver == null) {
            return false;
        }
        try {
            driver.synchronize();
            return false;
        } catch (DeviceException e) {
            return true;
        }
    }

    CudaDriver driver() {
        if (driver == null) {
            driver = gpu.driver();
        }
        return driver;
    }

    CudaLibraries libraries() {
        if (libraries == null) {
            libraries = gpu.libraries(driver());
        }
        return libraries;
    }

    /** Our kernels for a type: one library for the process, for each loads its modules anew and never gives them back. */
    KernelLibrary kernels(DataType type) {
        return kernels.computeIfAbsent(type, t -> new KernelLibrary(driver(), t));
    }

    /** Microseconds of one run of work that is given to a stream, replayed; see {@link Stopwatch}. */
    double microseconds(Consumer<CudaDriver.Stream> work) {
        try (CudaDriver.Stream stream = driver().newStream()) {
            return new Stopwatch(driver(), stream).time(() -> work.accept(stream)).microseconds();
        }
    }

    /** Which ways are known to be fastest: one book for all sections. */
    ChoiceBook choices() {
        if (book == null) {
            book = CudaDeviceProvider.choices(choices, driver(), libraries());
        }
        return book;
    }

    /** A device of that precision on this driver and these libraries, of which a section takes one. */
    Device device(Precision precision) {
        if (device == null) {
            CudaDriver overheard = Listening.to(CudaDriver.class, driver(), (arguments, result) -> {
                if (result instanceof CudaDriver.Graph graph) {
                    graphNodes.add(graph.nodes());
                }
            });
            device = CudaDeviceProvider.open("cuda:0", precision, overheard, libraries(), choices());
        }
        return device;
    }

    /** Nodes of each graph that the device recorded so far. */
    List<Integer> graphNodes() {
        return graphNodes;
    }

    @Override
    public void close() {
        if (device != null) {
            device.close();
            return;
        }
        if (libraries != null) {
            libraries.close();
        }
        if (driver != null) {
            driver.close();
        }
    }
}
