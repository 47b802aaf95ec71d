package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * cuDNN's convolutions in plain Java on an emulated device, with the checks that cuDNN makes and those that it leaves to luck:
 * alignment, overlap, scratch memory that is missing, memory that is not there or was never written.
 *
 * <p>Its ways are {@link EmulatedEngine}s, which pretend to take some time. Unless a test wants others it proposes one, which needs
 * scratch memory for kernels larger than one pixel, and a last resort that needs none.
 */
public final class EmulatedDnn implements Dnn {
    private static final int ALIGNMENT = 16;
    /** Output pixels that are computed at a time. */
    private static final int PIXELS = 64;

    private final EmulatorDriver driver;
    private final EmulatedMemory memory;
    private List<EmulatedEngine> engines = List.of(EmulatedEngine.of("engine", 20, 15).withScratch(EmulatedEngine.BY_WEIGHTS),
            EmulatedEngine.of("engine without scratch memory", 40, 15).asLastResort());
    private final Map<Integer, List<EmulatedEngine>> enginesOfBatch = new TreeMap<>();
    private List<EmulatedEngine> attentionEngines = List.of();
    private final List<String> planned = new ArrayList<>();
    private int open;
    private long calls;
    private boolean closed;

    /** On that device. */
    public EmulatedDnn(EmulatorDriver driver) {
        this.driver = driver;
        this.memory = new EmulatedMemory(driver.emulator());
    }

    /** From now on proposes these, for every shape. */
    public void proposes(EmulatedEngine... ways) {
        engines = List.of(ways);
    }

    /** Proposes these for that many pictures; it has all others, too, for whoever names them. */
    public void proposesFor(int batch, EmulatedEngine... ways) {
        enginesOfBatch.put(batch, List.of(ways));
    }

    /** From now on proposes these for every attention; unless told it has none. */
    public void proposesForAttention(EmulatedEngine... ways) {
        attentionEngines = List.of(ways);
    }

    /** The shapes and engines of plans that were prepared, those that failed included, in order. */
    public List<String> planned() {
        return planned;
    }

    /** Plans that are open now. */
    public int open() {
        return open;
    }

    /** Convolutions given so far, recorded ones once. */
    public long calls() {
        return calls;
    }

    @Override
    public String description() {
        return "emulated cuDNN";
    }

    private static void require(boolean holds, String status, String problem) {
        if (!holds) {
            throw new CudaException("cuDNN failed: CUDNN_STATUS_" + status + " (" + problem + ")");
        }
    }

    @Override
    public Proposals<Plan> propose(Shape shape) {
        require(!closed, "NOT_INITIALIZED", "closed");
        List<Candidate<Plan>> candidates = new ArrayList<>();
        enginesOfBatch.getOrDefault(shape.batch(), engines).forEach(engine -> candidates.add(new EmulatedProposal(shape, engine)));
        return proposals(candidates, name -> engines.stream().filter(engine -> engine.name().equals(name)).findFirst()
                .map(engine -> new EmulatedProposal(shape, engine)));
    }

    @Override
    public Proposals<AttentionPlan> propose(AttentionShape shape) {
        require(!closed, "NOT_INITIALIZED", "closed");
        List<Candidate<AttentionPlan>> candidates = new ArrayList<>();
        attentionEngines.forEach(engine -> candidates.add(new EmulatedAttention(driver, shape, engine)));
        return proposals(candidates, name -> Optional.empty());
    }

    private static <W extends Way> Proposals<W> proposals(List<Candidate<W>> candidates,
                                                          Function<String, Optional<Candidate<W>>> notProposed) {
        return new Proposals<>() {
            @Override
            public List<Candidate<W>> candidates() {
                return candidates;
            }

            @Override
            public Optional<Candidate<W>> named(String name) {
                return Proposals.super.named(name).or(() -> notProposed.apply(name));
            }

            @Override
            public void close() {
                candidates.clear();
            }
        };
    }

    private final class EmulatedProposal implements Candidate<Plan> {
        private final Shape shape;
        private final EmulatedEngine engine;

        EmulatedProposal(Shape shape, EmulatedEngine engine) {
            this.shape = shape;
            this.engine = engine;
        }

        @Override
        public String name() {
            return engine.name();
        }

        @Override
        public List<String> notes() {
            return compiledAtRunTime() ? List.of("compiled at run time") : List.of();
        }

        @Override
        public boolean compiledAtRunTime() {
            return engine.compiled();
        }

        @Override
        public boolean isLastResort() {
            return engine.lastResort();
        }

        @Override
        public Plan prepare() {
            driver.notRecordable("preparing a convolution");
            planned.add(shape + ": " + engine.name());
            require(shape.batch() > 0 && shape.height() > 0 && shape.width() > 0 && shape.inChannels() > 0
                    && shape.outChannels() > 0 && shape.kernelHeight() > 0 && shape.kernelWidth() > 0 && shape.stride() > 0
                    && shape.padding() >= 0 && shape.height() + 2 * shape.padding() >= shape.kernelHeight()
                    && shape.width() + 2 * shape.padding() >= shape.kernelWidth(), "BAD_PARAM", shape.toString());
            require(engine.refusal() == null, "NOT_SUPPORTED", engine.refusal());
            return new EmulatedPlan(shape, engine);
        }
    }

    private static long scratch(Shape shape) {
        return shape.kernelHeight() * shape.kernelWidth() == 1 ? 0 : Math.ceilDiv((long) shape.outChannels()
                * shape.inChannels() * shape.kernelHeight() * shape.kernelWidth() * shape.type().bytes(), 256L) * 256;
    }

