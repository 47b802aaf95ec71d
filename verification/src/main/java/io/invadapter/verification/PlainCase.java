package io.invadapter.verification;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.verification.Verification.Part;
import java.util.List;
import java.util.Set;

/** Stable Diffusion and the paper's adapter as they are: golden data of every part. */
abstract sealed class PlainCase implements GoldenCase permits ModelCase, SyntheticCase {
    final CaseFolder folder;
    final Device device;
    /** Set by {@link #compute}. */
    Results outputs;
    private Set<Part> parts = Set.of();

    PlainCase(CaseFolder folder) {
        this.folder = folder;
        this.device = folder.device();
    }

    abstract void compute();

    @Override
    public void compute(Set<Part> wanted, Results results) {
        parts = wanted;
        outputs = results;
        compute();
    }

    /** All are inputs or computed. */
    @Override
    public boolean isInput(String key) {
        return false;
    }

    boolean wanted(Part part) {
        return parts.contains(part);
    }

    static boolean isLoop(String key) {
        return key.startsWith("invert.") || key.startsWith("gen.") || key.startsWith("customize.");
    }

    int steps() {
        return folder.parameters().get("steps").asInt();
    }

    double scale() {
        return folder.parameters().get("scale").asDouble();
    }

    Diffusion.Guidance guidance(float[] negative, float[] prompt) {
        return new Diffusion.Guidance(prompt, negative, folder.guidance());
    }

    /** The features of the identity's first pass, and the guided pass that takes them in. */
    void firstStep(StableDiffusion model, EmbeddedAttentionAdapter adapter, Latents noise, float[] caption, Latents start,
            float[] negative, float[] prompt) {
        int timestep = model.schedule().timesteps(steps())[0];
        try (Scope scope = device.scope()) {
            IdentityFeatures features = adapter.features(1, noise.height(), noise.width());
            AttentionHook recording = adapter.record(features, 0);
            model.unet().predictNoise(noise, timestep, new float[][] {caption}, (site, input, into) -> {
                outputs.put("features." + site.name(), device.download(input));
                recording.attend(site, input, into);
            });
            float scale = (float) scale();
            Tensor rows = device.upload(new int[] {0, 0});
            Tensor scales = device.upload(DataType.FLOAT32, new float[] {scale, scale}, 2);
            outputs.put("inject.eps", model.unet().predictNoise(Latents.stack(List.of(start, start)), timestep,
                    new float[][] {negative, prompt}, adapter.inject(features, rows, scales, IdentityLayers.BOTH)).values());
        }
    }

    /** @param face on its way beside the picture */
    IdentityInfluence identity(EmbeddedAttentionAdapter adapter, Sampling face, IdentityLayers layers, IdentityRows rows) {
        return IdentityInfluence.of(adapter, face, scale(), layers, rows);
    }
}
