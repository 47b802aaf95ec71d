package io.invadapter.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Stream;

/** Opens a model folder as diffusers saves it. */
final class DiffusersFolder {

    private final Path folder;
    private final List<WeightSource> opened = new ArrayList<>();

    private DiffusersFolder(Path folder) {
        this.folder = folder;
    }

    static ModelFiles open(Path folder) {
        DiffusersFolder model = new DiffusersFolder(folder);
        try {
            return model.open();
        } catch (RuntimeException | Error e) {
            model.opened.forEach(WeightSource::close);
            throw e;
        }
    }

    private ModelFiles open() {
        if (Files.isDirectory(folder.resolve("text_encoder_2"))) {
            throw new WeightException(folder + " looks like Stable Diffusion XL or newer (it has text_encoder_2), not Stable Diffusion 1.x");
        }
        if (Files.isDirectory(folder.resolve("transformer"))) {
            throw new WeightException(folder + " looks like a model with a transformer instead of a UNet, not Stable Diffusion 1.x");
        }
        if (!Files.isDirectory(folder.resolve("unet"))) {
            throw new WeightException(folder + " is not a diffusers model folder: model_index.json, unet, vae, text_encoder and scheduler"
                    + " are expected in it, but " + contents(folder));
        }
        ModelFiles.Part unet = part("unet", "diffusion_pytorch_model", CanonicalNames::diffusersUNet);
        requireClass(unet.config().find("_class_name"), "UNet2DConditionModel");
        ModelFiles.Part vae = part("vae", "diffusion_pytorch_model", CanonicalNames::diffusersVae);
        requireClass(vae.config().find("_class_name"), "AutoencoderKL");
        ModelFiles.Part textEncoder = part("text_encoder", "model", (source, names) -> CanonicalNames.textEncoder(source, names, ""));
        requireClass(textEncoder.config().find("architectures").flatMap(list -> list.asList().stream().findFirst()), "CLIPTextModel");
        JsonValue scheduler = config(folder.resolve("scheduler").resolve("scheduler_config.json"));
        Path tokenizer = folder.resolve("tokenizer");
        return new ModelFiles(folder.toString(), unet, vae, textEncoder, scheduler,
                Files.isDirectory(tokenizer) ? Optional.of(tokenizer) : Optional.empty(), opened);
    }

    private ModelFiles.Part part(String name, String stem, BiFunction<String, Set<String>, Map<String, String>> canonicalNames) {
        Path part = folder.resolve(name);
        JsonValue config = config(part.resolve("config.json"));
        WeightSource file = Safetensors.open(weights(part, stem));
        opened.add(file);
        String source = file.description();
        return new ModelFiles.Part(new RenamedSource(file, source, canonicalNames.apply(source, file.names())), config);
    }

    /** Another kind of network may have the same names and shapes, and would only make noise. */
    private static void requireClass(Optional<JsonValue> found, String expected) {
        found.filter(name -> !name.asString().equals(expected)).ifPresent(name -> {
            throw new WeightException(name.where() + " is " + name + " where \"" + expected + "\" is expected");
        });
    }

    /** The file with a part's weights: full precision before half, one file before shards. */
    private static Path weights(Path part, String stem) {
        for (String end : List.of(".safetensors", ".safetensors.index.json", ".fp16.safetensors", ".safetensors.index.fp16.json",
                ".safetensors.fp16.index.json", ".fp16.safetensors.index.json")) {
            Path file = part.resolve(stem + end);
            if (Files.exists(file)) {
                return file;
            }
        }
        List<String> pickles = list(part).stream().filter(name -> name.matches(".*\\.(bin|ckpt|pt|pth)")).toList();
        if (!pickles.isEmpty()) {
            throw new WeightException(part + " holds only pickle weights (" + pickles.getFirst() + "), which can run any code when they are"
                    + " loaded and are therefore refused: convert them to safetensors, or take the model's " + stem + ".safetensors");
        }
        throw new WeightException(part + " has no weights: " + stem + ".safetensors (or .fp16.safetensors, or .safetensors.index.json)"
                + " is expected, but " + contents(part));
    }

    private static JsonValue config(Path file) {
        JsonValue config = Json.read(file);
        if (!config.isObject()) {
            throw new WeightException(file + " is not a configuration: a JSON object is expected");
        }
        return config;
    }

    private static String contents(Path folder) {
        List<String> names = list(folder);
        if (names.isEmpty()) {
            return "it is empty";
        }
        int shown = Math.min(names.size(), 8);
        return "it holds " + String.join(", ", names.subList(0, shown)) + (shown < names.size() ? ", …" : "");
    }

    private static List<String> list(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        } catch (IOException e) {
            throw new WeightException(folder + " cannot be read: " + e.getMessage(), e);
        }
    }
}
