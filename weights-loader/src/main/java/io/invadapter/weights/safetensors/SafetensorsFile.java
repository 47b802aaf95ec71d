package io.invadapter.weights.safetensors;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * One safetensors file, memory-mapped: opening reads only the header, a tensor is read when its bytes are used, and the
 * size is limited by nothing but the disk. Everything the header says is checked when the file is opened, so a damaged or
 * hostile file cannot do more than throw a {@link WeightException}. A file must not be cut short by another program while it
 * is open: the JVM then throws an {@link InternalError} on reading.
 */
public final class SafetensorsFile implements WeightSource {

    private final Path path;
    private final SafetensorsHeader header;
    private final Arena arena;
    /** The part of the file after the header. */
    private final MemorySegment data;

    /**
     * Opens and checks a file.
     *
     * @throws WeightException if it is missing, cannot be read, or is not a valid safetensors file
     */
    public static SafetensorsFile open(Path path) {
        if (Files.isDirectory(Objects.requireNonNull(path, "path"))) {
            throw new WeightException(path + " is a folder where a .safetensors file is expected");
        }
        if (!Files.exists(path)) {
            throw WeightException.missing(path);
        }
        if (!Files.isRegularFile(path)) {
            throw new WeightException(path + " is not a regular file, so it cannot be mapped into memory");
        }
        Arena arena = Arena.ofShared();
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            MemorySegment file = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            return new SafetensorsFile(path, file, arena);
        } catch (AccessDeniedException e) {
            arena.close();
            throw new WeightException(path + " cannot be read: permission denied", e);
        } catch (IOException e) {
            arena.close();
            // So Java says that the system gave no addresses.
            if (e.getCause() instanceof OutOfMemoryError) {
                throw new WeightException(path + " cannot be mapped into memory: there is no room for it among the addresses that this "
                        + "process may use; if ulimit -v limits them, raise it, or give Java less (-Xmx)", e);
            }
            throw new WeightException(path + " cannot be read: " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    private SafetensorsFile(Path path, MemorySegment file, Arena arena) {
        this.path = path;
        this.header = SafetensorsHeader.read(path.toString(), file);
        this.arena = arena;
        this.data = file.asSlice(header.dataStart());
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(header.entries().keySet());
    }

    @Override
    public WeightTensor tensor(String name) {
        SafetensorsHeader.Entry entry = header.entries().get(name);
        if (entry == null) {
            throw new WeightException(path + " has no tensor '" + name + "'");
        }
        DType dtype = DType.named(entry.dtype()).orElseThrow(() -> new WeightException(path + ": tensor '" + name + "' has the element type "
                + Json.quote(entry.dtype()) + ", which is not supported; supported are " + Arrays.toString(DType.values())));
        return WeightTensor.of(name, dtype, data.asSlice(entry.begin(), entry.end() - entry.begin()), entry.shape());
    }

    @Override
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(header.metadata());
    }

    @Override
    public Set<Path> paths() {
        return Set.of(path);
    }

    @Override
    public String description() {
        return path.toString();
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }

    @Override
    public String toString() {
        return path + " (" + header.entries().size() + " tensors)";
    }
}
