package io.invadapter.engine.sampling;

import io.invadapter.engine.unet.GuidanceEmbedding;
import io.invadapter.engine.unet.UNet;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What a step's timestep adds in the network, for all rows of a plan or, where the network takes the guidance too, for each. */
final class StepTimes {
    /** Timesteps that are embedded together where that pays: of most walks all. */
    private static final int MOST_TIMES = 64;

    private final Device device;
    private final UNet unet;
    private final Tensor timesteps;
    /** Of the steps to come, a row each; {@code null} where each row has its own guidance. */
    private final Tensor ahead;
    /** {@code [rows, guidanceChannels]}, or {@code null}. */
    private final Tensor guidance;
    private final Tensor current;

    /** In the current scope. */
    StepTimes(Device device, UNet unet, int rows) {
        this.device = device;
        this.unet = unet;
        int channels = unet.config().guidanceChannels();
        int together = channels > 0 ? rows : device.prefersLargeBatches() ? MOST_TIMES : 1;
        timesteps = device.allocate(DataType.FLOAT32, together);
        ahead = channels > 0 ? null : unet.times(together);
        guidance = channels > 0 ? device.allocate(device.precision().type(), rows, channels) : null;
        current = unet.times(channels > 0 ? rows : 1);
    }

    List<Tensor> tensors() {
        List<Tensor> tensors = new ArrayList<>(List.of(timesteps, current));
        tensors.add(guidance == null ? ahead : guidance);
        return tensors;
    }

    /** @param scales of guidance, for each row; of no matter where the network takes none */
    void start(float[] scales) {
        if (guidance != null) {
            float[][] embeddings = new float[scales.length][];
            for (int i = 0; i < scales.length; i++) {
                embeddings[i] = GuidanceEmbedding.of(scales[i], unet.config().guidanceChannels());
            }
            device.write(guidance, UNet.joined(embeddings));
        }
    }

    /** Makes those of a step; with them, from time to time, those of the steps to come. Steps come in their order. */
    void embed(Walk walk, int step) {
        if (guidance != null) {
            float[] values = new float[timesteps.batch()];
            Arrays.fill(values, (float) walk.steps().get(step).timestep());
            device.write(timesteps, values);
            unet.embed(timesteps, guidance, current);
            return;
        }
        int row = step % ahead.batch();
        if (row == 0) {
            int count = Math.min(ahead.batch(), walk.steps().size() - step);
            float[] values = new float[count];
            for (int i = 0; i < count; i++) {
                values[i] = (float) walk.steps().get(step + i).timestep();
            }
            device.write(timesteps.rows(0, count), values);
            unet.embed(timesteps.rows(0, count), null, ahead.rows(0, count));
        }
        device.copy(ahead.rows(row, 1), current);
    }

    /** For a pass of some rows of the plan. */
    Tensor of(int first, int rows) {
        return guidance == null ? current : current.rows(first, rows);
    }
}
