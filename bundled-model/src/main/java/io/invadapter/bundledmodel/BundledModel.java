package io.invadapter.bundledmodel;

import io.invadapter.base.CacheFolder;
import io.invadapter.base.InvAdapterException;
import io.invadapter.base.OpenFiles;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLockInterruptionException;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import javax.imageio.ImageIO;
import javax.imageio.stream.MemoryCacheImageInputStream;

/**
 * avatar-sd, a Stable Diffusion in small that draws cartoon portraits, in the diffusers layout with its adapter and golden
 * data. The archive is unpacked once, to the {@link CacheFolder}.
 */
public final class BundledModel {
    private static final String ARCHIVE = "avatar-sd.zip";
    /** Of the archive, made when it was, for every start to name the folder without reading all of it. */
    private static final String FINGERPRINT = "avatar-sd.sha256";
    /** Lists the unpacked files with their checksums and sizes. */
    private static final String CONTENTS = "contents.txt";
    /** The model looks best with these: the engine takes them for requests that do not say. */
    private static final String DEFAULTS = "{\"steps\": 20, \"guidance_scale\": 3.5}\n";
    private static final String DEFAULTS_FILE = "invadapter.json";
    /** Of every unpacked file, so that one written to since shows it. Whole seconds, as archives of cache folders keep them. */
    private static final FileTime UNCHANGED = FileTime.from(Instant.parse("2026-11-01T00:00:00Z"));
    private static final List<String> FACES = List.of("00040", "00020", "00061", "00071", "00005");

    private BundledModel() {
    }

    /**
     * The unpacked model. A folder that was damaged since is unpacked anew.
     *
     * @throws InvAdapterException   when the cache cannot be written; the message says where it is
     * @throws CancellationException when the thread is interrupted before unpacking has begun; it stays so
     */
    public static Path directory() {
        return directory(CacheFolder.path());
    }

    static synchronized Path directory(Path cache) {
        if (BundledModel.class.getResource(ARCHIVE) == null) {
            throw new InvAdapterException("the small trained model is not part of this installation; name a model with --model");
        }
        try {
            Path target = cache.resolve("avatar-sd-" + fingerprint());
            if (!isWhole(target)) {
                Files.createDirectories(cache);
                // One process at a time; those that waited find it done.
                try (FileChannel lock = FileChannel.open(cache.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
                    lock(lock);
                    if (!isWhole(target)) {
                        unpack(target, cache.resolve("unpacking"));
                    }
                }
            }
            return target;
        } catch (ClosedByInterruptException | FileLockInterruptionException e) {
            // What comes after the lock takes a second or two and is not interrupted.
            throw (CancellationException) new CancellationException("interrupted before the bundled model was unpacked").initCause(e);
        } catch (IOException e) {
            String advice = OpenFiles.areExhausted(e) ? "raise ulimit -n"
                    : "set XDG_CACHE_HOME to the full path of a folder that can be written, with 60 MB to spare";
            throw new InvAdapterException(cache + ": the bundled model cannot be unpacked here (" + reason(e) + "); " + advice, e);
        }
    }

    private static String reason(IOException e) {
        return switch (e) {
            case AccessDeniedException denied -> denied.getFile() + ": access denied";
            case FileAlreadyExistsException exists -> exists.getFile() + " is no folder";
            case NoSuchFileException missing -> missing.getFile() + " cannot be made";
            case FileSystemException failed when failed.getReason() != null -> failed.getReason();
            default -> String.valueOf(e.getMessage());
        };
    }

    /** Waits, too, for this class in another class loader of this process, which is an exception to Java. */
    private static void lock(FileChannel channel) throws IOException {
        while (true) {
            try {
                channel.lock();
                return;
            } catch (OverlappingFileLockException e) {
                try {
                    Thread.sleep(50);
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                    throw new FileLockInterruptionException();
                }
            }
        }
    }

    /** The adapter of the unpacked model. */
    public static Path adapter() {
        return directory().resolve("eaa.safetensors");
    }

    /** Portraits of five people the model was not trained on. */
    public static List<BufferedImage> faces() {
        return FACES.stream().map(BundledModel::face).toList();
    }

    private static BufferedImage face(String name) {
        try (InputStream in = BundledModel.class.getResourceAsStream("face-" + name + ".png")) {
            // ImageIO.read(in) would want a temporary file.
            return ImageIO.read(new MemoryCacheImageInputStream(in));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Names the folder by the archive's contents, so that another version is unpacked beside this one. */
    private static String fingerprint() throws IOException {
        try (InputStream in = BundledModel.class.getResourceAsStream(FINGERPRINT)) {
            return new String(in.readNBytes(12), StandardCharsets.US_ASCII) + "-" + Integer.toHexString(DEFAULTS.hashCode());
        }
    }

    /** Unpacks beside the target, then moves: a process that dies here leaves nothing that looks like a model. */
    private static void unpack(Path target, Path beside) throws IOException {
        delete(beside);
        delete(target);
        try (ZipInputStream zip = new ZipInputStream(BundledModel.class.getResourceAsStream(ARCHIVE))) {
            List<String> contents = new ArrayList<>();
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                Path file = beside.resolve(entry.getName()).normalize();
                if (!file.startsWith(beside)) {
                    throw new IOException("the archive names a file outside its folder: " + entry.getName());
                }
                if (!entry.isDirectory()) {
                    Files.createDirectories(file.getParent());
                    Files.copy(zip, file);
                    contents.add(unpacked(beside, entry.getName()));
                }
            }
            Files.writeString(beside.resolve(DEFAULTS_FILE), DEFAULTS);
            contents.add(unpacked(beside, DEFAULTS_FILE));
            Files.write(beside.resolve(CONTENTS), contents);
            Files.move(beside, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            delete(beside);
        }
    }

    /** A line of the contents. */
    private static String unpacked(Path folder, String name) throws IOException {
        Path file = folder.resolve(name);
        Files.setLastModifiedTime(file, UNCHANGED);
        return checksum(file) + " " + Files.size(file) + " " + name;
    }

    /**
     * Whether every file still is what was unpacked: disks fill up, caches are cleaned, downloads of home folders break off. Reads
     * only files whose time says that they may be another.
     */
    private static boolean isWhole(Path target) throws IOException {
        if (!Files.isRegularFile(target.resolve(CONTENTS))) {
            return false;
        }
        try {
            List<String> contents = Files.readAllLines(target.resolve(CONTENTS));
            for (String line : contents) {
                String[] parts = line.split(" ", 3);
                if (parts.length != 3 || !isWhole(target.resolve(parts[2]), parts[0], parts[1])) {
                    return false;
                }
            }
            return !contents.isEmpty();
        } catch (NoSuchFileException | CharacterCodingException e) {
            return false;
        }
    }

    private static boolean isWhole(Path file, String checksum, String size) throws IOException {
        BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class);
        return String.valueOf(found.size()).equals(size)
                && (found.lastModifiedTime().equals(UNCHANGED) || checksum(file).equals(checksum));
    }

    private static String checksum(Path file) throws IOException {
        CRC32 checksum = new CRC32();
        try (InputStream in = Files.newInputStream(file)) {
            byte[] buffer = new byte[1 << 16];
            for (int n = in.read(buffer); n > 0; n = in.read(buffer)) {
                checksum.update(buffer, 0, n);
            }
        }
        return Long.toHexString(checksum.getValue());
    }

    private static void delete(Path folder) throws IOException {
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }
}
