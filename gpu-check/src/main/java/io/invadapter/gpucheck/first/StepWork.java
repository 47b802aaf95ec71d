package io.invadapter.gpucheck.first;

import io.invadapter.bench.SyntheticModel;
import io.invadapter.engine.Diffusion;
import io.invadapter.engine.SeededNoise;
import io.invadapter.engine.StableDiffusion;
import io.invadapter.engine.model.Latents;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.CudaDeviceProvider;
import io.invadapter.kernels.cuda.EmulatedGpu;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/**
 * What a step of one picture with guidance, and decoding it, ask the libraries for: found by running them on a device that only
 * counts.
 */
final class StepWork {
    private static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };

    private final Set<Dnn.Shape> convolutions = new LinkedHashSet<>();
    private final Set<Blas.Product> products = new LinkedHashSet<>();
    private final List<String> step;

    private StepWork(Sizes sizes) {
        EmulatedGpu gpu = EmulatedGpu.counting();
        CudaLibraries libraries = gpu.libraries();
        try (Device device = CudaDeviceProvider.open("cuda:0", Precision.FP16, gpu.driver(),
                new CudaLibraries(new ListeningBlas(libraries.blas()), new ListeningDnn(libraries.dnn())), ChoiceBook.inMemory())) {
            StableDiffusion model = SyntheticModel.load(sizes.structure(), sizes.picture(), device).model();
            int size = sizes.picture() / model.vae().factor();
            float[] text = new float[sizes.structure().textEncoder().maxTokens() * sizes.structure().unet().contextChannels()];
            Supplier<Latents> picture = () -> {
                try (Diffusion diffusion = new Diffusion(model)) {
                    return diffusion.generate(SeededNoise.latents(1, model.vae().latentChannels(), size, size),
                            List.of(new Diffusion.Guidance(text, text, 7.5)), 1, null, QUIET).latents();
                }
            };
            // The first time ways are tried.
            model.vae().decode(picture.get());
            int before = gpu.started().size();
            picture.get();
            step = List.copyOf(gpu.started().subList(before, gpu.started().size()));
        }
    }

    static StepWork of(Sizes sizes) {
        return new StepWork(sizes);
    }

    /** In the order in which they come up, those of decoding last. */
    List<Dnn.Shape> convolutions() {
        return List.copyOf(convolutions);
    }

    List<Blas.Product> products() {
        return List.copyOf(products);
    }

    /** How often a step computes it. */
    long timesPerStep(Dnn.Shape shape) {
        return times("convolution " + shape);
    }

    /** How often a step computes it. */
    long timesPerStep(Blas.Product product) {
        return times("product " + product.outFeatures() + " x " + product.rows() + " x " + product.inFeatures()
                + (product.bias() ? " + bias" : "") + (product.residual() ? " + residual" : ""));
    }

    private long times(String name) {
        return step.stream().filter(name::equals).count();
    }

    private final class ListeningDnn implements Dnn {
        private final Dnn dnn;

        ListeningDnn(Dnn dnn) {
            this.dnn = dnn;
        }

        @Override
        public String description() {
            return dnn.description();
        }

        @Override
        public Proposals propose(Shape shape) {
            convolutions.add(shape);
            return dnn.propose(shape);
        }

        @Override
        public void close() {
            dnn.close();
        }
    }

    private final class ListeningBlas implements Blas {
        private final Blas blas;

        ListeningBlas(Blas blas) {
            this.blas = blas;
        }

        @Override
        public String description() {
            return blas.description();
        }

        @Override
        public void setWorkspace(long address, long bytes) {
            blas.setWorkspace(address, bytes);
        }

        @Override
        public void multiply(boolean transposeA, boolean transposeB, int m, int n, int k, float alpha, Matrix a, Matrix b, float beta,
                Matrix c, DataType type, int batch, CudaDriver.Stream stream) {
            blas.multiply(transposeA, transposeB, m, n, k, alpha, a, b, beta, c, type, batch, stream);
        }

        @Override
        public List<Candidate<ProductWay>> candidates(Product product) {
            products.add(product);
            return blas.candidates(product);
        }

        @Override
        public void close() {
            blas.close();
        }
    }
}
