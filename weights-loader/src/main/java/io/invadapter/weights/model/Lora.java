package io.invadapter.weights.model;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.naming.LayerSpellings;
import io.invadapter.weights.model.naming.LoraKey;
import io.invadapter.weights.safetensors.Safetensors;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A small change to a model's weights: LoRA, LoCon, LoHa, LoKr and DoRA, in the names of kohya's trainer, LyCORIS, diffusers (of all
 * times), PEFT and ComfyUI. A layer's weight becomes {@code W + scale * alpha / rank * D}, where D is the product of the layer's factors.
 *
 * <pre>{@code
 * try (Lora lora = Lora.open(Path.of("style.safetensors"), System.err::println)) {
 *     WeightSource unet = lora.over("unet", files.unet(), 0.8);
 * }
 * }</pre>
 *
 * <p>Several add up: each is laid over what the one before gave. The file must stay open as long as weights are read.
 */
public final class Lora implements AutoCloseable {

    private static final List<String> IN_A_FOLDER = List.of("adapter_model.safetensors", "pytorch_lora_weights.safetensors");
    private static final String PEFT_CONFIG = "adapter_config.json";
    private static final String METADATA = "lora_adapter_metadata";
    /** Textual inversions that kohya's tools and webui put into the file of the LoRA that they were trained with. */
    private static final Pattern EMBEDDING = Pattern.compile("bundle_emb\\.([^.]+)\\..*");
    /** Kinds of LyCORIS whose factors are not computed. */
    private static final Map<String, String> OTHER_KINDS = Map.of(".oft_blocks", "OFT", ".oft_diag", "OFT", ".a1.weight", "GLoRA",
            ".on_input", "IA3", ".lora_B.bias", "LoRA with a bias of its own", ".set_weight", "weights to be set");
    private final WeightSource file;
    private final Set<Path> paths;
    private final Map<String, Map<String, LoraLayer>> parts = new LinkedHashMap<>();

    /**
     * Opens a LoRA.
     *
     * @param path    a safetensors file, or the folder that PEFT or diffusers saved one into
     * @param notices told of what is in the file and is not used
     * @throws WeightException if it cannot be read, or is no LoRA for Stable Diffusion; the message says what it is
     */
    public static Lora open(Path path, Consumer<String> notices) {
        Objects.requireNonNull(notices, "notices");
        Path found = Files.isDirectory(Objects.requireNonNull(path, "path")) ? inFolder(path) : path;
        WeightSource file = Safetensors.open(found);
        try {
            return new Lora(file, found, notices);
        } catch (RuntimeException | Error e) {
            file.close();
            throw e;
        }
    }

    private static Path inFolder(Path folder) {
        List<Path> files;
        try (Stream<Path> all = Files.list(folder)) {
            files = all.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
        } catch (IOException e) {
            throw new WeightException(folder + " cannot be read: " + e.getMessage(), e);
        }
        return IN_A_FOLDER.stream().map(folder::resolve).filter(files::contains).findFirst().or(() ->
                files.size() == 1 ? Optional.of(files.getFirst()) : Optional.empty()).orElseThrow(() -> new WeightException(folder
                + " is not the folder of a LoRA: " + String.join(" or ", IN_A_FOLDER) + " is expected in it"));
    }

