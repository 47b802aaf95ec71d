package io.invadapter.kernels.cuda;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Choice;
import io.invadapter.kernels.cuda.choice.Offer;
import io.invadapter.kernels.cuda.choice.TrialMemory;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The plan for each shape of a convolution, chosen when the shape comes up first.
 *
 * <p>What is fastest is found for 1, 2, 4, 8 and 16 pictures; the numbers between, and larger ones, take the same engine. So a
 * new number of pictures finalises one plan for each shape, and times none. Only where that engine cannot be used for them they get a
 * choice of their own.
 *
 * <p>Plans are kept, those that were used longest ago are given up when there are too many. A plan in a recorded graph stays:
 * the graph starts its kernels.
 */
final class ConvolutionPlans implements AutoCloseable {
    /** A UNet has 25 shapes for each size of pictures and number of them, the decoder 15. */
    static final int MOST = 400;
    private static final int LARGEST_BATCH = 16;

    /** What a plan leaves to be done. */
    interface Rest {
        /** {@code y += bias}, on the device's stream. */
        void addBias(Dnn.Shape shape, long bias, long y);
    }

    /** A plan that is kept. */
    final class Entry {
        private final Dnn.Shape shape;
        private final Choice<Dnn.Plan> choice;
        private int recordings;

        private Entry(Dnn.Shape shape, Choice<Dnn.Plan> choice) {
            this.shape = shape;
            this.choice = choice;
        }

        /** See {@link Dnn.Plan#run}; the bias is added in any case. */
        void run(long x, long w, long bias, long residual, long y) {
            Dnn.Plan plan = choice.way();
            runWhole(shape, plan, x, w, bias, residual, y, device.workspace().address(plan.workspaceBytes()), device.stream());
        }
    }

    private final CudaDevice device;
    private final Dnn dnn;
    private final Rest rest;
    private final Map<Dnn.Shape, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);
    /** Those that the graph being recorded uses, or null. */
    private Set<Entry> recorded;

    ConvolutionPlans(CudaDevice device, Dnn dnn, Rest rest) {
        this.device = device;
        this.dnn = dnn;
        this.rest = rest;
    }

    private void runWhole(Dnn.Shape shape, Dnn.Plan plan, long x, long w, long bias, long residual, long y, long workspace,
                          CudaDriver.Stream stream) {
        plan.run(x, w, bias, residual, y, workspace, stream);
        if (!plan.addsBias()) {
            rest.addBias(shape, bias, y);
        }
    }

    /**
     * The plan for a shape.
     *
     * @throws OutOfDeviceMemoryException when there is no memory for any
     * @throws io.invadapter.kernels.cuda.driver.CudaException when cuDNN has none
     */
    Entry plan(Dnn.Shape shape) {
        Entry entry = entries.get(shape);
        if (entry == null) {
            entry = new Entry(shape, choose(shape));
            entries.put(shape, entry);
            giveUpTheOldest();
        }
        if (recorded != null && recorded.add(entry)) {
            entry.recordings++;
        }
        return entry;
    }

    private static int batchClass(int batch) {
        return Math.min(LARGEST_BATCH, batch == Integer.highestOneBit(batch) ? batch : Integer.highestOneBit(batch) << 1);
    }

    private Choice<Dnn.Plan> choose(Dnn.Shape shape) {
        Dnn.Shape representative = shape.withBatch(batchClass(shape.batch()));
        if (!representative.equals(shape) && !device.chooser().knows(shape.toString())
                && !device.chooser().knows(representative.toString())) {
            try {
                plan(representative);
            } catch (OutOfDeviceMemoryException e) {
                // Then by what this shape itself can do.
            }
        }
        try (Dnn.Proposals<Dnn.Plan> proposals = dnn.propose(shape)) {
            return device.chooser().choose(new Convolved(shape, representative, proposals));
        }
    }

    private final class Convolved implements Offer<Dnn.Plan> {
        private final Dnn.Shape shape;
        private final Dnn.Shape representative;
        private final Dnn.Proposals<Dnn.Plan> proposals;

        Convolved(Dnn.Shape shape, Dnn.Shape representative, Dnn.Proposals<Dnn.Plan> proposals) {
            this.shape = shape;
            this.representative = representative;
            this.proposals = proposals;
        }

        @Override
        public String key() {
            return shape.toString();
        }

        @Override
        public String model() {
            return representative.toString();
        }

        @Override
        public Optional<Candidate<Dnn.Plan>> named(String name) {
            return proposals.named(name);
        }

        @Override
        public Iterable<Candidate<Dnn.Plan>> candidates() {
            return proposals.candidates();
        }

        @Override
        public Trial<Dnn.Plan> trial() {
            long bytes = shape.type().bytes();
            long out = bytes * shape.batch() * shape.outHeight() * shape.outWidth() * shape.outChannels();
            TrialMemory memory = new TrialMemory(device.driver());
            long x = memory.block(bytes * shape.batch() * shape.height() * shape.width() * shape.inChannels());
            long w = memory.block(bytes * shape.outChannels() * shape.kernelHeight() * shape.kernelWidth() * shape.inChannels());
            long bias = memory.block(bytes * shape.outChannels());
            long residual = shape.residual() ? memory.block(out) : 0;
            long y = memory.block(out);
            return new Trial<>() {
                @Override
                public void run(Dnn.Plan plan, long workspace, CudaDriver.Stream stream) {
                    runWhole(shape, plan, x, w, bias, residual, y, workspace, stream);
                }

                @Override
                public void close() {
                    memory.close();
                }
            };
        }
    }

    private void giveUpTheOldest() {
        Iterator<Entry> eldest = entries.values().iterator();
        while (entries.size() > MOST && eldest.hasNext()) {
            Entry entry = eldest.next();
            if (entry.recordings == 0) {
                eldest.remove();
                entry.choice.way().close();
            }
        }
    }

    /** From now on notes which plans are used, until {@link #recorded}. */
    void startRecording() {
        recorded = new HashSet<>();
    }

    /** What a graph recorded since the start uses; to be {@link #release}d when the graph is closed. */
    Set<Entry> recorded() {
        Set<Entry> used = recorded;
        recorded = null;
        return used;
    }

    /** A graph that used those is gone. */
    void release(Set<Entry> used) {
        used.forEach(entry -> entry.recordings--);
    }

    @Override
    public void close() {
        entries.values().forEach(entry -> entry.choice.way().close());
        entries.clear();
    }
}
