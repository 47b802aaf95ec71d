package io.invadapter.kernels;

/**
 * Takes weights to a device and packs them the way it likes, in the device's {@link Device#precision()}. They are the packer's: they
 * live until it is closed, or its device. Of weights that are gone every use is an {@link IllegalStateException}, and of another
 * device's, or another precision's, an {@link IllegalArgumentException}. A {@link Device.Recording} that uses weights is closed
 * before them.
 *
 * <p>Weights of the wrong shape are an {@link IllegalArgumentException}.
 */
public interface Packer extends AutoCloseable {

    /** @param weight {@code [out, in]}; @param bias {@code [out]} or {@code null} */
    Operators.Linear linear(HostTensor weight, HostTensor bias);

    /**
     * @param weight {@code [2 F, in]}, the first F rows the value, the others the gate
     * @param bias   {@code [2 F]}
     * @param norm   over the input's {@code in} features, or {@code null} for none
     */
    Operators.GatedLinear gatedLinear(HostTensor weight, HostTensor bias, Operators.LayerNorm norm);

    /** @param weight {@code [L', L]} */
    Operators.TokenMixer tokenMixer(HostTensor weight);

    /** @param weight {@code [out, in, kh, kw]}; @param bias {@code [out]} or {@code null}; @param outputType of the result */
    Operators.Convolution convolution(HostTensor weight, HostTensor bias, int stride, Operators.Padding padding, DataType outputType);

    /** @param weight {@code [C]}; @param bias {@code [C]} */
    Operators.Norm norm(HostTensor weight, HostTensor bias);

    /** @param weight {@code [rows, C]} */
    Operators.Table table(HostTensor weight);

    /** Frees all weights. */
    @Override
    void close();
}
