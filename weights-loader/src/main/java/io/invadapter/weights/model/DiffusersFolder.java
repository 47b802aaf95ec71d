package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.naming.ClipNames;
import io.invadapter.weights.model.naming.DiffusersNames;
import io.invadapter.weights.safetensors.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Opens a model folder as diffusers saves it. Where a part's weights are there in several variants the plain file is taken, which
 * has full precision, else the first of {@code fp16}, {@code bf16} and {@code non_ema}.
 */
final class DiffusersFolder {

    private static final List<String> VARIANTS = List.of("fp16", "bf16", "non_ema");

    private final Path folder;
    private final Map<String, Path> elsewhere;
    private final List<WeightSource> opened = new ArrayList<>();

    private DiffusersFolder(Path folder, Map<String, Path> elsewhere) {
        this.folder = folder;
        this.elsewhere = elsewhere;
    }

    /** @param elsewhere folders of parts that are not in this one */
    static ModelFiles open(Path folder, Map<String, Path> elsewhere) {
        DiffusersFolder model = new DiffusersFolder(folder, elsewhere);
        try {
            return model.open();
        } catch (RuntimeException | Error e) {
            model.opened.forEach(WeightSource::close);
            throw e;
        }
    }

    private ModelFiles open() {
        if (Files.isDirectory(folder.resolve("text_encoder_2"))) {
            throw new WeightException(folder + " looks like Stable Diffusion XL or newer (it has text_encoder_2), not Stable Diffusion 1.x or 2.x");
        }
        if (Files.isDirectory(folder.resolve("transformer"))) {
            throw new WeightException(folder + " looks like a model with a transformer instead of a UNet, not Stable Diffusion 1.x or 2.x");
        }
        if (!Files.isDirectory(path("unet"))) {
            throw new WeightException(folder + " is " + kind(folder) + " where the folder of a whole model is expected, with model_index.json, unet, vae,"
                    + " text_encoder and scheduler in it; " + contents(folder));
        }
        ModelFiles.Part unet = part("unet", "diffusion_pytorch_model", DiffusersNames::unet);
        requireClass(unet.config().find("_class_name"), List.of("UNet2DConditionModel"));
        ModelFiles.Part vae = part("vae", "diffusion_pytorch_model", DiffusersNames::vae);
        requireClass(vae.config().find("_class_name"), List.of("AutoencoderKL"));
        ModelFiles.Part textEncoder = part("text_encoder", "model", (source, names) -> ClipNames.textEncoder(source, names, ""));
        // The projection is for comparing texts with pictures; the texts' states are the same.
        requireClass(textEncoder.config().find("architectures").flatMap(list -> list.asList().stream().findFirst()),
                List.of("CLIPTextModel", "CLIPTextModelWithProjection"));
        JsonValue scheduler = config(path("scheduler").resolve("scheduler_config.json"));
        Path tokenizer = path("tokenizer");
        return new ModelFiles(folder.toString(), unet, vae, textEncoder, scheduler,
                Files.isDirectory(tokenizer) ? Optional.of(tokenizer) : Optional.empty(), Set.of(), List.of(), opened);
    }

    private Path path(String part) {
        return elsewhere.getOrDefault(part, folder.resolve(part));
    }

    private ModelFiles.Part part(String name, String stem, BiFunction<String, Set<String>, Map<String, String>> canonicalNames) {
        Path part = path(name);
        JsonValue config = config(part.resolve("config.json"));
        WeightSource file = Safetensors.open(weights(part, stem));
        opened.add(file);
        String source = file.description();
        return new ModelFiles.Part(new RenamedSource(file, source, canonicalNames.apply(source, file.names())), config);
    }

    /** Another kind of network may have the same names and shapes, and would only make noise. */
    private static void requireClass(Optional<JsonValue> found, List<String> expected) {
        found.filter(name -> !expected.contains(name.asString())).ifPresent(name -> {
            throw new WeightException(name.where() + " is " + name + " where "
                    + expected.stream().map(Json::quote).collect(Collectors.joining(" or ")) + " is expected");
        });
    }

    /** The file with a part's weights, the first that is there; a link whose file is missing only when there is nothing else. */
    private static Path weights(Path part, String stem) {
        List<Path> files = endings().map(end -> part.resolve(stem + end)).toList();
        Optional<Path> found = files.stream().filter(Files::exists).findFirst()
                .or(() -> files.stream().filter(Files::isSymbolicLink).findFirst());
        if (found.isPresent()) {
            return found.get();
        }
        List<String> pickles = list(part).stream().filter(name -> name.matches(".*\\.(bin|ckpt|pt|pth)")).toList();
        if (!pickles.isEmpty()) {
            throw new WeightException(part + " holds only pickle weights (" + pickles.getFirst() + "), which can run any code when they are"
                    + " loaded and are therefore refused: convert them to safetensors, or take the model's " + stem + ".safetensors");
        }
        throw new WeightException(part + " has no weights: " + stem + ".safetensors (or "
                + VARIANTS.stream().map(variant -> "." + variant).collect(Collectors.joining(", "))
                + " before .safetensors, or .safetensors.index.json) is expected, but " + contents(part));
    }

    /** Of each variant one file before shards, whose index has been named in three ways. */
    private static Stream<String> endings() {
        return Stream.concat(Stream.of(".safetensors", ".safetensors.index.json"), VARIANTS.stream().flatMap(variant -> Stream.of(
                "." + variant + ".safetensors", ".safetensors.index." + variant + ".json", ".safetensors." + variant + ".index.json",
                "." + variant + ".safetensors.index.json")));
    }

    private static JsonValue config(Path file) {
        JsonValue config = Json.read(file);
        if (!config.isObject()) {
            throw new WeightException(file + " is not a configuration: a JSON object is expected");
        }
        return config;
    }

    /** What a folder is that has no UNet in it, by the configurations of diffusers, transformers and PEFT. */
    private static String kind(Path folder) {
        if (Files.exists(folder.resolve("adapter_config.json"))) {
            return "the folder of a LoRA";
        }
        Path index = folder.resolve("model_index.json");
        Path config = Files.exists(index) ? index : folder.resolve("config.json");
        Optional<String> name = Files.exists(config) ? className(Json.read(config)) : Optional.empty();
        return name.map(found -> "the folder of a " + found).orElse("a folder");
    }

    private static Optional<String> className(JsonValue config) {
        return config.isObject() ? config.find("_class_name").or(() -> config.find("architectures").filter(JsonValue::isList)
                .flatMap(list -> list.asList().stream().findFirst())).filter(JsonValue::isString).map(JsonValue::asString) : Optional.empty();
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
