package io.invadapter.engine.sampling;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Inpainting with a network that knows nothing of masks: after each step what is kept of the pictures is put back, as noisy as the rest
 * is then (diffusers' {@code StableDiffusionInpaintPipeline} with a UNet of 4 channels).
 */
final class Blending {
    private final Device device;
    private final Tensor clean;
    private final Tensor noise;
    private final Tensor mask;
    private final Tensor known;
    /** {@code [1, 1, 2]}: of the clean latents and of their noise. */
    private final Tensor level;

    /** @param owner takes over what is allocated */
    Blending(Device device, UnaryOperator<Tensor> owner, int pictures, int height, int width, int channels) {
        this.device = device;
        clean = owner.apply(device.allocate(DataType.FLOAT32, pictures, height, width, channels));
        noise = owner.apply(device.allocate(DataType.FLOAT32, pictures, height, width, channels));
        known = owner.apply(device.allocate(DataType.FLOAT32, pictures, height, width, channels));
        mask = owner.apply(device.allocate(DataType.FLOAT32, pictures, height, width, 1));
        level = owner.apply(device.allocate(DataType.FLOAT32, 1, 1, 2));
    }

    void start(Inpainting inpainting) {
        device.write(clean, inpainting.clean().channelsLast());
        device.write(noise, inpainting.noise().channelsLast());
        device.write(mask, inpainting.mask().channelsLast());
    }

    /** @param alpha of the pictures after the next {@link #blend}; 1: without noise */
    void reach(double alpha) {
        device.write(level, new float[] {(float) Math.sqrt(alpha), (float) Math.sqrt(1 - alpha)});
    }

    /** @param latents of the pictures from number {@code first} on */
    void blend(Tensor latents, int first) {
        int count = latents.batch();
        Tensor kept = known.rows(first, count);
        device.combine(List.of(kept), level, clean.rows(first, count), noise.rows(first, count));
        device.blend(latents, kept, mask.rows(first, count));
    }
}
