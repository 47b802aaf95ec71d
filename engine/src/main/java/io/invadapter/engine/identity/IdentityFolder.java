package io.invadapter.engine.identity;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Identities on disk: a folder each, named by its key, with a safetensors file for every step. Several processes may share
 * it: files appear whole, and one that is missing or damaged only costs the time to compute it again.
 */
public final class IdentityFolder {
    private static final String TENSOR = "key_value";
    private static final String CHECKSUM = "checksum";
    /** More than the head of a file takes. */
    private static final long HEADER_BYTES = 1024;
    /** What else lies in the folder is none of our business, least of all to be removed. */
    private static final Pattern KEY = Pattern.compile("[0-9a-f]{64}");
    /** Pipelines of one process would take the room that one of them has made for the other's. */
    private static final Object ONE_WRITER = new Object();

    private final Path root;
    private final long budget;
    private final Consumer<String> notices;
    private final Set<String> inUse = new HashSet<>();
    /** Whether it was told that nothing can be written; it need not be again until an identity was. */
    private boolean failing;

    /**
     * @param budget  in bytes
     * @param notices told when nothing can be kept here, with the reason; pictures are made all the same
     */
    public IdentityFolder(Path root, long budget, Consumer<String> notices) {
        this.root = root;
        this.budget = budget;
        this.notices = notices;
        try {
            Files.createDirectories(root);
        } catch (IOException e) {
            tell(e);
        }
    }

    private void tell(Exception e) {
        if (!failing) {
            failing = true;
            notices.accept("the identity cache " + root + " cannot be written, so faces are computed anew for each picture: " + reason(e));
        }
    }

    private static String reason(Exception e) {
        return switch (e.getCause() instanceof IOException cause ? cause : e) {
            case FileAlreadyExistsException exists -> exists.getFile() + " is no folder";
            case AccessDeniedException denied -> denied.getFile() + ": access denied";
            case FileSystemException failed when failed.getReason() != null -> failed.getReason();
            case Exception other -> String.valueOf(other.getMessage());
        };
    }

    /** Steps of that size for which there is room, when nothing else is kept. */
    long capacity(long stepBytes) {
        return budget / (stepBytes + HEADER_BYTES);
    }

    private Path file(String key, int step) {
        return root.resolve(key).resolve(step + ".safetensors");
    }

    /** Whether a step is there, of the right size. */
    boolean contains(String key, int step, long stepBytes) {
        long size = file(key, step).toFile().length();
        return size > stepBytes && size <= stepBytes + HEADER_BYTES;
    }

    /** @return whether the step was read and is what was written; an identity with a damaged step is removed */
    public boolean read(String key, int step, MemorySegment bytes) {
        boolean whole;
        try (WeightSource source = Safetensors.open(file(key, step))) {
            bytes.copyFrom(source.tensor(TENSOR, bytes.byteSize()).data());
            whole = checksum(key, step, bytes).equals(source.metadata().get(CHECKSUM));
        } catch (WeightException e) {
            // A file that cannot be read now, for want of file handles or because of an interrupt, is not damaged.
            if (!(e.getCause() instanceof IOException)) {
                remove(key);
            }
            return false;
        }
        if (!whole) {
            // Now that it is closed: Windows removes no file that is open.
            remove(key);
            return false;
        }
        try {
            Files.setLastModifiedTime(root.resolve(key), FileTime.from(Instant.now()));
        } catch (IOException e) {
            // A folder that can only be read keeps no record of what was used.
        }
        return true;
    }

    /** From now on no room is made at the cost of this identity, until {@link #noneInUse}. */
    void inUse(String key) {
        inUse.add(key);
    }

    void noneInUse() {
        inUse.clear();
    }

    /** @return whether there was room, all that is there counting, whoever wrote it */
    boolean write(String key, int step, MemorySegment bytes) {
        synchronized (ONE_WRITER) {
            try {
                if (contains(key, step, bytes.byteSize())) {
                    return true;
                }
                if (!makeRoom(key, bytes.byteSize() + HEADER_BYTES)) {
                    return false;
                }
                Files.createDirectories(root.resolve(key));
                new SafetensorsWriter().metadata("format", "inv-adapter-identity")
                        .metadata(CHECKSUM, checksum(key, step, bytes))
                        .add(TENSOR, DType.U8, new long[] {bytes.byteSize()}, bytes).write(file(key, step));
                return true;
            } catch (IOException | UncheckedIOException | WeightException e) {
                tell(e);
                return false;
            }
        }
    }

    /** An identity is here, as far as it was to be, and not only some steps of it: a disk has room again. */
    void kept() {
        failing = false;
    }

    /** Of the values and of where they belong: another step's file is as good as damaged. */
    private static String checksum(String key, int step, MemorySegment bytes) {
        return new Fingerprint().add(key).add(step).add(Long.toHexString(Fingerprint.checksum(bytes))).value();
    }

    /** Removes what was used longest ago. */
    private boolean makeRoom(String key, long bytes) throws IOException {
        List<Path> identities;
        Files.createDirectories(root);
        try (Stream<Path> listed = Files.list(root)) {
            identities = listed.filter(path -> KEY.matcher(path.getFileName().toString()).matches())
                    .sorted(Comparator.comparing(path -> path.toFile().lastModified())).toList();
        }
        long used = identities.stream().mapToLong(IdentityFolder::size).sum();
        for (Path identity : identities) {
            String name = identity.getFileName().toString();
            if (used + bytes > budget && !name.equals(key) && !inUse.contains(name)) {
                long before = size(identity);
                remove(name);
                used -= before - size(identity);
            }
        }
        return used + bytes <= budget;
    }

    /** 0 when somebody has removed it meanwhile. */
    private static long size(Path identity) {
        File[] files = identity.toFile().listFiles();
        return files == null ? 0 : Stream.of(files).mapToLong(File::length).sum();
    }

    void remove(String key) {
        Path identity = root.resolve(key);
        File[] files = identity.toFile().listFiles();
        if (files != null) {
            // What cannot be removed is in use or somebody else's; what is left is incomplete and will be written again.
            Stream.of(files).forEach(File::delete);
            identity.toFile().delete();
        }
    }
}
