package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.Choice;
import io.invadapter.kernels.cuda.choice.Chooser;
import io.invadapter.kernels.cuda.choice.Offer;
import io.invadapter.kernels.cuda.choice.TrialMemory;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The two ways of a layer norm, a product and GEGLU with the same weights, see {@link FoldedNorm}; which is faster is found once
 * for each size.
 */
final class GatedWays {
    /** One launch of gated_linear.cu, or three. */
    enum How implements Candidate<How>, Way {
        TOGETHER("gated_linear"),
        SEPARATELY("layer norm, product, GEGLU");

        private final String description;

        How(String description) {
            this.description = description;
        }

        @Override
        public List<String> notes() {
            return List.of(description);
        }

        @Override
        public How prepare() {
            return this;
        }

        @Override
        public long workspaceBytes() {
            return 0;
        }

        @Override
        public void close() {
            // It holds nothing.
        }
    }

    /** x {@code [rows, depth]}, y {@code [rows, columns]}. */
    record Size(DataType type, int rows, int depth, int columns) {
        @Override
        public String toString() {
            return "gated product " + type + " " + rows + " x " + depth + " to " + columns;
        }
    }

    /**
     * Addresses.
     *
     * @param normed room for x once more; 0 together
     * @param both   room for values and gates {@code [rows, 2 columns]}; 0 together
     */
    record Places(long x, long weight, long bias, long sums, long normed, long both, long y) {
    }

    private record Plain(long scale, long shift) {
    }

    private final CudaDriver driver;
    private final CudaDriver.Stream stream;
    private final KernelLibrary library;
    private final GatedProduct gatedProduct;
    private final Normalisation normalisation;
    private final Pointwise pointwise;
    private final Products products;
    private final Chooser chooser;
    private final WeightMemory memory;
    /** Scales of 1 and shifts of 0, by channels. */
    private final Map<Integer, Plain> plain = new HashMap<>();
    private final Map<Size, Choice<How>> choices = new HashMap<>();

    GatedWays(CudaDriver.Stream stream, KernelLibrary library, Products products, Chooser chooser, WeightMemory memory) {
        this.driver = library.driver();
        this.stream = stream;
        this.library = library;
        this.gatedProduct = new GatedProduct(library);
        this.normalisation = new Normalisation(library);
        this.pointwise = new Pointwise(library);
        this.products = products;
        this.chooser = chooser;
        this.memory = memory;
    }

    /** Makes ready for layers of those sizes: what this needs cannot be had while a graph is recorded. */
    void prepare(int depth, int columns) {
        normalisation.prepare();
        if (gatedProduct.serves(depth, columns)) {
            library.prepare("gated_linear");
        }
        plain.computeIfAbsent(depth, n -> {
            float[] ones = new float[n];
            Arrays.fill(ones, 1);
            DataType type = library.type();
            return new Plain(memory.store(type, HostTensor.of(ones, n)), memory.store(type, HostTensor.of(new float[n], n)));
        });
    }

    /** @param aligned whether x lies at a multiple of 16 bytes */
    How choose(int rows, int depth, int columns, boolean aligned) {
        if (!aligned || !gatedProduct.serves(depth, columns)) {
            return How.SEPARATELY;
        }
        Size size = new Size(library.type(), rows, depth, columns);
        Choice<How> choice = choices.get(size);
        if (choice == null) {
            choice = chooser.choose(new Work(size));
            choices.put(size, choice);
        }
        return choice.way();
    }

    void run(How how, Size size, Places p, float epsilon) {
        if (how == How.TOGETHER) {
            gatedProduct.normedGeglu(p.x, p.weight, p.sums, p.bias, p.y, size.rows, size.depth, size.columns, epsilon, stream);
        } else {
            Plain norm = plain.get(size.depth);
            normalisation.layerNorm(p.x, norm.scale, norm.shift, p.normed, size.rows, size.depth, epsilon, stream);
            products.linear(p.normed, p.weight, 0, 0, p.both, size.rows, size.depth, 2 * size.columns);
            pointwise.geglu(p.both, p.bias, p.y, size.rows, size.columns, stream);
        }
    }

    private final class Work implements Offer<How> {
        private final Size size;

        Work(Size size) {
            this.size = size;
        }

        @Override
        public String key() {
            return size.toString();
        }

        @Override
        public List<How> candidates() {
            return List.of(How.values());
        }

        @Override
        public Trial<How> trial() {
            TrialMemory trial = new TrialMemory(driver);
            long bytes = library.bytes();
            long in = bytes * size.rows * size.depth;
            long out = bytes * size.rows * size.columns;
            Places places = new Places(trial.block(in), trial.block(2 * bytes * size.columns * size.depth),
                    trial.block(2 * bytes * size.columns), trial.block(2L * Float.BYTES * size.columns), trial.block(in),
                    trial.block(2 * out), trial.block(out));
            return new Trial<>() {
                @Override
                public void run(How how, long workspace, CudaDriver.Stream on) {
                    GatedWays.this.run(how, size, places, 1);
                }

                @Override
                public void close() {
                    trial.close();
                }
            };
        }
    }
}
