package io.invadapter.timing;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.text.ClipTextEncoder;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.Device;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.model.SyntheticWeights;

/** A model and its adapter with synthetic weights: nothing is read or downloaded. */
public record SyntheticModel(StableDiffusion model, EmbeddedAttentionAdapter adapter) {
    /** L' of Inv-Adapter. */
    private static final int AGGREGATION_TOKENS = 256;
    /** That of Stable Diffusion 1.x. */
    private static final String SCHEDULE = """
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "set_alpha_to_one": false}""";

    /** @param pictureSize for which the adapter is made */
    public static SyntheticModel load(Structure structure, int pictureSize, Device device) {
        Vae vae = Vae.load(structure.vae(), SyntheticWeights.repeating(), device);
        int size = pictureSize / vae.factor();
        UNet unet = UNet.load(structure.withLatents(size).unet(), SyntheticWeights.repeating(), device);
        StableDiffusion model = new StableDiffusion(device, ClipTokenizer.bundled(),
                ClipTextEncoder.load(structure.textEncoder(), SyntheticWeights.repeating(), device), unet,
                vae, new NoiseSchedule(Json.parse(SCHEDULE), notice -> { }), new Ddim());
        SyntheticWeights weights = SyntheticWeights.repeating();
        unet.attentionLayers().forEach((site, layer) -> {
            // Asking for a tensor makes it known.
            weights.tensor(site.name() + ".eaa.to_k.weight", layer.channels(), layer.channels());
            weights.tensor(site.name() + ".eaa.to_v.weight", layer.channels(), layer.channels());
            if (site.isCross()) {
                int tokens = layer.tokens(size, size);
                weights.tensor(site.name() + ".eaa.aggregate.weight", Math.min(AGGREGATION_TOKENS, tokens), tokens);
            }
        });
        return new SyntheticModel(model, EmbeddedAttentionAdapter.load(weights, unet, device));
    }
}
