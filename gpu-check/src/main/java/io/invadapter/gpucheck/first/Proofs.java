package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.gpucheck.first.Trials.Operands;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.Grid;
import io.invadapter.kernels.cuda.driver.Parameters;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.Stream;

/** The smallest thing of each kind, each by itself: what fails here needs no other explanation. */
final class Proofs {
    /** 64 KiB: more than a kernel gets without asking. */
    private static final int SHARED_VALUES = 16 * 1024;
    private static final int NUMBERS = 100_000;
    private static final int THREADS = 256;
    private static final int SIDE = 64;
    private static final int PIXELS = 16;
    private static final int READY_WAYS = 3;
    static final List<DataType> TYPES = List.of(DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32);

    private final Contact contact;
    private CudaDriver.Module module;
    private boolean scratch;

    private Proofs(Contact contact) {
        this.contact = contact;
    }

    static void run(Contact contact) {
        new Proofs(contact).all();
    }

    private void all() {
        item("context", this::context);
        item("copy", this::copy);
        item("copy from page-locked memory", this::lockedCopy);
        item("kernel", () -> numbers(null));
        item("kernel on a stream", () -> {
            try (CudaDriver.Stream stream = driver().newStream()) {
                return numbers(stream);
            }
        });
        item("kernel captured", this::capturedNumbers);
        item("kernel with 64 KiB of shared memory", this::backwards);
        item("cuBLAS starts", () -> Outcome.of(true, blas().description(), null));
        for (DataType type : TYPES) {
            item("product, " + name(type), () -> product(type));
            item("product captured, " + name(type), () -> capturedProduct(type));
        }
        for (DataType type : TYPES) {
            Blas.Product fused = new Blas.Product(type, SIDE, SIDE, SIDE, true, true, Blas.BEST_ALIGNMENT);
            ways("cublasLt, " + name(type), type, () -> blas().candidates(fused), () -> new LinearProducts.Memory(driver(), fused));
        }
        item("cuDNN starts", () -> Outcome.of(true, contact.libraries().dnn().description(), null));
        for (DataType type : TYPES) {
            Dnn.Shape small = new Dnn.Shape(type, 1, PIXELS, PIXELS, SIDE, SIDE, 3, 3, 1, 1, false);
            ways("convolution, " + name(type), type, () -> contact.libraries().dnn().propose(small).candidates(),
                    () -> new Convolutions.Memory(contact, small));
        }
        item("libraries in use", Machine::loaded);
    }

    /** The first few of those that are ready, and the first that has to be compiled: called, captured and replayed. */
    private <W extends Way> void ways(String name, DataType type, Supplier<List<Candidate<W>>> question, Supplier<Operands<W>> operands) {
        List<Candidate<W>> candidates = contact.asked(name + ": candidates", question);
        Stream.concat(candidates.stream().filter(candidate -> !candidate.compiledAtRunTime()).limit(READY_WAYS),
                candidates.stream().filter(Candidate::compiledAtRunTime).limit(1)).forEach(candidate ->
                        item(name + ": " + candidate.name(), () -> way(candidate, type, operands)));
    }

    private <W extends Way> Outcome way(Candidate<W> candidate, DataType type, Supplier<Operands<W>> memory) {
        W prepared;
        try {
            prepared = candidate.prepare();
        } catch (DeviceException e) {
            // A lost device is no refusal.
            driver().synchronize();
            return Outcome.skipped("refused: " + e.getMessage());
        }
        try (W way = prepared; Operands<W> operands = memory.get(); OnDevice scratch = new OnDevice(driver())) {
            long workspace = way.workspaceBytes() == 0 ? 0 : scratch.room(way.workspaceBytes());
            Outcome captured = captured(driver(), stream -> operands.run(way, workspace, stream), operands::spoil, operands::result);
            return both(judged(operands.error(), OnDevice.limit(type)), captured);
        }
    }

