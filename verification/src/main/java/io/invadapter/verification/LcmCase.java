package io.invadapter.verification;

import io.invadapter.engine.Latents;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.FreshNoise;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampler;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.unet.AttentionHook;
import io.invadapter.engine.unet.GuidanceEmbedding;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** {@code lcm}: a latent consistency model, which takes the guidance as an input, and its sampler with given noises. */
final class LcmCase implements GoldenCase {
    private static final String EMBEDDING = "guidance_embedding.";

    private final CaseFolder folder;
    private final Device device;
    private final UNet unet;
    private final Vae vae;
    private final NoiseSchedule schedule;
    private final Sampler sampler;
    private final float[][] context;

    LcmCase(CaseFolder folder) {
        this.folder = folder;
        device = folder.device();
        try (ModelFiles files = folder.model()) {
            StableDiffusion networks = folder.load(files);
            unet = networks.unet();
            vae = networks.vae();
            schedule = new NoiseSchedule(files.schedulerConfig(), System.err::println);
            sampler = Samplers.of(files.schedulerConfig(), System.err::println);
        }
        if (unet.config().guidanceChannels() == 0) {
            throw new WeightException(folder.parameters().where() + ": its UNet takes no guidance; expected a config.json with time_cond_proj_dim");
        }
        context = folder.contexts("in.context");
    }

    @Override
    public Limit limit(String key, Precision precision) {
        // Sines of arguments in the thousands.
        return key.startsWith(EMBEDDING) ? new Limit(1e-3, true) : GoldenCase.super.limit(key, precision);
    }

    @Override
    public void compute(Set<Part> parts, Results results) {
        if (parts.contains(Part.UNET)) {
            int timestep = folder.timestep(folder.parameters().get("t"), schedule);
            for (JsonValue value : folder.parameters().get("guidances").asList()) {
                float[] guidance = embedding(value);
                results.put(EMBEDDING + value, guidance);
                // Of the reference's own sines: how far ours may be from them has a limit of its own.
                results.put("eps." + value, predict(latents("in.x"), timestep, folder.values(EMBEDDING + value, guidance.length)));
            }
        }
        if (parts.contains(Part.SCHEDULE) || parts.contains(Part.LOOPS)) {
            for (JsonValue steps : folder.parameters().get("steps").asList()) {
                Walk walk = sampler.walk(schedule, steps.asInt(), 1);
                run(walk, latents("in.noise").times(walk.startScale()), "in.noises." + steps, steps.toString(), parts, results);
            }
            Walk walk = sampler.walk(schedule, folder.parameters().get("img2img_steps").asInt(), folder.parameters().get("strength").asDouble());
            run(walk, latents("in.img2img_z0").noised(latents("in.noise"), walk.steps().getFirst().alphaFrom()), "in.img2img_noises",
                    "img2img", parts, results);
        }
    }

    private float[] embedding(JsonValue guidance) {
        return GuidanceEmbedding.of(guidance.asDouble(), unet.config().guidanceChannels());
    }

    private float[] predict(Latents x, double timestep, float[] guidance) {
        return unet.predictNoise(x, (int) timestep, guidance, context, AttentionHook.NONE).values();
    }

    /** @param draws key of the noise that is added after each step but the last */
    private void run(Walk walk, Latents start, String draws, String name, Set<Part> parts, Results results) {
        if (parts.contains(Part.SCHEDULE)) {
            results.put("timesteps." + name, walk.steps().stream().mapToInt(step -> (int) step.timestep()).toArray());
        }
        if (!parts.contains(Part.LOOPS)) {
            return;
        }
        JsonValue guidance = folder.parameters().get("guidance");
        List<Latents> latents = new ArrayList<>(List.of(start));
        try (Diffusion diffusion = new Diffusion(device, unet, vae, schedule)) {
            diffusion.generate(new Sampling(start, List.of(new Diffusion.Guidance(context[0], context[0], guidance.asDouble())), walk)
                    .withNoise(given(draws, walk.steps().size() - 1, start)), (done, all, x) -> latents.add(x.get()));
        }
        List<Latents> predictions = new ArrayList<>();
        for (int i = 0; i < walk.steps().size(); i++) {
            predictions.add(like(start, predict(latents.get(i), walk.steps().get(i).timestep(), embedding(guidance))));
        }
        results.put("loop." + name, latents.getLast().values());
        results.put("loop.latents." + name, Latents.stack(latents.subList(1, latents.size())).values());
        results.put("loop.eps." + name, Latents.stack(predictions).values());
    }

    /** The rows of a golden key, one for each step but the last. */
    private FreshNoise given(String draws, int rows, Latents shape) {
        float[] noises = folder.values(draws, new long[] {rows, shape.channels(), shape.height(), shape.width()});
        int size = shape.values().length;
        return step -> like(shape, Arrays.copyOfRange(noises, step * size, (step + 1) * size));
    }

    private static Latents like(Latents shape, float[] values) {
        return new Latents(values, shape.batch(), shape.channels(), shape.height(), shape.width());
    }

    private Latents latents(String key) {
        return folder.latents(key, unet.config().outChannels());
    }
}
