package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.JsonValue;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The files of one Stable Diffusion 1.x or 2.x model, in either of the layouts such models come in: a folder as diffusers saves it,
 * or a single {@code .safetensors} checkpoint with the names of the original latent-diffusion code.
 *
 * <p>Both look the same from here. Tensors have the names that diffusers gives them ({@code down_blocks.0.resnets.0.norm1.weight}),
 * the text encoder's without a leading {@code text_model.} ({@code embeddings.token_embedding.weight}); the VAE's attention is
 * {@code to_q}, {@code to_k}, {@code to_v}, {@code to_out.0} with weights [C, C]. The UNet's {@code proj_in} and {@code proj_out}
 * stay as stored, [C, C, 1, 1] or [C, C]. Configurations have the keys of diffusers and transformers; for a single file they are
 * inferred from names and shapes. Tensors that have no place in a part keep the name they have in the file.
 */
public final class ModelFiles implements AutoCloseable {

    /** One part of the model: its tensors and its configuration. */
    record Part(WeightSource weights, JsonValue config) {
    }

    private final String description;
    private final Part unet;
    private final Part vae;
    private final Part textEncoder;
    private final JsonValue schedulerConfig;
    private final Optional<Path> tokenizerFolder;
    private final Set<String> otherTensors;
    private final List<String> notices;
    private final List<WeightSource> files;

    /**
     * Opens a model.
     *
     * @param path a diffusers folder, or a single-file checkpoint
     * @throws WeightException if a file is missing, not valid, or not of such a model; the message says what it
     *     looks like
     */
    public static ModelFiles open(Path path) {
        if (!Files.exists(Objects.requireNonNull(path, "path"))) {
            throw WeightException.missing(path);
        }
        return Files.isDirectory(path) ? DiffusersFolder.open(path, Map.of()) : SingleFile.open(path, Untold.PUBLISHED);
    }

    /**
     * Opens a diffusers folder some of whose parts are taken from elsewhere.
     *
     * @param folder of the model
     * @param parts  folders by the name they would have in it: {@code unet}, {@code vae}, {@code text_encoder}, {@code tokenizer},
     *     {@code scheduler}
     * @throws WeightException as {@link #open(Path)} does
     */
    public static ModelFiles open(Path folder, Map<String, Path> parts) {
        if (!Files.isDirectory(Objects.requireNonNull(folder, "folder"))) {
            throw new WeightException(folder + " is not a diffusers model folder: it is " + (Files.exists(folder) ? "a file" : "not there"));
        }
        return DiffusersFolder.open(folder, Map.copyOf(parts));
    }

    /**
     * Opens a single file of Stable Diffusion 2.x that was made with other numbers than the published ones.
     *
     * @throws WeightException as {@link #open(Path)} does
     */
    public static ModelFiles open(Path file, Untold untold) {
        return SingleFile.open(Objects.requireNonNull(file, "file"), Objects.requireNonNull(untold, "untold"));
    }

    /**
     * @param otherTensors see {@link #otherTensors}
     * @param notices see {@link #notices}
     * @param files what to close with this
     */
    ModelFiles(String description, Part unet, Part vae, Part textEncoder, JsonValue schedulerConfig, Optional<Path> tokenizerFolder,
            Set<String> otherTensors, List<String> notices, List<WeightSource> files) {
        this.description = description;
        this.unet = unet;
        this.vae = vae;
        this.textEncoder = textEncoder;
        this.schedulerConfig = schedulerConfig;
        this.tokenizerFolder = tokenizerFolder;
        this.otherTensors = Collections.unmodifiableSet(otherTensors);
        this.notices = List.copyOf(notices);
        this.files = List.copyOf(files);
        refuseOtherTasks();
    }

    /** The UNet's tensors; closed with this. */
    public WeightSource unet() {
        return unet.weights;
    }

    /** The VAE's tensors, encoder and decoder; closed with this. */
    public WeightSource vae() {
        return vae.weights;
    }

    /** The CLIP text encoder's tensors; closed with this. */
    public WeightSource textEncoder() {
        return textEncoder.weights;
    }

    /** The UNet's configuration: the keys of diffusers' UNet2DConditionModel. */
    public JsonValue unetConfig() {
        return unet.config;
    }

    /** The VAE's configuration: the keys of diffusers' AutoencoderKL. */
    public JsonValue vaeConfig() {
        return vae.config;
    }

    /** The text encoder's configuration: the keys of transformers' CLIPTextConfig. */
    public JsonValue textEncoderConfig() {
        return textEncoder.config;
    }

    /** The noise schedule: the keys of diffusers' schedulers. */
    public JsonValue schedulerConfig() {
        return schedulerConfig;
    }

    /** The folder with vocab.json and merges.txt, if the model brings its own; a single file never does. */
    public Optional<Path> tokenizerFolder() {
        return tokenizerFolder;
    }

    /**
     * Names of tensors in a single file that belong to none of the three parts and are not among those that training leaves
     * behind in most checkpoints (averaged weights, the tables of the noise schedule); unmodifiable, empty for a folder.
     */
    public Set<String> otherTensors() {
        return otherTensors;
    }

    /** Sentences about what the files do not say and was taken all the same; unmodifiable. */
    public List<String> notices() {
        return notices;
    }

    /** The files of all weights; unmodifiable. */
    public Set<Path> paths() {
        return files.stream().flatMap(file -> file.paths().stream()).collect(Collectors.toUnmodifiableSet());
    }

    /** The model's path. */
    public String description() {
        return description;
    }

    /** Releases the files. No tensor of the model can be read any more. */
    @Override
    public void close() {
        files.forEach(WeightSource::close);
    }

    @Override
    public String toString() {
        return description;
    }

    /** A UNet with other inputs than a latent, or those of inpainting, is trained for another task and would only make noise. */
    private void refuseOtherTasks() {
        int input = unet.config.find("in_channels").map(JsonValue::asInt).orElse(4);
        int latent = vae.config.find("latent_channels").map(JsonValue::asInt).orElse(4);
        // Beside the latent a mask and the latent of the masked picture.
        if (input != latent && input != 2 * latent + 1) {
            String kind = switch (input) {
                case 5 -> "looks like a depth-to-image model";
                case 8 -> "looks like an InstructPix2Pix model";
                default -> "is no model that makes pictures of texts";
            };
            throw new WeightException(description + " " + kind + ": its UNet takes " + input + " channels where the " + latent
                    + " of a latent, or the " + (2 * latent + 1) + " of an inpainting model, are expected");
        }
    }
}
