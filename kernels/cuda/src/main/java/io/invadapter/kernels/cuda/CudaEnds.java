package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** Where the networks begin and end: embeddings, latents as activations, their steps. */
final class CudaEnds {
    private final CudaDevice device;
    private final DataType type;
    private final Pointwise pointwise;
    private final Embeddings embeddings;
    private final Sampling sampling;

    /** On the device's stream. */
    CudaEnds(CudaDevice device, KernelLibrary library, Pointwise pointwise) {
        this.device = device;
        this.type = library.type();
        this.pointwise = pointwise;
        this.embeddings = new Embeddings(library);
        this.sampling = new Sampling(library);
    }

    Tensor timestepEmbedding(Arguments arguments, Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift) {
        arguments.timestepEmbedding(timesteps, channels);
        int count = Math.toIntExact(timesteps.elements());
        Tensor y = device.allocate(type, count, channels);
        embeddings.timestep(timesteps.address(), y.address(), count, channels, flipSinToCos, frequencyShift, device.stream());
        return y;
    }

    Tensor embed(Arguments arguments, CudaTable tokens, CudaTable positions, int[][] ids) {
        int length = arguments.embed(tokens, positions, ids);
        int[] all = Arrays.stream(ids).flatMapToInt(Arrays::stream).toArray();
        Tensor y = device.allocate(type, ids.length, length, tokens.channels());
        embeddings.tokens(device.upload(all).address(), tokens.address(), positions.address(), y.address(), ids.length, length,
                tokens.channels(), tokens.rows(), device.stream());
        return y;
    }

    Tensor toActivations(Arguments arguments, Tensor... latents) {
        Tensor activations = device.allocate(type, arguments.toActivations(latents));
        int row = 0;
        for (int i = 0; i < latents.length; i += Pointwise.MOST_ARRAYS) {
            List<Tensor> parts = Arrays.asList(latents).subList(i, Math.min(i + Pointwise.MOST_ARRAYS, latents.length));
            pointwise.toActivations(parts.stream().mapToLong(Tensor::address).toArray(),
                    parts.stream().mapToLong(Tensor::elements).toArray(), activations.rows(row, 1).address(), device.stream());
            row += parts.stream().mapToInt(Tensor::batch).sum();
        }
        return activations;
    }

    void combine(Arguments arguments, List<Tensor> targets, Tensor factors, Tensor... terms) {
        arguments.combine(targets, factors, terms);
        Tensor first = targets.getFirst();
        sampling.combine(targets.stream().mapToLong(Tensor::address).toArray(), Stream.of(terms).mapToLong(Tensor::address).toArray(),
                factors.address(), factors.batch() > 1, first.elements() / first.batch(), first.batch(), device.stream());
    }

    void matchDeviation(Arguments arguments, Tensor target, Tensor reference, Tensor amounts) {
        arguments.matchDeviation(target, reference, amounts);
        sampling.matchDeviation(target.address(), reference.address(), amounts.address(), target.elements() / target.batch(),
                target.batch(), device.stream());
    }

    void blend(Arguments arguments, Tensor target, Tensor other, Tensor mask) {
        arguments.blend(target, other, mask);
        sampling.blend(target.address(), other.address(), mask.address(), mask.batch() > 1, target.size(1) * target.size(2), target.size(3),
                target.batch(), device.stream());
    }
}