    /** What was replayed must be right, not only the same as what was called. */
    private static Outcome both(Outcome judged, Outcome captured) {
        return Outcome.of(captured.verdict() == Outcome.Verdict.OK && judged.verdict() == Outcome.Verdict.OK,
                judged.detail() + ", captured: " + captured.detail(), judged.data());
    }

    static String name(DataType type) {
        return type.name().toLowerCase(Locale.ROOT);
    }

    private void item(String name, Callable<Outcome> work) {
        contact.item(name, contact.sizes().limit(), work);
    }

    private CudaDriver driver() {
        return contact.driver();
    }

    private Outcome context() {
        CudaDriver driver = driver();
        CudaDriver.Memory memory = driver.memory();
        return Outcome.of(true, driver.deviceName() + ", compute capability " + driver.computeCapability() / 10 + "."
                + driver.computeCapability() % 10 + ", " + (memory.free() >> 20) + " of " + (memory.total() >> 20) + " MiB free",
                Map.of("name", driver.deviceName(), "capability", driver.computeCapability(), "driver", driver.driverVersion(),
                        "free_bytes", memory.free(), "total_bytes", memory.total()));
    }

    private Outcome copy() {
        try (OnDevice memory = new OnDevice(driver())) {
            long from = memory.known(0, DataType.FLOAT32, NUMBERS);
            long to = memory.room(4L * NUMBERS);
            driver().copy(to, from, 4L * NUMBERS, null);
            float[] found = memory.read(DataType.FLOAT32, to, NUMBERS);
            for (int i = 0; i < NUMBERS; i++) {
                if (found[i] != OnDevice.known(0, i)) {
                    return Outcome.failed("value " + i + " is " + found[i] + " instead of " + OnDevice.known(0, i));
                }
            }
            return Outcome.of(true, "in, within and out", null);
        }
    }

    private Outcome lockedCopy() {
        try (OnDevice memory = new OnDevice(driver()); CudaDriver.HostBuffer in = driver().allocateHost(4L * NUMBERS);
                CudaDriver.HostBuffer out = driver().allocateHost(4L * NUMBERS); CudaDriver.Stream stream = driver().newStream()) {
            for (int i = 0; i < NUMBERS; i++) {
                in.segment().setAtIndex(ValueLayout.JAVA_INT, i, i ^ 0x5a5a);
            }
            out.segment().fill((byte) 0x55);
            long address = memory.room(4L * NUMBERS);
            driver().copyIn(address, in, 0, 4L * NUMBERS, stream);
            driver().copyOut(out, 0, address, 4L * NUMBERS, stream);
            stream.synchronize();
            long place = in.segment().mismatch(out.segment());
            return Outcome.of(place < 0, place < 0 ? "in and out on a stream" : "byte " + place + " is wrong", null);
        }
    }

    private CudaDriver.Function function(String name) throws IOException {
        if (module == null) {
            try (InputStream ptx = Proofs.class.getResourceAsStream("proof.ptx")) {
                module = driver().load("proof", new String(ptx.readAllBytes(), StandardCharsets.US_ASCII));
            }
        }
        return module.function(name);
    }

    private Outcome numbers(CudaDriver.Stream stream) throws IOException {
        try (OnDevice memory = new OnDevice(driver())) {
            long y = memory.room(4L * NUMBERS);
            driver().launch(function("numbers"), Grid.of(NUMBERS, THREADS), THREADS, 0, stream,
                    new Parameters().int64(y).int32(NUMBERS));
            if (stream == null) {
                driver().synchronize();
            } else {
                stream.synchronize();
            }
            return counted(y);
        }
    }

    private Outcome counted(long y) {
        int[] found = ints(y, NUMBERS);
        for (int i = 0; i < NUMBERS; i++) {
            if (found[i] != 3 * i + 1) {
                return Outcome.failed("value " + i + " is " + found[i] + " instead of " + (3 * i + 1));
            }
        }
        return Outcome.of(true, NUMBERS + " numbers", null);
    }

