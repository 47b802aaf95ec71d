package io.invadapter.engine.nn;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * What the time embedding adds in every ResNet block, {@code W_i t + b_i}, as one product for all of them. The bias of the
 * convolution it is added to is in it too: both are a vector for every position.
 */
public final class TimeProjections {
    private final int timeChannels;
    private final List<HostTensor> weights = new ArrayList<>();
    private final List<HostTensor> biases = new ArrayList<>();
    private int channels;
    private Device.Linear all;

    /** @param timeChannels of the embedding */
    public TimeProjections(int timeChannels) {
        this.timeChannels = timeChannels;
    }

    /** One block's part of the product. */
    final class Part {
        private final int from;
        private final int count;

        private Part(int from, int count) {
            this.from = from;
            this.count = count;
        }

        /** Out of rows of what {@link TimeProjections#forward} wrote, one for all of a batch or one for each: {@code [N, out]}. */
        public Tensor of(Device device, Tensor projected) {
            Tensor[] rows = new Tensor[projected.batch()];
            for (int i = 0; i < rows.length; i++) {
                rows[i] = projected.rows(i, 1).columns(from, count);
            }
            return rows.length == 1 ? rows[0] : device.concat(0, rows);
        }
    }

    /** The block with the weights {@code time_emb_proj}, and the bias of its first convolution. */
    public Part add(Weights w, int out, HostTensor convolutionBias) {
        weights.add(w.matrix("time_emb_proj.weight", out, timeChannels));
        float[] bias = w.tensor("time_emb_proj.bias", out).toFloats();
        float[] other = convolutionBias.toFloats();
        for (int i = 0; i < out; i++) {
            bias[i] += other[i];
        }
        biases.add(HostTensor.of(bias, out));
        Part part = new Part(channels, out);
        channels += out;
        return part;
    }

    /** Hands all that was added to the packer. */
    public void pack(Packer packer) {
        all = packer.linear(HostTensor.stack(weights.toArray(HostTensor[]::new)),
                HostTensor.stack(biases.toArray(HostTensor[]::new)));
        weights.clear();
        biases.clear();
    }

    /** Of all blocks together. */
    public int channels() {
        return channels;
    }

    /** @param times {@code silu(time embedding) [N, timeChannels]}; @param projected gets {@code [N, channels]} */
    public void forward(Device device, Tensor times, Tensor projected) {
        device.linearInto(times, all, projected);
    }
}
