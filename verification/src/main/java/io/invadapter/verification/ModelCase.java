package io.invadapter.verification;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
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
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A model of any size with golden data of every part. */
final class ModelCase extends PlainCase {
    private final StableDiffusion model;
    private final EmbeddedAttentionAdapter adapter;

    ModelCase(CaseFolder folder) {
        super(folder);
        model = folder.load();
        adapter = folder.adapter(folder.path().resolve("eaa.safetensors"), model);
    }

    @Override
    public Limit limit(String key, Precision precision) {
        return isLoop(key) ? Limit.loop(precision) : Limit.pass(precision);
    }

    @Override
    void compute() {
        Map<String, float[]> contexts = texts();
        float[] caption = contexts.get("caption");
        float[] negative = contexts.get("negative");
        float[] prompt = contexts.get("prompt");
        if (wanted(Part.VAE)) {
            vae();
        }
        if (wanted(Part.SCHEDULE)) {
            schedule();
        }
        if (wanted(Part.UNET)) {
            singlePasses(negative, prompt);
        }
        if (wanted(Part.LOOPS)) {
            try (Diffusion diffusion = model.diffusion()) {
                loops(diffusion, caption, negative, prompt);
            }
        }
        if (wanted(Part.IDENTITY)) {
            Latents trajectory = latents("invert.trajectory");
            firstStep(model, adapter, trajectory.row(trajectory.batch() - 1), caption, latents("gen.zT"), negative, prompt);
        }
    }

    private Map<String, float[]> texts() {
        JsonValue texts = Json.read(folder.path().resolve("tokens.json"));
        List.of("prompt", "negative", "caption").forEach(texts::get);
        Map<String, float[]> contexts = new TreeMap<>();
        for (String name : texts.asObject().keySet()) {
            int[] expected = texts.get(name).get("ids").asList().stream().mapToInt(JsonValue::asInt).toArray();
            int[] ids = model.tokenizer().encode(texts.get(name).get("text").asString()).ids();
            outputs.tokens("tokens." + name, ids, expected);
            contexts.put(name, model.textEncoder().encode(ids));
            if (wanted(Part.TEXT)) {
                outputs.put("text." + name, contexts.get(name));
            }
        }
        return contexts;
    }

    private void vae() {
        Latents image = folder.latents("vae.image", 3);
        Vae.Distribution latent = model.vae().encode(input("vae.image"), image.height(), image.width());
        outputs.put("vae.mean", latent.mean().values());
        outputs.put("vae.logvar", latent.logvar().values());
        outputs.put("vae.decoded", model.vae().decode(latents("vae.mean")));
    }

    private void schedule() {
        outputs.put("schedule.alphas_cumprod", Results.floats(model.schedule().alphasCumprod()));
        outputs.put("schedule.timesteps", model.schedule().timesteps(steps()));
    }

    private void singlePasses(float[] negative, float[] prompt) {
        for (String key : folder.golden().names()) {
            if (key.matches("unet\\.x\\.\\d{1,6}")) {
                input(key);
                String timestep = key.substring("unet.x.".length());
                outputs.put("unet.eps." + timestep, model.unet().predictNoise(latents(key), Integer.parseInt(timestep),
                        new float[][] {negative, prompt}, AttentionHook.NONE).values());
            }
        }
    }

    private void loops(Diffusion diffusion, float[] caption, float[] negative, float[] prompt) {
        input("id.z0");
        input("gen.zT");
        Latents start = latents("gen.zT");
        Walk walk = diffusion.ddim(steps());
        Sampling plain = new Sampling(start, List.of(guidance(negative, prompt)), walk);
        outputs.put("gen.plain", diffusion.generate(plain, CaseModel.QUIET).values());
        List<Latents> trajectory = diffusion.invert(latents("id.z0"), List.of(caption), walk, CaseModel.QUIET);
        outputs.put("invert.trajectory", Latents.stack(trajectory).values());
        Latents noise = trajectory.getLast();
        outputs.put("invert.reconstruction", diffusion.denoise(noise, List.of(caption), walk, CaseModel.QUIET).values());

        List<Latents> kept = new ArrayList<>();
        Sampling face = diffusion.beside(noise, List.of(caption), walk, CaseModel.QUIET);
        IdentityInfluence identity = identity(adapter, face, IdentityLayers.BOTH, IdentityRows.BOTH).askForFaces();
        Latents customised = diffusion.generate(plain.withInfluences(identity), (done, all, x) -> kept.add(x.get()));
        outputs.put("customize.final", customised.values());
        outputs.put("customize.identity_final", identity.faces().values());
        outputs.put("customize.trajectory", Latents.stack(kept).values());
        outputs.put("customize.image", model.vae().decode(customised.times(1 / model.vae().scalingFactor())));
        outputs.put("customize.final_conditional_only", diffusion.generate(plain.withInfluences(
                identity(adapter, face, IdentityLayers.BOTH, IdentityRows.PROMPT)), CaseModel.QUIET).values());
        outputs.put("customize.final_self_only", diffusion.generate(plain.withInfluences(
                identity(adapter, face, IdentityLayers.SELF_ONLY, IdentityRows.BOTH)), CaseModel.QUIET).values());
        outputs.put("customize.final_cross_only", diffusion.generate(plain.withInfluences(
                identity(adapter, face, IdentityLayers.CROSS_ONLY, IdentityRows.BOTH)), CaseModel.QUIET).values());
    }

    /** Inputs get a row too: it says that they were read, and a dump repeats them. */
    private float[] input(String key) {
        float[] values = folder.values(key);
        outputs.put(key, values);
        return values;
    }

    private Latents latents(String key) {
        return folder.latents(key, model.vae().latentChannels());
    }
}
