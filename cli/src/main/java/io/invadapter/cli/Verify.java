package io.invadapter.cli;

import io.invadapter.engine.Diffusion;
import io.invadapter.engine.IdentityRows;
import io.invadapter.engine.InvalidRequestException;
import io.invadapter.engine.StableDiffusion;
import io.invadapter.engine.model.EmbeddedAttentionAdapter;
import io.invadapter.engine.model.IdentityAttention;
import io.invadapter.engine.model.IdentityFeatures;
import io.invadapter.engine.model.IdentityLayers;
import io.invadapter.engine.model.Latents;
import io.invadapter.engine.model.Vae;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.Json;
import io.invadapter.weights.JsonValue;
import io.invadapter.weights.ModelFiles;
import io.invadapter.weights.Safetensors;
import io.invadapter.weights.SafetensorsWriter;
import io.invadapter.weights.SyntheticWeights;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Compares everything this engine computes with a reference implementation's outputs for the same model and inputs. */
@Command(name = "verify", sortOptions = false, description = "Compares every result with golden data from the reference implementation.")
final class Verify implements Callable<Integer> {
    private static final double SINGLE_PASS = 2e-5;
    private static final double LOOP = 1e-3;
    private static final double REDUCED_PRECISION = 5e-2;

    @Parameters(paramLabel = "DIR", description = "model folder with golden data (case.json, tokens.json, golden.safetensors, eaa.safetensors), or golden data of synthetic weights (case.json, shapes.json, golden.safetensors)")
    private Path folder;

    @Option(names = "--dump", paramLabel = "FILE", description = "writes all outputs under the golden keys")
    private Path dump;

    @Option(names = "--device", paramLabel = "NAME", defaultValue = "auto", description = "auto, cpu, cuda or cuda:N (default: ${DEFAULT-VALUE})")
    private String deviceName;

    @Option(names = "--precision", paramLabel = "NAME", description = "fp32, bf16 or fp16 (default: fp32)")
    private Precision precision = Precision.FP32;

    private static final Map<String, String> SYNTHETIC_TEXTS = Map.of(
            "prompt", "a portrait of a smiling person wearing a red hoodie, blue background",
            "caption", "a face photo", "negative", "");

    private final Map<String, float[]> outputs = new LinkedHashMap<>();
    private boolean tokensAgree = true;

    @Override
    public Integer call() {
        DeviceOptions.checkDevice(deviceName);
        if (!Files.isDirectory(folder)) {
            throw new InvalidRequestException("verify: " + folder + " is no folder; expected one with golden data");
        }
        if (dump != null) {
            Checks.writable(dump);
        }
        JsonValue parameters = Json.read(folder.resolve("case.json"));
        if (Files.exists(folder.resolve("shapes.json"))) {
            return verifySynthetic(parameters);
        }
        JsonValue texts = Json.read(folder.resolve("tokens.json"));
        try (WeightSource golden = Safetensors.open(folder.resolve("golden.safetensors"));
                Device device = Devices.open(deviceName, precision, System.err::println)) {
            System.out.println(device.description());
            StableDiffusion model;
            try (ModelFiles files = ModelFiles.open(folder)) {
                model = StableDiffusion.load(files, device);
            }
            EmbeddedAttentionAdapter adapter;
            try (WeightSource source = Safetensors.open(folder.resolve("eaa.safetensors"))) {
                adapter = EmbeddedAttentionAdapter.load(source, model.unet(), device);
            }
            compute(model, adapter, golden, parameters, texts);
            return report(golden, SINGLE_PASS);
        }
    }

    /** A model of synthetic weights at full size: see {@link SyntheticWeights}. */
    private int verifySynthetic(JsonValue parameters) {
        try (WeightSource golden = Safetensors.open(folder.resolve("golden.safetensors"));
                SyntheticWeights weights = SyntheticWeights.of(folder.resolve("shapes.json"));
                Device device = Devices.open(deviceName, precision, System.err::println)) {
            System.out.println(device.description());
            StableDiffusion model = StableDiffusion.load(weights.model(), device);
            EmbeddedAttentionAdapter adapter = EmbeddedAttentionAdapter.load(weights.part("eaa."), model.unet(), device);
            weights.close();
            Map<String, float[]> contexts = new TreeMap<>();
            SYNTHETIC_TEXTS.forEach((name, text) ->
                    contexts.put(name, model.textEncoder().encode(model.tokenizer().encode(text).ids())));
            contexts.forEach((name, context) -> outputs.put("text." + name, context));
            float[] caption = contexts.get("caption");
            float[][] pair = {contexts.get("negative"), contexts.get("prompt")};
            int steps = parameters.get("steps").asInt();
            double scale = parameters.get("scale").asDouble();
            Latents start = syntheticLatents("case.zT");
            Latents clean = syntheticLatents("case.z0");

            Vae.Distribution latent = model.vae().encode(SyntheticPicture.make(), SyntheticPicture.SIZE, SyntheticPicture.SIZE);
            outputs.put("vae.mean", latent.mean().values());
            outputs.put("vae.logvar", latent.logvar().values());
            float[] decoded = model.vae().decode(clean.times(0.5));
            outputs.put("vae.decoded_crop", SyntheticPicture.crop(decoded, 192, 128));
            outputs.put("vae.decoded_mean", SyntheticPicture.channelMeans(decoded));
            device.trim();
            for (int timestep : new int[] {1, 981}) {
                outputs.put("unet.eps." + timestep, model.unet().predictNoise(start, timestep, new float[][] {pair[1]},
                        IdentityAttention.NONE).values());
            }
            Diffusion diffusion = new Diffusion(model);
            Latents noise = diffusion.invertToNoise(clean, List.of(caption), steps, (done, all, x) -> { });
            outputs.put("invert.last", noise.values());
            firstStep(model, adapter, noise, caption, start, pair, model.schedule().timesteps(steps)[0], scale);
            variant("customize.final", diffusion, start, new Diffusion.Guidance(pair[1], pair[0],
                    parameters.get("guidance").asDouble()), steps, Diffusion.IdentityControl.of(adapter, noise, caption, scale,
                    IdentityLayers.BOTH, IdentityRows.BOTH));
            return report(golden, LOOP);
        }
    }

