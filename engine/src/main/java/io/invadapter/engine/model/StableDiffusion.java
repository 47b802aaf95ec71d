package io.invadapter.engine.model;

import io.invadapter.engine.request.ProgressListener;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampler;
import io.invadapter.engine.sampling.Samplers;
import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.text.ClipTextEncoder;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.engine.text.TextualInversion;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.Vae;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.kernels.Device;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The networks of one model on one device, which may have others.
 *
 * @param sampler the model's own
 */
public record StableDiffusion(Device device, ClipTokenizer tokenizer, ClipTextEncoder textEncoder, UNet unet, Vae vae,
        NoiseSchedule schedule, Sampler sampler) implements AutoCloseable {

    public StableDiffusion {
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(tokenizer, "tokenizer");
        Objects.requireNonNull(textEncoder, "textEncoder");
        Objects.requireNonNull(unet, "unet");
        Objects.requireNonNull(vae, "vae");
        Objects.requireNonNull(schedule, "schedule");
        Objects.requireNonNull(sampler, "sampler");
    }

    /**
     * Packs all weights for {@code device}; {@code files} may be closed afterwards.
     *
     * @param notices told of what is in the files without having a meaning here: keys that are not known, weights of no layer
     * @throws WeightException when a tensor is missing, has the wrong shape, the parts do not fit together, or a configuration asks
     *     for what is not computed
     */
    public static StableDiffusion load(ModelFiles files, Device device, Consumer<String> notices) {
        return load(files, Loras.NONE, List.of(), device, notices, ProgressListener.NONE);
    }

    /**
     * @param loras      laid over the weights; may be closed afterwards too
     * @param embeddings files of textual inversions, and folders of such
     * @param listener   told how many tensors are loaded
     */
    public static StableDiffusion load(ModelFiles files, Loras loras, List<Path> embeddings, Device device, Consumer<String> notices,
            ProgressListener listener) {
        files.notices().forEach(notices);
        // Everything that can be refused before weights are packed.
        NoiseSchedule schedule = new NoiseSchedule(files.schedulerConfig(), notices);
        Sampler sampler = Samplers.of(files.schedulerConfig(), notices);
        ClipTextConfig ownTextConfig = ClipTextConfig.of(files.textEncoderConfig(), notices);
        UNetConfig unetConfig = UNetConfig.of(files.unetConfig(), notices);
        VaeConfig vaeConfig = VaeConfig.of(files.vaeConfig(), notices);
        ClipTokenizer ownTokenizer = files.tokenizerFolder().map(folder -> ClipTokenizer.fromFolder(folder, notices))
                .orElseGet(() -> ClipTokenizer.bundled().withPadding(files.textEncoderConfig().get("pad_token_id").asInt()))
                .withPositions(ownTextConfig.maxTokens());
        ClipTextConfig textConfig = ownTextConfig.with(
                TextualInversion.readAll(embeddings, ownTextConfig.channels(), ownTokenizer.room(), notices));
        ClipTokenizer tokenizer = ownTokenizer.withPlaceholders(textConfig.inversions(), textConfig.vocabularySize());
        if (tokenizer.vocabularySize() > textConfig.vocabularySize()) {
            throw new WeightException(files.description() + ": the tokenizer knows " + tokenizer.vocabularySize()
                    + " tokens, the text encoder only " + textConfig.vocabularySize());
        }
        if (unetConfig.contextChannels() != textConfig.channels()) {
            throw new WeightException(files.description() + ": the UNet reads texts of " + unetConfig.contextChannels()
                    + " channels, the text encoder writes " + textConfig.channels());
        }
        if (unetConfig.outChannels() != vaeConfig.latentChannels()
                || unetConfig.inChannels() != vaeConfig.latentChannels() && !unetConfig.inpainting()) {
            throw new WeightException(files.description() + ": the UNet works on latents of " + unetConfig.outChannels()
                    + " channels, the VAE on " + vaeConfig.latentChannels());
        }

        Map<String, WeightSource> changed = loras.over(files, Loras.PARTS);

        Loading loading = new Loading(listener,
                files.textEncoder().names().size() + files.unet().names().size() + files.vae().names().size());
        Deque<Runnable> loaded = new ArrayDeque<>();
        try {
            UsedWeights text = new UsedWeights(changed.get(Loras.TEXT_ENCODER), loading);
            ClipTextEncoder textEncoder = ClipTextEncoder.load(textConfig, text, device);
            loaded.push(textEncoder::close);
            text.reportOthers(notices);
            UsedWeights noise = new UsedWeights(changed.get(Loras.UNET), loading);
            UNet unet = UNet.load(unetConfig, noise, device);
            loaded.push(unet::close);
            noise.reportOthers(notices);
            UsedWeights pictures = new UsedWeights(files.vae(), loading);
            Vae vae = Vae.load(vaeConfig, pictures, device);
            loaded.push(vae::close);
            pictures.reportOthers(notices);
            UsedWeights.report(files.description(), files.otherTensors(), notices);
            return new StableDiffusion(device, tokenizer, textEncoder, unet, vae, schedule, sampler);
        } catch (RuntimeException | Error e) {
            loaded.forEach(Runnable::run);
            throw e;
        }
    }

    /**
     * This model with other weights in some parts. The networks that they are for are freed first, so neither this nor what was made of
     * it can be used any more; when it fails, nothing but another call of this with all of {@link Loras#PARTS} can.
     *
     * @param weights as {@link Loras#over(ModelFiles, Set)} gives them
     */
    public StableDiffusion with(Map<String, WeightSource> weights) {
        WeightSource forTexts = weights.get(Loras.TEXT_ENCODER);
        WeightSource forUNet = weights.get(Loras.UNET);
        if (forTexts != null) {
            textEncoder.close();
        }
        if (forUNet != null) {
            unet.close();
        }
        ClipTextEncoder texts = forTexts == null ? textEncoder : ClipTextEncoder.load(textEncoder.config(), forTexts, device);
        try {
            UNet noise = forUNet == null ? unet : UNet.load(unet.config(), forUNet, device);
            return new StableDiffusion(device, tokenizer, texts, noise, vae, schedule, sampler);
        } catch (RuntimeException | Error e) {
            texts.close();
            throw e;
        }
    }

    /** The loops over this model's UNet. */
    public Diffusion diffusion() {
        return new Diffusion(device, unet, vae, schedule);
    }

    /** Frees the weights of all networks. What was recorded with them, as {@link Diffusion} does, is closed before. */
    @Override
    public void close() {
        vae.close();
        unet.close();
        textEncoder.close();
    }
}
