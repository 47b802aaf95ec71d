package io.invadapter.engine.model;

import io.invadapter.engine.nn.Network;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.nn.Room;
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
import java.util.function.Function;

/**
 * The networks of one model on one device, which may have others. As a {@link Part} each can leave it between two uses.
 *
 * @param sampler the model's own
 */
public record StableDiffusion(Device device, ClipTokenizer tokenizer, Part<ClipTextEncoder> textEncoderPart, Part<UNet> unetPart,
        Part<Vae> vaePart, NoiseSchedule schedule, Sampler sampler) implements AutoCloseable {

    public StableDiffusion {
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(tokenizer, "tokenizer");
        Objects.requireNonNull(textEncoderPart, "textEncoderPart");
        Objects.requireNonNull(unetPart, "unetPart");
        Objects.requireNonNull(vaePart, "vaePart");
        Objects.requireNonNull(schedule, "schedule");
        Objects.requireNonNull(sampler, "sampler");
    }

    /** Of networks that stay on the device. */
    public StableDiffusion(Device device, ClipTokenizer tokenizer, ClipTextEncoder textEncoder, UNet unet, Vae vae, NoiseSchedule schedule,
            Sampler sampler) {
        this(device, tokenizer, Part.of(textEncoder), Part.of(unet), Part.of(vae), schedule, sampler);
    }

    /** Where the weights of a part can be had again. */
    public interface Shelf {
        /**
         * @param part   one of {@link Loras#PARTS}, or {@link Loras#VAE}
         * @param making makes a network of its weights, with all that lies over them
         * @throws WeightException when they cannot be read, or are not those that there were
         */
        <N extends Network> N read(String part, Function<WeightSource, N> making);
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
     * Networks that stay on the device.
     *
     * @param loras      laid over the weights; may be closed afterwards too
     * @param embeddings files of textual inversions, and folders of such
     * @param listener   told how many tensors are loaded
     */
    public static StableDiffusion load(ModelFiles files, Loras loras, List<Path> embeddings, Device device, Consumer<String> notices,
            ProgressListener listener) {
        return load(files, loras, embeddings, null, null, device, notices, listener);
    }

    /**
     * Networks that may leave the device, and are made again when they are used next.
     *
     * @param room  that they share
     * @param shelf what they are made of then
     */
    public static StableDiffusion load(ModelFiles files, Loras loras, List<Path> embeddings, Room room, Shelf shelf, Device device,
            Consumer<String> notices, ProgressListener listener) {
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

        Map<String, WeightSource> changed = loras.over(files);

        Loading loading = new Loading(listener,
                files.textEncoder().names().size() + files.unet().names().size() + files.vae().names().size());
        Deque<Part<?>> loaded = new ArrayDeque<>();
        try {
            UsedWeights ofTexts = new UsedWeights(changed.get(Loras.TEXT_ENCODER), loading);
            Part<ClipTextEncoder> textEncoderPart = part(Part.Use.TEXTS, room, shelf, Loras.TEXT_ENCODER, ofTexts,
                    weights -> ClipTextEncoder.load(textConfig, weights, device));
            loaded.push(textEncoderPart);
            ofTexts.reportOthers(notices);
            UsedWeights ofSteps = new UsedWeights(changed.get(Loras.UNET), loading);
            Part<UNet> unetPart = part(Part.Use.STEPS, room, shelf, Loras.UNET, ofSteps,
                    weights -> UNet.load(unetConfig, weights, device));
            loaded.push(unetPart);
            ofSteps.reportOthers(notices);
            UsedWeights ofPictures = new UsedWeights(files.vae(), loading);
            Part<Vae> vaePart = part(Part.Use.PICTURES, room, shelf, Loras.VAE, ofPictures,
                    weights -> Vae.load(vaeConfig, weights, device));
            loaded.push(vaePart);
            ofPictures.reportOthers(notices);
            UsedWeights.report(files.description(), files.otherTensors(), notices);
            return new StableDiffusion(device, tokenizer, textEncoderPart, unetPart, vaePart, schedule, sampler);
        } catch (RuntimeException | Error e) {
            loaded.forEach(Part::close);
            throw e;
        }
    }

    private static <N extends Network> Part<N> part(Part.Use use, Room room, Shelf shelf, String name, UsedWeights weights,
            Function<WeightSource, N> making) {
        if (room == null) {
            return Part.of(making.apply(weights));
        }
        N network = room.make(use, () -> making.apply(weights));
        return Part.in(room, use, weights.usedElements(), network, () -> shelf.read(name, making));
    }

    /** For its numbers, and to compute with where networks stay on the device; elsewhere {@link #textEncoderPart} is used. */
    public ClipTextEncoder textEncoder() {
        return textEncoderPart.network();
    }

    /** As {@link #textEncoder()}, of {@link #unetPart}. */
    public UNet unet() {
        return unetPart.network();
    }

    /** As {@link #textEncoder()}, of {@link #vaePart}. */
    public Vae vae() {
        return vaePart.network();
    }

    /** Sends away the parts that other weights are for than those that they were made of. @param names some of {@link Loras#PARTS} */
    public void leave(Set<String> names) {
        if (names.contains(Loras.TEXT_ENCODER)) {
            textEncoderPart.leave();
        }
        if (names.contains(Loras.UNET)) {
            unetPart.leave();
        }
    }

    /** The loops over this model's UNet. */
    public Diffusion diffusion() {
        return new Diffusion(device, unetPart, vaePart, schedule);
    }

    /** Frees the weights of all networks. What was recorded with them, as {@link Diffusion} does, is closed before. */
    @Override
    public void close() {
        vaePart.close();
        unetPart.close();
        textEncoderPart.close();
    }
}