    private static Latents syntheticLatents(String key) {
        return new Latents(SyntheticWeights.make(key, 1, 0, 1, 4, 64, 64).toFloats(), 1, 4, 64, 64);
    }

    private void compute(StableDiffusion model, EmbeddedAttentionAdapter adapter, WeightSource golden, JsonValue parameters,
            JsonValue texts) {
        List.of("prompt", "negative", "caption").forEach(texts::get);
        Map<String, float[]> contexts = new TreeMap<>();
        for (String name : texts.asObject().keySet()) {
            int[] expected = texts.get(name).get("ids").asList().stream().mapToInt(JsonValue::asInt).toArray();
            int[] ids = model.tokenizer().encode(texts.get(name).get("text").asString()).ids();
            if (!Arrays.equals(ids, expected)) {
                tokensAgree = false;
                System.out.println("tokens." + name + " differ: " + Arrays.toString(ids) + " for " + Arrays.toString(expected));
            }
            contexts.put(name, model.textEncoder().encode(ids));
            outputs.put("text." + name, contexts.get(name));
        }
        float[] caption = contexts.get("caption");
        float[][] pair = {contexts.get("negative"), contexts.get("prompt")};
        int steps = parameters.get("steps").asInt();

        int channels = model.vae().latentChannels();
        Latents image = latents(golden, "vae.image", 3);
        Vae.Distribution latent = model.vae().encode(image.values(), image.height(), image.width());
        outputs.put("vae.mean", latent.mean().values());
        outputs.put("vae.logvar", latent.logvar().values());
        outputs.put("vae.decoded", model.vae().decode(latents(golden, "vae.mean", channels)));

        double[] alphas = model.schedule().alphasCumprod();
        float[] levels = new float[alphas.length];
        for (int i = 0; i < levels.length; i++) {
            levels[i] = (float) alphas[i];
        }
        outputs.put("schedule.alphas_cumprod", levels);
        int[] timesteps = model.schedule().timesteps(steps);
        float[] asFloats = new float[steps];
        for (int i = 0; i < steps; i++) {
            asFloats[i] = timesteps[i];
        }
        outputs.put("schedule.timesteps", asFloats);

        for (String key : golden.names()) {
            if (key.matches("unet\\.x\\.\\d{1,6}")) {
                int timestep = Integer.parseInt(key.substring("unet.x.".length()));
                outputs.put("unet.eps." + timestep,
                        model.unet().predictNoise(latents(golden, key, channels), timestep, pair, IdentityAttention.NONE).values());
            }
        }

        Diffusion diffusion = new Diffusion(model);
        // Inputs of what follows; a row for them says that they were read, and --dump repeats them.
        for (String key : golden.names()) {
            if (key.startsWith("unet.x.") || key.equals("id.z0") || key.equals("gen.zT") || key.equals("vae.image")) {
                outputs.put(key, golden.tensor(key).toFloats());
            }
        }
        List<Latents> trajectory = diffusion.invert(latents(golden, "id.z0", channels), List.of(caption), steps, (done, all, x) -> { });
        outputs.put("invert.trajectory", Latents.stack(trajectory).values());
        Latents noise = trajectory.getLast();
        outputs.put("invert.reconstruction", diffusion.denoise(noise, List.of(caption), steps, (done, all, x) -> { }).values());

        Latents start = latents(golden, "gen.zT", channels);
        Diffusion.Guidance guidance = new Diffusion.Guidance(pair[1], pair[0], parameters.get("guidance").asDouble());
        outputs.put("gen.plain", diffusion.generate(start, List.of(guidance), steps, null, (done, all, x) -> { }).latents().values());
        double scale = parameters.get("scale").asDouble();
        firstStep(model, adapter, noise, caption, start, pair, timesteps[0], scale);

        List<Latents> kept = new ArrayList<>();
        Diffusion.Result result = diffusion.generate(start, List.of(guidance), steps, Diffusion.IdentityControl.of(adapter, noise,
                caption, scale, IdentityLayers.BOTH, IdentityRows.BOTH), (done, all, x) -> kept.add(x.get()));
        outputs.put("customize.final", result.latents().values());
        outputs.put("customize.identity_final", result.identity().values());
        outputs.put("customize.trajectory", Latents.stack(kept).values());
        outputs.put("customize.image", model.vae().decode(result.latents().times(1 / model.vae().scalingFactor())));
        variant("customize.final_conditional_only", diffusion, start, guidance, steps, Diffusion.IdentityControl.of(adapter,
                noise, caption, scale, IdentityLayers.BOTH, IdentityRows.PROMPT));
        variant("customize.final_self_only", diffusion, start, guidance, steps, Diffusion.IdentityControl.of(adapter, noise,
                caption, scale, IdentityLayers.SELF_ONLY, IdentityRows.BOTH));
        variant("customize.final_cross_only", diffusion, start, guidance, steps, Diffusion.IdentityControl.of(adapter, noise,
                caption, scale, IdentityLayers.CROSS_ONLY, IdentityRows.BOTH));
    }

