package io.invadapter.verification;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.unet.IdentityAttention;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.JsonValue;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** One folder of golden data: its model on a device, and what that gives under the golden keys. */
abstract sealed class GoldenCase permits ModelCase, SyntheticCase {
    static final Diffusion.StepListener QUIET = (done, steps, latents) -> { };

    final Path folder;
    final Device device;
    final WeightSource golden;
    final JsonValue parameters;
    final Map<String, float[]> outputs = new LinkedHashMap<>();
    final List<String> differentTokens = new ArrayList<>();
    private Set<Part> parts = Set.of();

    GoldenCase(Path folder, Device device, JsonValue parameters, WeightSource golden) {
        this.folder = folder;
        this.device = device;
        this.parameters = parameters;
        this.golden = golden;
    }

    abstract void compute();

    /** Computes these parts and nothing else; what was computed before is forgotten. */
    void compute(Set<Part> wanted) {
        parts = wanted;
        outputs.clear();
        differentTokens.clear();
        compute();
    }

    boolean wanted(Part part) {
        return parts.contains(part);
    }

    Map<String, float[]> outputs() {
        return outputs;
    }

    List<String> differentTokens() {
        return differentTokens;
    }

    int steps() {
        return parameters.get("steps").asInt();
    }

    double scale() {
        return parameters.get("scale").asDouble();
    }

    Diffusion.Guidance guidance(float[] negative, float[] prompt) {
        return new Diffusion.Guidance(prompt, negative, parameters.get("guidance").asDouble());
    }

    /** The features of the identity's first pass, and the guided pass that takes them in. */
    void firstStep(StableDiffusion model, EmbeddedAttentionAdapter adapter, Latents noise, float[] caption, Latents start,
            float[] negative, float[] prompt) {
        int timestep = model.schedule().timesteps(steps())[0];
        try (Scope scope = device.scope()) {
            IdentityFeatures features = adapter.features(1, noise.height(), noise.width());
            IdentityAttention recording = adapter.record(features, 0);
            model.unet().predictNoise(noise, timestep, new float[][] {caption}, (layer, hiddenStates) -> {
                outputs.put("features." + layer, device.download(hiddenStates));
                return recording.attend(layer, hiddenStates);
            });
            float scale = (float) scale();
            Tensor rows = device.upload(new int[] {0, 0});
            Tensor scales = device.upload(DataType.FLOAT32, new float[] {scale, scale}, 2);
            outputs.put("inject.eps", model.unet().predictNoise(Latents.stack(List.of(start, start)), timestep,
                    new float[][] {negative, prompt}, adapter.inject(features, rows, scales, IdentityLayers.BOTH)).values());
        }
    }

    Diffusion.IdentityControl identity(EmbeddedAttentionAdapter adapter, Latents noise, float[] caption, IdentityLayers layers,
            IdentityRows rows) {
        return Diffusion.IdentityControl.of(adapter, noise, caption, scale(), layers, rows);
    }
}
