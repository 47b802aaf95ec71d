package io.invadapter.engine;

import io.invadapter.engine.model.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.IdentityAttention;
import io.invadapter.engine.model.IdentityLayers;
import io.invadapter.engine.model.Latents;
import io.invadapter.engine.model.UNet;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/** The loops: DDIM inversion, DDIM sampling with guidance, and sampling with the identity beside it. */
public final class Diffusion {
    private final Device device;
    private final UNet unet;
    private final NoiseSchedule schedule;

    /** Told after every step; {@code latents} copies the current ones from the device when asked. */
    public interface StepListener {
        void step(int done, int steps, Supplier<Latents> latents);
    }

    /** @param prompt text encoder output {@code [S, C]}; @param negative the same for the negative prompt; @param scale 1 or less: no guidance */
    public record Guidance(float[] prompt, float[] negative, double scale) {
    }

    /**
     * The person to keep.
     *
     * @param noise   the face, inverted with {@code caption} in the same number of steps
     * @param caption text encoder output
     * @param scale   lambda
     */
    public record IdentityControl(EmbeddedAttentionAdapter adapter, Latents noise, float[] caption, double scale,
            IdentityLayers layers, IdentityRows rows) {
    }

    /** @param latents clean; @param identity the identity's own latents, denoised beside; {@code null} without identity */
    public record Result(Latents latents, Latents identity) {
    }

    public Diffusion(StableDiffusion model) {
        this.device = model.device();
        this.unet = model.unet();
        this.schedule = model.schedule();
    }

    /** DDIM inversion without guidance: {@code steps + 1} latents, the clean {@code z0} first, the noise last. */
    public List<Latents> invert(Latents z0, float[] caption, int steps, StepListener listener) {
        List<Latents> trajectory = new ArrayList<>(List.of(z0));
        walk(z0, caption, schedule.inversionLevels(steps), (done, all, latents) -> {
            trajectory.add(latents.get());
            listener.step(done, all, latents);
        });
        return trajectory;
    }

    /** Sampling without guidance: the way back from {@link #invert}. */
    public Latents denoise(Latents noise, float[] caption, int steps, StepListener listener) {
        return walk(noise, caption, schedule.samplingLevels(steps), listener);
    }

    private Latents walk(Latents start, float[] caption, NoiseSchedule.Level[] levels, StepListener listener) {
        try (Scope scope = device.scope()) {
            Tensor x = start.upload(device, DataType.FLOAT32);
            float[][] contexts = new float[start.batch()][];
            Arrays.fill(contexts, caption);
            Tensor context = unet.uploadContexts(contexts);
            for (int i = 0; i < levels.length; i++) {
                move(x, 1, context, levels[i], 1, IdentityAttention.NONE);
                listener.step(i + 1, levels.length, () -> Latents.download(device, x));
            }
            return Latents.download(device, x);
        }
    }

    /**
     * Sampling from {@code noise} with classifier-free guidance. With an identity, every step first takes the identity's
     * own latents one step on, recording its features, then the pictures' with those features injected.
     */
    public Result generate(Latents noise, Guidance guidance, int steps, IdentityControl identity, StepListener listener) {
        boolean guided = guidance.scale > 1;
        int pictures = noise.batch();
        float[][] contexts = new float[guided ? 2 * pictures : pictures][];
        Arrays.fill(contexts, guidance.prompt);
        if (guided) {
            Arrays.fill(contexts, 0, pictures, guidance.negative);
        }
        try (Scope scope = device.scope()) {
            Tensor x = noise.upload(device, DataType.FLOAT32);
            Tensor context = unet.uploadContexts(contexts);
            boolean customised = identity != null && identity.scale != 0;
            Tensor y = customised ? identity.noise.upload(device, DataType.FLOAT32) : null;
            Tensor caption = customised ? unet.uploadContexts(new float[][] {identity.caption}) : null;
            float[] rowScales = customised ? rowScales(identity, contexts.length, guided ? pictures : 0) : null;
            NoiseSchedule.Level[] levels = schedule.samplingLevels(steps);
            for (int i = 0; i < levels.length; i++) {
                if (customised) {
                    try (EmbeddedAttentionAdapter.Features features = identity.adapter.record()) {
                        move(y, 1, caption, levels[i], 1, features);
                        move(x, contexts.length / pictures, context, levels[i], guidance.scale,
                                identity.adapter.inject(features, rowScales, identity.layers));
                    }
                } else {
                    move(x, contexts.length / pictures, context, levels[i], guidance.scale, IdentityAttention.NONE);
                }
                listener.step(i + 1, levels.length, () -> Latents.download(device, x));
            }
            return new Result(Latents.download(device, x), customised ? Latents.download(device, y) : null);
        }
    }

    private static float[] rowScales(IdentityControl identity, int rows, int negativeRows) {
        float[] scales = new float[rows];
        Arrays.fill(scales, (float) identity.scale);
        if (identity.rows == IdentityRows.PROMPT) {
            Arrays.fill(scales, 0, negativeRows, 0);
        }
        return scales;
    }

    /** One network pass and one DDIM move of {@code x}, in place. */
    private void move(Tensor x, int rowsPerPicture, Tensor context, NoiseSchedule.Level level, double guidance,
            IdentityAttention identity) {
        try (Scope scope = device.scope()) {
            Tensor noise = unet.forward(device.toActivations(x, rowsPerPicture), level.timestep(), context, identity);
            device.ddimStep(x, noise, (float) guidance, level.alphaFrom(), level.alphaTo());
        }
    }
}