    private int[] ints(long address, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(4L * count, 64);
            driver().copyOut(bytes, address, 4L * count);
            return bytes.toArray(ValueLayout.JAVA_INT);
        }
    }

    private Outcome capturedNumbers() throws IOException {
        CudaDriver.Function function = function("numbers");
        try (OnDevice memory = new OnDevice(driver()); CudaDriver.Stream stream = driver().newStream()) {
            long y = memory.room(4L * NUMBERS);
            try (CudaDriver.Graph graph = driver().record(stream, () -> driver().launch(function, Grid.of(NUMBERS, THREADS), THREADS,
                    0, stream, new Parameters().int64(y).int32(NUMBERS)))) {
                driver().fill(y, (byte) 0, 4L * NUMBERS);
                graph.launch(stream);
                graph.launch(stream);
                stream.synchronize();
                Outcome outcome = counted(y);
                return outcome.verdict() == Outcome.Verdict.OK ? Outcome.of(graph.nodes() == 1, graph.nodes() + " node, replayed", null)
                        : outcome;
            }
        }
    }

    private Outcome backwards() throws IOException {
        CudaDriver.Function function = function("backwards");
        int bytes = 4 * SHARED_VALUES;
        function.allowSharedBytes(bytes);
        try (OnDevice memory = new OnDevice(driver())) {
            long x = memory.known(0, DataType.FLOAT32, SHARED_VALUES);
            long y = memory.room(bytes);
            driver().launch(function, new Grid(1, 1, 1), THREADS, bytes, null,
                    new Parameters().int64(x).int64(y).int32(SHARED_VALUES));
            driver().synchronize();
            float[] found = memory.read(DataType.FLOAT32, y, SHARED_VALUES);
            for (int i = 0; i < SHARED_VALUES; i++) {
                if (found[i] != OnDevice.known(0, SHARED_VALUES - 1 - i)) {
                    return Outcome.failed("value " + i + " is wrong");
                }
            }
            return Outcome.of(true, bytes + " bytes", null);
        }
    }

    private Blas blas() {
        Blas blas = contact.libraries().blas();
        if (!scratch) {
            // Without it cuBLAS allocates its own, which cannot be captured; it goes with the process.
            blas.setWorkspace(driver().allocate(Blas.WORKSPACE_BYTES), Blas.WORKSPACE_BYTES);
            scratch = true;
        }
        return blas;
    }

    private Outcome product(DataType type) {
        try (Product product = new Product(driver(), blas(), type, SIDE, SIDE, SIDE)) {
            product.run(null);
            driver().synchronize();
            return judged(product.error(), product.limit());
        }
    }

    private Outcome capturedProduct(DataType type) {
        try (Product product = new Product(driver(), blas(), type, SIDE, SIDE, SIDE)) {
            Outcome captured = captured(driver(), product::run, product::spoil, product::result);
            return both(judged(product.error(), product.limit()), captured);
        }
    }

    /**
     * Bits that are the same when called and when replayed.
     *
     * @param spoil makes the result what neither leaves there
     */
    static Outcome captured(CudaDriver driver, Consumer<CudaDriver.Stream> work, Runnable spoil, Supplier<byte[]> result) {
        try (CudaDriver.Stream stream = driver.newStream()) {
            spoil.run();
            work.accept(stream);
            stream.synchronize();
            byte[] called = result.get();
            try (CudaDriver.Graph graph = driver.record(stream, () -> work.accept(stream))) {
                spoil.run();
                graph.launch(stream);
                graph.launch(stream);
                stream.synchronize();
                boolean same = Arrays.equals(called, result.get());
                return Outcome.of(same && graph.nodes() >= 1, graph.nodes() + (graph.nodes() == 1 ? " node, " : " nodes, ")
                        + (same ? "the same bits" : "other bits than when called"), Map.of("nodes", graph.nodes()));
            }
        }
    }

    static Outcome judged(double error, double limit) {
        return Outcome.of(error <= limit, String.format(Locale.ROOT, "relative error %.1e", error), Map.of("error", error, "limit", limit));
    }
}
