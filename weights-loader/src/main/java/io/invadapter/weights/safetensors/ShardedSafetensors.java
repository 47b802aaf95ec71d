package io.invadapter.weights.safetensors;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Several safetensors files that an index file ({@code *.safetensors.index.json}) joins into one model. The shards lie beside
 * the index.
 */
public final class ShardedSafetensors implements WeightSource {

    private final Path index;
    private final Map<String, SafetensorsFile> shards = new LinkedHashMap<>();
    private final Map<String, SafetensorsFile> fileOfTensor = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();

    /**
     * Opens the index and all its shards.
     *
     * @throws WeightException if the index is not valid, names a file outside its folder, or a shard cannot be opened or
     *     lacks a tensor
     */
    public static ShardedSafetensors open(Path index) {
        ShardedSafetensors source = new ShardedSafetensors(Objects.requireNonNull(index, "index"));
        try {
            JsonValue json = Json.read(index);
            if (!json.isObject() || json.find("weight_map").isEmpty()) {
                throw new WeightException(index + " is a JSON file where a safetensors file, or an index of several by its \"weight_map\", is expected");
            }
            json.get("weight_map").asObject().forEach((name, shard) -> source.add(name, shard.asString()));
            return source;
        } catch (RuntimeException | Error e) {
            source.close();
            throw e;
        }
    }

    private ShardedSafetensors(Path index) {
        this.index = index;
    }

    private void add(String name, String fileName) {
        // The name comes from a downloaded file: only a plain name is sure to stay in the folder, on every system.
        if (fileName.isEmpty() || fileName.startsWith(".") || fileName.chars().anyMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ')) {
            throw new WeightException(index + ": tensor '" + name + "' is said to be in " + Json.quote(fileName)
                    + ", which is not the name of a file beside the index");
        }
        SafetensorsFile shard = shards.get(fileName);
        if (shard == null) {
            shard = SafetensorsFile.open(index.resolveSibling(fileName));
            shards.put(fileName, shard);
            shard.metadata().forEach(metadata::putIfAbsent);
        }
        if (!shard.contains(name)) {
            throw new WeightException(index + ": tensor '" + name + "' is said to be in " + fileName + " but is not there");
        }
        fileOfTensor.put(name, shard);
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(fileOfTensor.keySet());
    }

    @Override
    public WeightTensor tensor(String name) {
        SafetensorsFile shard = fileOfTensor.get(name);
        if (shard == null) {
            throw new WeightException(index + " has no tensor '" + name + "'");
        }
        return shard.tensor(name);
    }

    /** The metadata of all shards; where two disagree, that of the shard named first. */
    @Override
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    @Override
    public Set<Path> paths() {
        Set<Path> paths = new LinkedHashSet<>(Set.of(index));
        shards.values().forEach(shard -> paths.addAll(shard.paths()));
        return Collections.unmodifiableSet(paths);
    }

    @Override
    public String description() {
        return index.toString();
    }

    @Override
    public void close() {
        shards.values().forEach(SafetensorsFile::close);
    }
}
