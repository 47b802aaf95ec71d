package io.invadapter.gpucheck.first;

import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.CudaDeviceProvider;
import io.invadapter.kernels.cuda.EmulatedGpu;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.ChoiceBook;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import io.invadapter.timing.SyntheticModel;
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
    private final Set<Dnn.AttentionShape> attentions = new LinkedHashSet<>();
    private final List<String> step;

    private StepWork(Sizes sizes) {
        EmulatedGpu gpu = EmulatedGpu.counting();
        CudaLibraries libraries = gpu.libraries();
        try (Device device = CudaDeviceProvider.open("cuda:0", Precision.FP16, gpu.driver(),
                new CudaLibraries(Listening.to(Blas.class, libraries.blas(), this::hear), Listening.to(Dnn.class, libraries.dnn(), this::hear)),
                ChoiceBook.inMemory())) {
            StableDiffusion model = SyntheticModel.load(sizes.structure(), sizes.picture(), device).model();
            int size = sizes.picture() / model.vae().factor();
            float[] text = new float[sizes.structure().textEncoder().maxTokens() * sizes.structure().unet().contextChannels()];
            Supplier<Latents> picture = () -> {
                try (Diffusion diffusion = model.diffusion()) {
                    return diffusion.generate(new Sampling(SeededNoise.latents(1, model.vae().latentChannels(), size, size),
                            List.of(new Diffusion.Guidance(text, text, 7.5)), diffusion.ddim(1)), QUIET);
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

    private void hear(Object[] arguments, Object result) {
        for (Object argument : arguments == null ? new Object[0] : arguments) {
            if (argument instanceof Dnn.Shape shape) {
                convolutions.add(shape);
            } else if (argument instanceof Blas.Product product) {
                products.add(product);
            } else if (argument instanceof Dnn.AttentionShape shape) {
                attentions.add(shape);
            }
        }
    }

    /** In the order in which they come up, those of decoding last. */
    List<Dnn.Shape> convolutions() {
        return List.copyOf(convolutions);
    }

    List<Dnn.AttentionShape> attentions() {
        return List.copyOf(attentions);
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
}
