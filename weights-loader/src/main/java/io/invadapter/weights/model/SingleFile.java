package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.naming.ClipNames;
import io.invadapter.weights.model.naming.OpenClipNames;
import io.invadapter.weights.model.naming.OriginalUNetBlocks;
import io.invadapter.weights.model.naming.OriginalVaeNames;
import io.invadapter.weights.safetensors.Safetensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Opens a checkpoint that holds the whole model in one file, with the names of the original latent-diffusion code. */
final class SingleFile {

    private static final String UNET = "model.diffusion_model.";
    private static final String VAE = "first_stage_model.";
    private static final String TEXT_ENCODER = "cond_stage_model.transformer.";
    private static final String OPEN_CLIP = "cond_stage_model.model.";
    /** Of a text in Stable Diffusion 2.x. */
    private static final int CHANNELS_OF_2 = 1024;
    /** Of its text encoder without the last. */
    private static final int BLOCKS_OF_2 = 23;
    /** Of the latents that its models which predict velocity were trained on. */
    private static final int SIZE_OF_768 = 96;

    private static final String AVERAGED = "model_ema.";
    private static final String EXPECTED = "a full checkpoint of Stable Diffusion 1.x or 2.x, or the folder of such a model,";

    /** What some programs put in front of all names when they save a checkpoint. */
    private static final List<String> OUTER_PREFIXES = List.of("state_dict.", "model.", "module.");
    /** What training leaves behind: averaged weights, counters, the tables that the noise schedule is made of, marks of its kind. */
    private static final Pattern LEFT_BY_TRAINING = Pattern.compile("model_ema\\..*|optimizer_states\\..*|global_step|(state_dict\\.)?epoch"
            + "|betas|alphas_cumprod(_prev)?|sqrt_.*|log_one_minus_alphas_cumprod|posterior_.*|logvar|lvlb_weights|scale_factor|denoiser\\.sigmas|v_pred|ztsnr"
            + "|cond_stage_model\\.(logit_scale|text_projection)");

    private static final String NOISE_TABLE = "alphas_cumprod";
    private static final String SCALE = "scale_factor";
    /** bfloat16 keeps 8 bits. */
    private static final double SCALE_TOLERANCE = 0.01;

    private SingleFile() {
    }

    /** @param untold of Stable Diffusion 2.x */
    static ModelFiles open(Path path, Untold untold) {
        WeightSource opened = Safetensors.open(path);
        try {
            return open(opened, OriginalConfig.beside(path), untold);
        } catch (RuntimeException | Error e) {
            opened.close();
            throw e;
        }
    }

    private static ModelFiles open(WeightSource opened, OriginalConfig beside, Untold untold) {
        WeightSource file = withoutOuterPrefix(opened);
        String name = file.description();
        refuseOtherFiles(file);
        boolean openClip = startsWith(file.names(), OPEN_CLIP);
        WeightSource unet = part(file, "UNet", unetNames(file, beside));
        WeightSource vae = part(file, "VAE", OriginalVaeNames.of(name, file.names(), VAE));
        WeightSource textEncoder = part(file, "text encoder", openClip ? openClipNames(file, beside)
                : ClipNames.textEncoder(name, file.names(), TEXT_ENCODER));
        JsonValue unetConfig = InferredConfig.unet(unet);
        JsonValue vaeConfig = InferredConfig.vae(vae);
        JsonValue textEncoderConfig = InferredConfig.textEncoder(textEncoder);
        boolean second = openClip || unetConfig.get("cross_attention_dim").asInt() == CHANNELS_OF_2;
        if (second) {
            unetConfig = untold.unet(unetConfig);
            vaeConfig = untold.vae(vaeConfig);
            textEncoderConfig = untold.textEncoder(textEncoderConfig);
        }
        unetConfig = beside.unet(unetConfig);
        vaeConfig = beside.vae(vaeConfig);
        requireScale(vaeConfig, file);
        requireSameText(name, unetConfig, textEncoderConfig);
        FileMetadata.refuseOtherModels(file, second);
        beside.checkTextEncoder(textEncoderConfig, openClip);
        // The layer is counted in all blocks; Stable Diffusion 2.x has those before the last here, so that its 2 is their last.
        int layer = FileMetadata.encoderLayer(file) - (second && !beside.runsLastBlock() ? 1 : 0);
        if (layer > 1) {
            textEncoderConfig = textEncoderConfig.with("clip_skip", layer);
        }
        List<String> notices = new ArrayList<>();
        Optional<String> said = untold.prediction().or(() -> Prediction.said(file, beside));
        String prediction = said.isPresent() ? said.get() : second ? Prediction.guess(unet, unetConfig, notices) : Prediction.EPSILON;
        if (second && prediction.equals(Prediction.VELOCITY)) {
            // The .yaml that is published with these says 64.
            unetConfig = unetConfig.with("sample_size", SIZE_OF_768);
        }
        JsonValue scheduler = withNoiseTable(Prediction.withTerminalSnr(beside.scheduler(InferredConfig.scheduler(name, prediction)), file, beside, notices),
                file);
        return new ModelFiles(name, new ModelFiles.Part(unet, unetConfig), new ModelFiles.Part(vae, vaeConfig),
                new ModelFiles.Part(textEncoder, textEncoderConfig), scheduler, Optional.empty(), otherTensors(file), notices, List.of(opened));
    }