    private Lora(WeightSource file, Path path, Consumer<String> notices) {
        this.file = file;
        this.paths = new LinkedHashSet<>(file.paths());
        if (!FileKind.isLora(file)) {
            throw new WeightException(description() + " is " + FileKind.of(file) + ", not a LoRA");
        }
        ModelFamily.byLayers(file.names()).ifPresent(family -> {
            throw new WeightException(description() + " is a LoRA for " + family + ", not for Stable Diffusion 1.x or 2.x");
        });
        Map<String, Map<String, Map<String, WeightTensor>>> found = new LinkedHashMap<>();
        List<String> others = new ArrayList<>();
        for (String name : file.names()) {
            Optional<LoraKey> key = LoraKey.of(name);
            if (key.isEmpty()) {
                others.add(name);
            } else {
                WeightTensor before = found.computeIfAbsent(key.get().part(), none -> new LinkedHashMap<>())
                        .computeIfAbsent(key.get().layer(), none -> new LinkedHashMap<>()).put(key.get().factor(), factor(name, key.get().factor()));
                if (before != null) {
                    throw new WeightException(description() + ": the tensors '" + before.name() + "' and '" + name + "' are the same factor");
                }
            }
        }
        refuseOthers(others, notices);
        found.forEach((part, layers) -> {
            LoraAlphas alphas = alphas(path, part);
            Map<String, LoraLayer> ofPart = new LinkedHashMap<>();
            layers.forEach((layer, factors) -> ofPart.put(layer, new LoraLayer(description(), layer, factors, alphas)));
            parts.put(part, ofPart);
        });
    }

    /** Trainers that are told a whole number as alpha store one. */
    private WeightTensor factor(String name, String factor) {
        WeightTensor tensor = file.tensor(name);
        if (!tensor.dtype().isFloat() && !factor.equals("alpha")) {
            throw new WeightException(description() + ": tensor '" + name + "' is " + tensor.dtype()
                    + " where floating-point numbers are expected (F16, BF16, F32 or F64)");
        }
        return tensor;
    }

