package io.invadapter.bundledmodel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvAdapterException;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BundledModelTest {
    private static final String WEIGHTS = "unet/diffusion_pytorch_model.safetensors";

    @TempDir
    private Path cache;

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void unpacksOnceAndRepairsWhatWasDamaged() throws IOException {
        Path model = BundledModel.directory(cache);
        byte[] weights = Files.readAllBytes(model.resolve(WEIGHTS));
        FileTime unpacked = Files.getLastModifiedTime(model);
        assertEquals(model, BundledModel.directory(cache));
        assertEquals(unpacked, Files.getLastModifiedTime(model));

        Files.delete(model.resolve("tokenizer/merges.txt"));
        BundledModel.directory(cache);
        assertTrue(Files.exists(model.resolve("tokenizer/merges.txt")));

        byte[] damaged = weights.clone();
        damaged[damaged.length / 2] ^= 1;
        Files.write(model.resolve(WEIGHTS), damaged);
        BundledModel.directory(cache);
        assertArrayEquals(weights, Files.readAllBytes(model.resolve(WEIGHTS)));

        for (String file : List.of(WEIGHTS, "contents.txt")) {
            Files.write(model.resolve(file), new byte[0]);
        }
        Files.createDirectories(cache.resolve("unpacking/unet")); // left by a process that died
        BundledModel.directory(cache);
        assertArrayEquals(weights, Files.readAllBytes(model.resolve(WEIGHTS)));
        assertEquals(List.of(model.getFileName().toString(), "lock"), names(cache));
    }

    /** As after copying the cache to another computer. */
    @Test
    void anotherTimeOfAFileAloneIsNoDamage() throws IOException {
        Path model = BundledModel.directory(cache);
        FileTime unpacked = Files.getLastModifiedTime(model);
        Files.setLastModifiedTime(model.resolve(WEIGHTS), FileTime.fromMillis(0));
        BundledModel.directory(cache);
        assertEquals(unpacked, Files.getLastModifiedTime(model));
        assertEquals(FileTime.fromMillis(0), Files.getLastModifiedTime(model.resolve(WEIGHTS)));
    }

    /** What names the folder is written beside the archive by hand. */
    @Test
    void theFolderIsNamedByTheArchive() throws Exception {
        try (InputStream archive = BundledModel.class.getResourceAsStream("avatar-sd.zip");
                InputStream written = BundledModel.class.getResourceAsStream("avatar-sd.sha256")) {
            String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(archive.readAllBytes()));
            assertEquals(hash, new String(written.readAllBytes(), StandardCharsets.US_ASCII).strip());
            String name = BundledModel.directory(cache).getFileName().toString();
            assertTrue(name.startsWith("avatar-sd-" + hash.substring(0, 12)), name);
        }
    }

    @Test
    void twoAtOnceGetTheSame() throws Exception {
        try (ExecutorService pool = Executors.newFixedThreadPool(2)) {
            List<Callable<Path>> tasks = IntStream.range(0, 2).mapToObj(i -> (Callable<Path>) () -> BundledModel.directory(cache)).toList();
            for (Future<Path> done : pool.invokeAll(tasks)) {
                assertTrue(Files.exists(done.get().resolve(WEIGHTS)));
            }
        }
    }

    /** File locks belong to the whole process: one held by the same class of another loader is no mistake but somebody at work. */
    @Test
    void waitsForAnotherClassLoader() throws Exception {
        try (FileChannel lock = FileChannel.open(cache.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            FutureTask<Path> model = new FutureTask<>(() -> BundledModel.directory(cache));
            Thread waiting = new Thread(model);
            try (FileLock held = lock.lock()) {
                waiting.start();
                while (waiting.isAlive() && waiting.getState() != Thread.State.TIMED_WAITING) {
                    Thread.sleep(10);
                }
                assertEquals(List.of("lock"), names(cache));
            }
            assertTrue(Files.exists(model.get().resolve(WEIGHTS)));
        }
    }

    @Test
    void aCacheThatCannotBeWrittenGetsOneSentence() throws IOException {
        Path file = Files.createFile(cache.resolve("file"));
        String message = assertThrows(InvAdapterException.class, () -> BundledModel.directory(file.resolve("cache"))).getMessage();
        assertTrue(message.startsWith(file.resolve("cache") + ": ") && message.contains("XDG_CACHE_HOME"), message);
        assertEquals(1, message.lines().count());
    }

    @Test
    void aFileInThePlaceOfTheCacheIsNamed() throws IOException {
        Path file = Files.createFile(cache.resolve("file"));
        assertEquals(file + ": the bundled model cannot be unpacked here (" + file + " is no folder); set XDG_CACHE_HOME to the full path of "
                + "a folder that can be written, with 60 MB to spare",
                assertThrows(InvAdapterException.class, () -> BundledModel.directory(file)).getMessage());
    }

    @Test
    void anInterruptedThreadIsToldSoUnlessItIsUnpackedOrNearly() throws Exception {
        Thread.currentThread().interrupt();
        CancellationException end = assertThrows(CancellationException.class, () -> BundledModel.directory(cache));
        assertTrue(Thread.interrupted(), "it stays so");
        assertEquals("interrupted before the bundled model was unpacked", end.getMessage());
        assertEquals(List.of("lock"), names(cache));

        FutureTask<Path> midway = new FutureTask<>(() -> {
            Path model = BundledModel.directory(cache);
            assertTrue(Thread.interrupted(), "it stays so");
            return model;
        });
        Thread unpacking = new Thread(midway);
        unpacking.start();
        while (unpacking.isAlive() && !Files.exists(cache.resolve("unpacking"))) {
            Thread.onSpinWait();
        }
        unpacking.interrupt();
        Path model = midway.get();
        assertTrue(Files.exists(model.resolve(WEIGHTS)));

        Thread.currentThread().interrupt();
        assertEquals(model, BundledModel.directory(cache));
        assertTrue(Thread.interrupted(), "it stays so");
    }

    @Test
    void facesAreThere() {
        for (BufferedImage face : BundledModel.faces()) {
            assertEquals(128, face.getWidth());
        }
    }
}