    private final class EmulatedPlan implements Plan {
        private final Shape shape;
        private final EmulatedEngine engine;
        private final long workspaceBytes;
        private boolean planClosed;

        EmulatedPlan(Shape shape, EmulatedEngine engine) {
            this.shape = shape;
            this.engine = engine;
            this.workspaceBytes = engine.scratchBytes() == EmulatedEngine.BY_WEIGHTS ? scratch(shape) : engine.scratchBytes();
            open++;
        }

        @Override
        public long workspaceBytes() {
            return workspaceBytes;
        }

        @Override
        public boolean addsBias() {
            return engine.addsBias();
        }

        @Override
        public void close() {
            require(!planClosed, "BAD_PARAM", "a plan that was closed already");
            planClosed = true;
            open--;
        }

        private void check(String name, long address, long values, long y, long outValues) {
            require(address != 0, "BAD_PARAM_NULL_POINTER", name + " is null");
            require(address % ALIGNMENT == 0, "BAD_PARAM_MISALIGNED_POINTER", name + " is 0x" + Long.toHexString(address));
            int bytes = shape.type().bytes();
            require(name.equals("y") || address + values * bytes <= y || y + outValues * bytes <= address, "EXECUTION_FAILED",
                    name + " overlaps y");
        }

        @Override
        public void run(long x, long w, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
            require(!closed && !planClosed, "NOT_INITIALIZED", "closed");
            require(engine.failure() == null, "EXECUTION_FAILED", engine.failure());
            if (!engine.recordable() && driver.isRecording(stream)) {
                driver.notRecordable(engine.name());
            }
            long in = (long) shape.batch() * shape.height() * shape.width() * shape.inChannels();
            long weights = (long) shape.outChannels() * shape.kernelHeight() * shape.kernelWidth() * shape.inChannels();
            long out = (long) shape.batch() * shape.outHeight() * shape.outWidth() * shape.outChannels();
            check("y", y, out, y, out);
            check("x", x, in, y, out);
            check("w", w, weights, y, out);
            check("bias", bias, shape.outChannels(), y, out);
            if (residual != 0 != shape.residual()) {
                throw new IllegalArgumentException("residual is " + (residual == 0 ? "missing" : "given, but not planned for"));
            }
            if (residual != 0) {
                check("residual", residual, out, y, out);
            }
            if (workspaceBytes > 0) {
                check("workspace", workspace, workspaceBytes / shape.type().bytes(), y, out);
            }
            calls++;
            driver.submit(stream, new EmulatedWork("convolution " + shape, () -> {
                // A graph that outlives its plan starts kernels that are gone.
                require(!planClosed, "EXECUTION_FAILED", "a plan that was closed");
                memory.scribble(workspace, workspaceBytes);
                convolve(shape, x, w, engine.addsBias() ? bias : 0, residual, y);
            }, engine.deviceMicroseconds() * 1000, engine.hostMicroseconds() * 1000));
        }
    }

    private void convolve(Shape s, long x, long w, long bias, long residual, long y) {
        DataType type = s.type();
        int channels = s.inChannels();
        int outChannels = s.outChannels();
        int taps = s.kernelHeight() * s.kernelWidth() * channels;
        int pixels = s.batch() * s.outHeight() * s.outWidth();
        float[] in = memory.read(type, x, s.batch() * s.height() * s.width() * channels);
        float[] rows = memory.read(type, w, outChannels * taps);
        float[] weights = new float[rows.length];
        for (int o = 0; o < outChannels; o++) {
            for (int t = 0; t < taps; t++) {
                weights[t * outChannels + o] = rows[o * taps + t];
            }
        }
        float[] shift = bias == 0 ? new float[outChannels] : memory.read(type, bias, outChannels);
        float[] patches = new float[PIXELS * taps];
        float[] sums = new float[PIXELS * outChannels];
        float[] added = new float[PIXELS * outChannels];
        for (int first = 0; first < pixels; first += PIXELS) {
            int count = Math.min(PIXELS, pixels - first);
            Arrays.fill(sums, 0);
            for (int p = 0; p < count; p++) {
                gather(s, in, first + p, patches, p * taps);
            }
            EmulatedProduct.add(outChannels, count, taps, weights, patches, sums);
            long offset = (long) first * outChannels * type.bytes();
            if (residual != 0) {
                memory.read(type, residual + offset, added, 0, count * outChannels);
            }
            for (int i = 0; i < count * outChannels; i++) {
                sums[i] += shift[i % outChannels] + added[i];
            }
            memory.write(type, y + offset, sums, 0, count * outChannels);
        }
    }

    /** What one output pixel sees, in the order of the weights. */
    private static void gather(Shape s, float[] in, int pixel, float[] patch, int offset) {
        int column = pixel % s.outWidth();
        int row = pixel / s.outWidth() % s.outHeight();
        int image = pixel / s.outWidth() / s.outHeight();
        int channels = s.inChannels();
        for (int i = 0; i < s.kernelHeight(); i++) {
            for (int j = 0; j < s.kernelWidth(); j++) {
                int r = row * s.stride() - s.padding() + i;
                int c = column * s.stride() - s.padding() + j;
                int to = offset + (i * s.kernelWidth() + j) * channels;
                if (r < 0 || c < 0 || r >= s.height() || c >= s.width()) {
                    Arrays.fill(patch, to, to + channels, 0);
                } else {
                    System.arraycopy(in, ((image * s.height() + r) * s.width() + c) * channels, patch, to, channels);
                }
            }
        }
    }

    @Override
    public void close() {
        closed = true;
    }
}
