package io.invadapter.verification;

import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.Latents;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.Vae;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.model.Untold;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Stable Diffusion 2.x, which predicts velocity: a model folder, or a single file whose inputs and results are those of a folder. */
final class StableDiffusion2Case implements GoldenCase {
    private static final List<String> TEXTS = List.of("negative", "prompt", "caption");

    private final CaseFolder folder;
    private final CaseFolder inputs;
    private final CaseModel model;
    private final EmbeddedAttentionAdapter adapter;
    private final NoiseSchedule zeroSnr;

    StableDiffusion2Case(CaseFolder folder) {
        this.folder = folder;
        Optional<JsonValue> file = folder.parameters().find("single_file");
        try (ModelFiles files = file.isPresent() ? ModelFiles.open(folder.file(file.get()), untold(folder.parameters())) : folder.model()) {
            model = new CaseModel(folder.load(files));
            // The single file's table is that of the noise without it.
            zeroSnr = new NoiseSchedule(files.schedulerConfig().with("rescale_betas_zero_snr", true).with("timestep_spacing", "trailing")
                    .with("alphas_cumprod", null), System.err::println);
        }
        inputs = folder.inputs();
        adapter = folder.adapter(inputs.file(inputs.parameters().get("eaa")), model.networks());
    }

    private static Untold untold(JsonValue parameters) {
        return new Untold(positive(parameters, "num_head_channels"), positive(parameters, "norm_num_groups"),
                positive(parameters, "text_num_head_channels"), positive(parameters, "vae_norm_num_groups"),
                Optional.of(parameters.get("prediction_type").asString()));
    }

    private static int positive(JsonValue parameters, String key) {
        JsonValue value = parameters.get(key);
        if (value.asInt() < 1) {
            throw new WeightException(value.where() + " is " + value + " where a positive integer is expected");
        }
        return value.asInt();
    }

    @Override
    public void compute(Set<Part> parts, Results results) {
        float[][] texts = texts(results);
        float[][] guided = {texts[0], texts[1]};
        if (parts.contains(Part.VAE)) {
            vae(results);
        }
        if (parts.contains(Part.SCHEDULE)) {
            results.put("zero_snr.alphas_cumprod", Results.floats(zeroSnr.alphasCumprod()));
            results.put("zero_snr.timesteps", zeroSnr.timesteps(integer("zero_snr_steps")));
        }
        if (parts.contains(Part.UNET)) {
            singlePasses(guided, results);
        }
        if (parts.contains(Part.LOOPS)) {
            loops(texts, results);
        }
    }

    private float[][] texts(Results results) {
        float[][] texts = new float[TEXTS.size()][];
        int[][] ids = new int[TEXTS.size()][];
        for (int i = 0; i < texts.length; i++) {
            ids[i] = model.networks().tokenizer().encode(inputs.parameters().get(TEXTS.get(i)).asString()).ids();
            texts[i] = model.networks().textEncoder().encode(ids[i]);
        }
        results.put("ids", Arrays.stream(ids).flatMapToInt(Arrays::stream).toArray());
        results.put("text", UNet.joined(texts));
        return texts;
    }

    private void vae(Results results) {
        Vae vae = model.networks().vae();
        Latents latents = latents("in.latent");
        float[] decoded = vae.decode(latents);
        results.put("vae.decoded", decoded);
        float[] clamped = new float[decoded.length];
        for (int i = 0; i < clamped.length; i++) {
            clamped[i] = Math.clamp(decoded[i], -1, 1);
        }
        // A picture has the size of its latents times what the decoder enlarges by.
        int enlarged = (int) Math.round(Math.sqrt(decoded.length / 3.0 / (latents.height() * latents.width())));
        results.put("vae.mean", vae.encode(clamped, enlarged * latents.height(), enlarged * latents.width()).mean().values());
    }

    /** The network's output, and the noise {@code sqrt(alpha) v + sqrt(1 - alpha) x} in it. */
    private void singlePasses(float[][] guided, Results results) {
        double[] alphas = model.networks().schedule().alphasCumprod();
        for (JsonValue value : inputs.parameters().get("ts").asList()) {
            int timestep = folder.timestep(value, model.networks().schedule());
            Latents x = latents("in.x." + timestep);
            float[] velocity = model.pass(x, timestep, guided);
            results.put("v." + timestep, velocity);
            float[] noise = new float[velocity.length];
            for (int i = 0; i < noise.length; i++) {
                noise[i] = (float) (Math.sqrt(alphas[timestep]) * velocity[i] + Math.sqrt(1 - alphas[timestep]) * x.values()[i]);
            }
            results.put("eps." + timestep, noise);
        }
    }

    private void loops(float[][] texts, Results results) {
        StableDiffusion networks = model.networks();
        int steps = integer("steps");
        List<Diffusion.Guidance> guidance = List.of(new Diffusion.Guidance(texts[1], texts[0], inputs.guidance()));
        Latents start = latents("in.noise");
        try (Diffusion diffusion = networks.diffusion();
                Diffusion zero = new Diffusion(folder.device(), networks.unet(), networks.vae(), zeroSnr)) {
            Walk walk = diffusion.ddim(steps);
            Sampling plain = new Sampling(start, guidance, walk);
            results.put("loop.ddim", diffusion.generate(plain, CaseModel.QUIET).values());
            results.put("loop.zero_snr", zero.generate(new Sampling(start, guidance, zero.ddim(integer("zero_snr_steps"))),
                    CaseModel.QUIET).values());
            Latents noise = diffusion.invertToNoise(latents("in.id_z0"), List.of(texts[2]), walk, CaseModel.QUIET);
            results.put("loop.invert", noise.values());
            IdentityInfluence identity = IdentityInfluence.of(adapter, diffusion.beside(noise, List.of(texts[2]), walk, CaseModel.QUIET),
                    inputs.parameters().get("eaa_scale").asDouble(), IdentityLayers.BOTH, IdentityRows.PROMPT).askForFaces();
            results.put("loop.customize", diffusion.generate(plain.withInfluences(identity), CaseModel.QUIET).values());
            results.put("loop.identity", identity.faces().values());
        }
    }

    private int integer(String key) {
        return inputs.parameters().get(key).asInt();
    }

    private Latents latents(String key) {
        return folder.latents(key, model.networks().vae().latentChannels());
    }
}