    private void refuseOthers(List<String> others, Consumer<String> notices) {
        Set<String> embeddings = others.stream().map(EMBEDDING::matcher).filter(matcher -> matcher.matches()).map(matcher -> matcher.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
        if (!embeddings.isEmpty()) {
            notices.accept(description() + ": the embeddings in it (" + String.join(", ", embeddings) + ") are left out; give them as files of their own");
        }
        OTHER_KINDS.forEach((mark, kind) -> others.stream().filter(name -> name.endsWith(mark)).findFirst().ifPresent(name -> {
            throw new WeightException(description() + " holds factors of the kind " + kind + " ('" + name
                    + "'), which are not computed; expected LoRA, LoCon, LoHa, LoKr or DoRA");
        }));
        others.stream().filter(name -> !EMBEDDING.matcher(name).matches()).findFirst().ifPresent(name -> {
            throw new WeightException(description() + ": the tensor '" + name + "' is no factor of a LoRA");
        });
    }

    private LoraAlphas alphas(Path path, String part) {
        if (file.metadata().containsKey(METADATA)) {
            return new LoraAlphas(Json.parse(file.metadata().get(METADATA).getBytes(StandardCharsets.UTF_8),
                    description() + ": its metadata '" + METADATA + "'"), part + ".");
        }
        Path config = path.resolveSibling(PEFT_CONFIG);
        boolean peft = file.names().stream().anyMatch(name -> name.startsWith("base_model.model."));
        if (!peft) {
            return LoraAlphas.NONE;
        }
        JsonValue json = Json.read(config);
        paths.add(config);
        json.find("peft_type").filter(type -> !type.asString().equals("LORA")).ifPresent(type -> {
            throw new WeightException(type.where() + " is " + type + " where \"LORA\" is expected");
        });
        return new LoraAlphas(json, "");
    }

    /** The parts of a model that it changes: {@code unet}, {@code text_encoder}. */
    public Set<String> parts() {
        return Set.copyOf(parts.keySet());
    }

    /** The tensors as they are in the file. */
    public WeightSource tensors() {
        return file;
    }

    /** What it was read from: its file, and PEFT's configuration where that says more; unmodifiable. */
    public Set<Path> paths() {
        return Collections.unmodifiableSet(paths);
    }

    /** The file's path. */
    public String description() {
        return file.description();
    }

    // --- over a model -----------------------------------------------------------------------------------------------

    /**
     * Weights with this change; computed, float32, when they are asked for. Names and metadata stay.
     *
     * @param part    {@code unet} or {@code text_encoder}
     * @param weights of this part, under canonical names as {@link ModelFiles} gives them; other LoRAs may be laid over them already
     * @param scale   how much of the change; 1: as it was trained
     * @throws WeightException if a layer of it is not in the model or has another shape there, or a factor is not finite; a tensor that is
     *     asked for later throws it when the change makes it larger than float16 holds
     */
    public WeightSource over(String part, WeightSource weights, double scale) {
        Map<String, LoraLayer> layers = parts.getOrDefault(Objects.requireNonNull(part, "part"), Map.of());
        if (layers.isEmpty()) {
            return weights;
        }
        List<String> canonical = weights.names().stream().filter(name -> name.endsWith(".weight"))
                .map(name -> name.substring(0, name.length() - ".weight".length())).toList();
        LayerSpellings spellings = new LayerSpellings(part, canonical);
        refuseOtherModels(layers, canonical, weights);
        refuseUnknown(layers.keySet().stream().filter(layer -> spellings.layer(layer).isEmpty()).toList(), layers.size(), weights);
        Map<String, LoraWeights.Use> changes = new LinkedHashMap<>();
        layers.forEach((spelling, layer) -> {
            String name = spellings.layer(spelling).orElseThrow();
            if (layer.changesWeight()) {
                long[] shape = LoraWeights.unchanged(weights, name + ".weight").shape();
                put(changes, name + ".weight", new LoraWeights.Use(description(), layer.weight(shape), layer.lengths(shape), scale));
            }
            if (layer.changesBias()) {
                if (!weights.contains(name + ".bias")) {
                    throw new WeightException(description() + " changes the bias of '" + spelling + "', which has none in this model");
                }
                long[] shape = LoraWeights.unchanged(weights, name + ".bias").shape();
                put(changes, name + ".bias", new LoraWeights.Use(description(), layer.bias(shape), Optional.empty(), scale));
            }
        });
        if (scale == 0) {
            return weights;
        }
        layers.values().forEach(LoraLayer::requireFinite);
        return LoraWeights.over(weights, changes);
    }

    private void put(Map<String, LoraWeights.Use> changes, String name, LoraWeights.Use use) {
        if (changes.put(name, use) != null) {
            throw new WeightException(description() + " changes '" + name + "' twice, in two spellings");
        }
    }

    /** What a layer reads shows which family of models it was made for. */
    private void refuseOtherModels(Map<String, LoraLayer> layers, List<String> canonical, WeightSource weights) {
        OptionalLong own = canonical.stream().filter(LoraLayer::readsTexts).findFirst()
                .map(layer -> LoraWeights.unchanged(weights, layer + ".weight").shape()).filter(shape -> shape.length > 1)
                .map(shape -> OptionalLong.of(shape[1])).orElse(OptionalLong.empty());
        OptionalLong trained = layers.entrySet().stream().filter(layer -> LoraLayer.readsTexts(layer.getKey()))
                .map(layer -> LoraLayer.channelsRead(layer.getValue().factors())).filter(OptionalLong::isPresent).findFirst().orElse(OptionalLong.empty());
        if (own.isPresent() && trained.isPresent() && !own.equals(trained)) {
            throw new WeightException(description() + " is a LoRA for " + ModelFamily.ofTexts(trained.getAsLong()).orElse("another model") + ", not for "
                    + weights.description() + ": its layers read texts of " + trained.getAsLong() + " channels, the model's " + own.getAsLong());
        }
    }

    private void refuseUnknown(List<String> unknown, int layers, WeightSource weights) {
        if (unknown.isEmpty()) {
            return;
        }
        String said = Stream.of("ss_base_model_version", "modelspec.architecture").map(file.metadata()::get).filter(Objects::nonNull).findFirst()
                .map(base -> " (it says that it is for " + Json.quote(base) + ")").orElse("");
        throw new WeightException(description() + (2 * unknown.size() > layers ? " is a LoRA for "
                + ModelFamily.byDepth(unknown).orElse("another model" + said) + ": " : ": ")
                + unknown.size() + " of its " + layers + " layers are not in " + weights.description() + ", such as '" + unknown.getFirst() + "'");
    }

    /** Releases the file. Weights that it is laid over cannot be read any more. */
    @Override
    public void close() {
        file.close();
    }

    @Override
    public String toString() {
        return description();
    }
}