    private void variant(String key, Diffusion diffusion, Latents start, Diffusion.Guidance guidance, int steps,
            Diffusion.IdentityControl identity) {
        outputs.put(key, diffusion.generate(start, List.of(guidance), steps, identity, (done, all, x) -> { }).latents().values());
    }

    /** The features of the identity's first pass, and the guided pass that takes them in. */
    private void firstStep(StableDiffusion model, EmbeddedAttentionAdapter adapter, Latents noise, float[] caption,
            Latents start, float[][] pair, int timestep, double scale) {
        Device device = model.device();
        try (Scope scope = device.scope()) {
            IdentityFeatures features = adapter.features(1, noise.height(), noise.width());
            IdentityAttention recording = adapter.record(features);
            model.unet().predictNoise(noise, timestep, new float[][] {caption}, (layer, hiddenStates) -> {
                outputs.put("features." + layer, device.download(hiddenStates));
                return recording.attend(layer, hiddenStates);
            });
            Latents twice = Latents.stack(List.of(start, start));
            Tensor rows = device.upload(new int[] {0, 0});
            Tensor scales = device.upload(DataType.FLOAT32, new float[] {(float) scale, (float) scale}, 2);
            outputs.put("inject.eps", model.unet().predictNoise(twice, timestep, pair,
                    adapter.inject(features, rows, scales, IdentityLayers.BOTH)).values());
        }
    }

    private int report(WeightSource golden, double singlePass) {
        DescriptiveStatistics errors = new DescriptiveStatistics();
        boolean passed = tokensAgree;
        SafetensorsWriter writer = new SafetensorsWriter();
        for (String key : golden.names()) {
            float[] found = outputs.get(key);
            if (found == null) {
                System.out.println(key + "  skipped: this version does not compute it");
                continue;
            }
            float[] expected = golden.tensor(key).toFloats();
            if (found.length != expected.length) {
                throw new WeightException(folder.resolve("golden.safetensors") + ": '" + key + "' has " + expected.length
                        + " values; this model gives " + found.length);
            }
            boolean loop = key.startsWith("invert.") || key.startsWith("gen.") || key.startsWith("customize.");
            double limit = precision == Precision.FP32 ? loop ? LOOP : singlePass : loop ? Double.POSITIVE_INFINITY : REDUCED_PRECISION;
            double error = relativeError(found, expected);
            boolean ok = error <= limit;
            passed &= ok;
            errors.addValue(error);
            System.out.printf(Locale.ROOT, "%-70s %.2e  %s%n", key, error, ok ? "ok" : String.format(Locale.ROOT, "FAIL (limit %.0e)", limit));
            writer.add(key, golden.tensor(key).shape(), found);
        }
        if (errors.getN() == 0) {
            throw new WeightException(golden.description() + " holds nothing to compare");
        }
        System.out.printf(Locale.ROOT, "%d keys, median %.2e, largest %.2e: %s%n", errors.getN(), errors.getPercentile(50),
                errors.getMax(), passed ? "passed" : "FAILED");
        if (dump != null) {
            writer.write(dump);
        }
        return passed ? 0 : 1;
    }

    private static double relativeError(float[] found, float[] expected) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < expected.length; i++) {
            double d = (double) found[i] - expected[i];
            difference += d * d;
            norm += (double) expected[i] * expected[i];
        }
        return Math.sqrt(norm == 0 ? difference : difference / norm);
    }

    private static Latents latents(WeightSource golden, String key, int channels) {
        long[] shape = golden.tensor(key).shape();
        if (shape.length != 4 || shape[1] != channels) {
            throw new WeightException(golden.description() + ": '" + key + "' has the shape " + Arrays.toString(shape)
                    + " where [rows, " + channels + ", height, width] is expected");
        }
        return new Latents(golden.tensor(key).toFloats(), (int) shape[0], (int) shape[1], (int) shape[2], (int) shape[3]);
    }
}