    /**
     * Stable Diffusion 2.x reads the states before OpenCLIP's last block, which is in the file all the same; some converters leave it
     * out, in files of the only size that was published.
     */
    private static Map<String, String> openClipNames(WeightSource file, OriginalConfig beside) {
        int blocks = OpenClipNames.blocks(file.names(), OPEN_CLIP);
        long[] shape = file.tensor(OPEN_CLIP + "ln_final.weight").shape();
        boolean cut = blocks == BLOCKS_OF_2 && shape.length == 1 && shape[0] == CHANNELS_OF_2;
        return OpenClipNames.textEncoder(file.description(), file.names(), OPEN_CLIP, cut || beside.runsLastBlock() ? blocks : Math.max(1, blocks - 1));
    }

    /** The names of the UNet's tensors; where the original configuration asks for it, of those averaged by training. */
    private static Map<String, String> unetNames(WeightSource file, OriginalConfig beside) {
        Map<String, String> last = OriginalUNetBlocks.of(file.description(), file.names(), UNET);
        if (!startsWith(file.names(), AVERAGED) || !beside.takesAveragedWeights()) {
            return last;
        }
        Map<String, String> averaged = new LinkedHashMap<>();
        last.forEach((canonical, original) -> {
            // The original code calls them as its network does, without the points.
            String name = AVERAGED + original.substring(UNET.indexOf('.') + 1).replace(".", "");
            if (!file.contains(name)) {
                throw new WeightException(file.description() + " holds averaged weights, which the .yaml beside it asks for by use_ema, but no '"
                        + name + "'");
            }
            averaged.put(canonical, name);
        });
        return averaged;
    }

    /** The same tensors, without what is in front of all names of this file. */
    private static WeightSource withoutOuterPrefix(WeightSource file) {
        for (String prefix : OUTER_PREFIXES) {
            if (startsWith(file.names(), prefix + UNET)) {
                Map<String, String> originalNames = new LinkedHashMap<>();
                file.names().forEach(name -> originalNames.put(name.startsWith(prefix) ? name.substring(prefix.length()) : name, name));
                return new RenamedSource(file, file.description(), originalNames);
            }
        }
        return file;
    }

    /**
     * What the training left of its noise schedule is no configuration, but shows whether the one that is computed with is right; in a
     * file of zero terminal SNR it may be the table before or after that was made.
     */
    private static JsonValue withNoiseTable(JsonValue scheduler, WeightSource file) {
        if (scheduler.find("rescale_betas_zero_snr").isPresent() || !file.contains(NOISE_TABLE) || file.tensor(NOISE_TABLE).elements() < 2) {
            return scheduler;
        }
        float[] alphas = file.tensor(NOISE_TABLE).toFloats();
        return scheduler.with(NOISE_TABLE, IntStream.range(0, alphas.length).mapToObj(i -> (double) alphas[i]).toList());
    }

    /** Latents were scaled in training by what this tensor says, if it is there. */
    private static void requireScale(JsonValue vaeConfig, WeightSource file) {
        if (file.contains(SCALE) && file.tensor(SCALE).elements() == 1) {
            double trained = file.tensor(SCALE).toFloats()[0];
            double scale = vaeConfig.get("scaling_factor").asDouble();
            if (!(Math.abs(trained - scale) <= SCALE_TOLERANCE * scale)) {
                throw new WeightException(file.description() + ": its tensor '" + SCALE + "' is " + trained + " where " + scale
                        + " is expected; a .yaml beside the file says by its scale_factor if that is meant");
            }
        }
    }

    private static Set<String> otherTensors(WeightSource file) {
        return file.names().stream().filter(name -> !name.startsWith(UNET) && !name.startsWith(VAE) && !name.startsWith(TEXT_ENCODER)
                && !name.startsWith(OPEN_CLIP) && !LEFT_BY_TRAINING.matcher(name).matches()).collect(Collectors.toCollection(LinkedHashSet::new));
    }

    private static WeightSource part(WeightSource file, String part, Map<String, String> originalNames) {
        return new RenamedSource(file, file.description() + " (" + part + ")", originalNames);
    }

    private static void refuseOtherFiles(WeightSource file) {
        String name = file.description();
        Set<String> names = file.names();
        if (startsWith(names, AVERAGED) && !startsWith(names, UNET)) {
            throw new WeightException(name + " holds the UNet only as averaged by training ('model_ema.…'): tensors named '" + UNET
                    + "…' are expected; take the checkpoint that was saved for use");
        }
        if (!FileKind.isCheckpoint(file)) {
            throw new WeightException(name + " is " + FileKind.of(file) + " where " + EXPECTED + " is expected");
        }
        if (names.stream().anyMatch(tensor -> tensor.contains("edm_mean") || tensor.contains("edm_vpred."))) {
            throw new WeightException(name + " was trained with the noise of EDM, which is not computed; expected a checkpoint of Stable Diffusion 1.x or 2.x");
        }
        requirePart(name, names, "UNet", UNET);
        requirePart(name, names, "VAE", VAE);
        requirePart(name, names, "text encoder", TEXT_ENCODER, OPEN_CLIP);
    }

    private static void requirePart(String name, Set<String> names, String part, String... prefixes) {
        if (Stream.of(prefixes).noneMatch(prefix -> startsWith(names, prefix))) {
            throw new WeightException(name + " is a checkpoint without a " + part + ": tensors named '" + String.join("…' or '", prefixes)
                    + "…' are expected; take a full checkpoint, or the folder of the model");
        }
    }

    private static void requireSameText(String name, JsonValue unetConfig, JsonValue textEncoderConfig) {
        int crossAttention = unetConfig.get("cross_attention_dim").asInt();
        int hidden = textEncoderConfig.get("hidden_size").asInt();
        if (crossAttention != hidden) {
            throw new WeightException(name + " has a UNet that expects a text encoder of size " + crossAttention + " but one of size "
                    + hidden);
        }
    }

    private static boolean startsWith(Set<String> names, String prefix) {
        return names.stream().anyMatch(name -> name.startsWith(prefix));
    }
}
