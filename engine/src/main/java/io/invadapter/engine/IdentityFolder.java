package io.invadapter.engine;

import io.invadapter.weights.DType;
import io.invadapter.weights.Safetensors;
import io.invadapter.weights.SafetensorsWriter;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Identities on disk: a folder each, named by its key, with a safetensors file for every step. Several processes may share
 * it: files appear whole, and one that is missing or damaged only costs the time to compute it again.
 */
final class IdentityFolder {
    private static final String TENSOR = "key_value";

    private final Path root;
    private final long budget;

    /**
     * @param budget in bytes
     * @throws UncheckedIOException when the folder cannot be made
     */
    IdentityFolder(Path root, long budget) {
        this.root = root;
        this.budget = budget;
        try {
            Files.createDirectories(root);
        } catch (IOException e) {
            throw new UncheckedIOException("the identity cache " + root + " cannot be made: " + e.getMessage(), e);
        }
    }

    private Path file(String key, int step) {
        return root.resolve(key).resolve(step + ".safetensors");
    }

    /** Whether every step is there with as many bytes as it should have. */
    boolean contains(String key, int steps, long stepBytes) {
        for (int step = 0; step < steps; step++) {
            Path file = file(key, step);
            try {
                if (!Files.isRegularFile(file) || Files.size(file) < stepBytes) {
                    return false;
                }
            } catch (IOException e) {
                return false;
            }
        }
        return true;
    }

    /** @return whether the step was read */
    boolean read(String key, int step, MemorySegment bytes) {
        try (WeightSource source = Safetensors.open(file(key, step))) {
            WeightTensor tensor = source.tensor(TENSOR, bytes.byteSize());
            bytes.copyFrom(tensor.data());
            Files.setLastModifiedTime(root.resolve(key), FileTime.from(Instant.now()));
            return true;
        } catch (WeightException | IOException | UncheckedIOException e) {
            return false;
        }
    }

    /** @return whether there was room; all that is there counts, whoever wrote it */
    boolean write(String key, int step, int steps, MemorySegment bytes) {
        try {
            if (!makeRoom(key, bytes.byteSize())) {
                return false;
            }
            Files.createDirectories(root.resolve(key));
            new SafetensorsWriter().metadata("format", "inv-adapter-identity").metadata("steps", String.valueOf(steps))
                    .add(TENSOR, DType.U8, new long[] {bytes.byteSize()}, bytes).write(file(key, step));
            return true;
        } catch (IOException | UncheckedIOException | WeightException e) {
            return false;
        }
    }

    private boolean makeRoom(String key, long bytes) throws IOException {
        List<Path> identities;
        try (Stream<Path> listed = Files.list(root)) {
            identities = listed.filter(Files::isDirectory).sorted(Comparator.comparing(IdentityFolder::lastUse)).toList();
        }
        long used = 0;
        for (Path identity : identities) {
            used += size(identity);
        }
        for (Path identity : identities) {
            if (used + bytes > budget && !identity.getFileName().toString().equals(key)) {
                used -= size(identity);
                remove(identity.getFileName().toString());
            }
        }
        return used + bytes <= budget;
    }

    private static FileTime lastUse(Path path) {
        try {
            return Files.getLastModifiedTime(path);
        } catch (IOException e) {
            return FileTime.fromMillis(0);
        }
    }

    private static long size(Path identity) throws IOException {
        try (Stream<Path> files = Files.list(identity)) {
            return files.mapToLong(file -> file.toFile().length()).sum();
        }
    }

    void remove(String key) {
        Path identity = root.resolve(key);
        if (!Files.isDirectory(identity)) {
            return;
        }
        try (Stream<Path> files = Files.list(identity)) {
            files.forEach(file -> file.toFile().delete());
            Files.delete(identity);
        } catch (IOException e) {
            // Someone else is at it; what is left is incomplete and will be written again.
        }
    }
}
