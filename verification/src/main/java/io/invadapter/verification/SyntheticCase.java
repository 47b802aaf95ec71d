package io.invadapter.verification;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.Precision;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.model.SyntheticWeights;
import java.util.List;

/** Stable Diffusion 1.5 at full size with {@link SyntheticWeights}; its pictures and noise are synthetic too. */
final class SyntheticCase extends PlainCase {
    private static final String PROMPT = "a portrait of a smiling person wearing a red hoodie, blue background";
    private static final String CAPTION = "a face photo";
    private static final int[] TIMESTEPS = {1, 981};
    private static final int CROP_FROM = 192;
    private static final int CROP_SIZE = 128;
    /** Sums of a thousand terms and more, in another order. */
    private static final Limit FULL_SIZE = new Limit(1e-3, false);

    private final StableDiffusion model;
    private final EmbeddedAttentionAdapter adapter;

    SyntheticCase(CaseFolder folder) {
        super(folder);
        try (SyntheticWeights weights = SyntheticWeights.of(folder.path().resolve("shapes.json"))) {
            model = StableDiffusion.load(weights.model(), device, System.err::println);
            adapter = EmbeddedAttentionAdapter.load(weights.part("eaa."), model.unet(), device);
        }
    }

    @Override
    public Limit limit(String key, Precision precision) {
        return precision != Precision.FP32 ? isLoop(key) ? Limit.loop(precision) : Limit.pass(precision) : FULL_SIZE;
    }

    @Override
    void compute() {
        float[] prompt = text("prompt", PROMPT);
        float[] caption = text("caption", CAPTION);
        float[] negative = text("negative", "");
        Latents start = latents("case.zT");
        Latents clean = latents("case.z0");
        if (wanted(Part.VAE)) {
            vae(clean);
        }
        if (wanted(Part.UNET)) {
            for (int timestep : TIMESTEPS) {
                outputs.put("unet.eps." + timestep, model.unet().predictNoise(start, timestep, new float[][] {prompt},
                        AttentionHook.NONE).values());
            }
        }
        if (wanted(Part.LOOPS) || wanted(Part.IDENTITY)) {
            try (Diffusion diffusion = model.diffusion()) {
                Walk walk = diffusion.ddim(steps());
                Latents noise = diffusion.invertToNoise(clean, List.of(caption), walk, CaseModel.QUIET);
                outputs.put("invert.last", noise.values());
                firstStep(model, adapter, noise, caption, start, negative, prompt);
                outputs.put("customize.final", diffusion.generate(new Sampling(start, List.of(guidance(negative, prompt)), walk)
                        .withInfluences(identity(adapter, diffusion.beside(noise, List.of(caption), walk, CaseModel.QUIET), IdentityLayers.BOTH,
                                IdentityRows.BOTH)), CaseModel.QUIET).values());
            }
        }
    }

    private float[] text(String name, String text) {
        float[] context = model.textEncoder().encode(model.tokenizer().encode(text).ids());
        if (wanted(Part.TEXT)) {
            outputs.put("text." + name, context);
        }
        return context;
    }

    private void vae(Latents clean) {
        Vae.Distribution latent = model.vae().encode(SyntheticPicture.make(), SyntheticPicture.SIZE, SyntheticPicture.SIZE);
        outputs.put("vae.mean", latent.mean().values());
        outputs.put("vae.logvar", latent.logvar().values());
        float[] decoded = model.vae().decode(clean.times(0.5));
        outputs.put("vae.decoded_crop", SyntheticPicture.crop(decoded, CROP_FROM, CROP_SIZE));
        outputs.put("vae.decoded_mean", SyntheticPicture.channelMeans(decoded));
        // A picture's feature maps at full size are not needed again.
        device.trim();
    }

    private static Latents latents(String key) {
        return new Latents(SyntheticWeights.make(key, 1, 0, 1, 4, 64, 64).toFloats(), 1, 4, 64, 64);
    }
}
