package io.invadapter.engine;

import io.invadapter.engine.model.ClipTextEncoder;
import io.invadapter.engine.model.UNet;
import io.invadapter.engine.model.UNetConfig;
import io.invadapter.engine.model.Vae;
import io.invadapter.kernels.Device;
import io.invadapter.weights.ModelFiles;
import io.invadapter.weights.WeightException;

/** The networks of one model on one device. */
public record StableDiffusion(Device device, ClipTokenizer tokenizer, ClipTextEncoder textEncoder, UNet unet, Vae vae,
        NoiseSchedule schedule) {

    /**
     * Packs all weights for {@code device}; {@code files} may be closed afterwards.
     *
     * @throws WeightException when a tensor is missing, has the wrong shape, or the parts do not fit together
     */
    public static StableDiffusion load(ModelFiles files, Device device) {
        // The cheapest first: a model of another kind is refused before its weights are packed.
        NoiseSchedule schedule = new NoiseSchedule(files.schedulerConfig());
        ClipTextEncoder textEncoder = new ClipTextEncoder(files.textEncoderConfig(), files.textEncoder(), device);
        ClipTokenizer tokenizer = files.tokenizerFolder().map(ClipTokenizer::fromFolder).orElseGet(ClipTokenizer::bundled)
                .withMaxLength(textEncoder.maxTokens());
        if (tokenizer.vocabularySize() > textEncoder.vocabularySize()) {
            throw new WeightException(files.description() + ": the tokenizer knows " + tokenizer.vocabularySize()
                    + " tokens, the text encoder only " + textEncoder.vocabularySize());
        }
        UNet unet = new UNet(UNetConfig.of(files.unetConfig()), files.unet(), device);
        if (unet.config().contextChannels() != textEncoder.channels()) {
            throw new WeightException(files.description() + ": the UNet reads texts of " + unet.config().contextChannels()
                    + " channels, the text encoder writes " + textEncoder.channels());
        }
        Vae vae = new Vae(files.vaeConfig(), files.vae(), device);
        if (unet.config().inChannels() != vae.latentChannels() || unet.config().outChannels() != vae.latentChannels()) {
            throw new WeightException(files.description() + ": the UNet works on latents of " + unet.config().inChannels()
                    + " channels, the VAE on " + vae.latentChannels());
        }
        return new StableDiffusion(device, tokenizer, textEncoder, unet, vae, schedule);
    }
}
