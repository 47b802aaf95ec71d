package io.invadapter.kernels.cuda.choice;

import io.invadapter.base.CacheFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * What was chosen for each piece of work, in memory and, where it may write, on disk for the next process. One file for each GPU,
 * driver and set of libraries, of lines {@code key, name, microseconds} with tabs between, after a first line that says whose
 * it is. A file that is damaged or someone else's is ignored and written anew; one that cannot be written is done without.
 *
 * <p>While a candidate is tried a file beside the book names it, locked by the process. Whoever finds it without a lock knows that
 * the process came to its end over that candidate, and nobody tries it again; a process that ends as it should takes the file away.
 */
public final class ChoiceBook {
    private static final String FORMAT = "invadapter choices 1";
    private static final String SUFFIX = ".choices";
    private static final String TRIAL_SUFFIX = ".trying";
    private static final String FATAL = "fatal: ";
    /** Files in which this process writes what it tries: to open one once more would end its lock. */
    private static final Set<Path> OWN_TRIALS = ConcurrentHashMap.newKeySet();
    private static final int MOST_LETTERS = 80;

    /** Where the books of all processes are. */
    public static Path folder() {
        return CacheFolder.path().resolve("choices");
    }

    /**
     * @param name         of the candidate
     * @param microseconds of one run when it was chosen
     */
    public record Entry(String name, double microseconds) {
    }

    private final Map<String, Entry> entries = new TreeMap<>();
    private final Path file;
    private final String header;
    /** Where the candidate that is tried is written, once one was. */
    private FileChannel trial;

    private ChoiceBook(Path file, String header) {
        this.file = file;
        this.header = header;
    }

    /** A book that is forgotten with the process. */
    public static ChoiceBook inMemory() {
        return new ChoiceBook(null, "");
    }

    /**
     * A book that is kept.
     *
     * @param folder it need not be there
     * @param owner  whatever choices depend on besides the work: GPU, driver, versions of libraries; one line
     */
    public static ChoiceBook onDisk(Path folder, String owner) {
        // The words are for people, the number tells owners apart; that two may share a file costs only time.
        String words = owner.replaceAll("[^A-Za-z0-9.]+", "-");
        String name = words.substring(0, Math.min(words.length(), MOST_LETTERS)) + "-" + Integer.toHexString(owner.hashCode());
        ChoiceBook book = new ChoiceBook(folder.resolve(name + SUFFIX), FORMAT + "\t" + owner);
        book.entries.putAll(book.read());
        book.readTrials();
        return book;
    }

    /** What the books in a folder say of one key, by the books' owners; those that are damaged say nothing. */
    public static Map<String, Entry> findAll(Path folder, String key) {
        Map<String, Entry> found = new TreeMap<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
            for (Path file : files) {
                try (Stream<String> lines = Files.lines(file)) {
                    lines.findFirst().filter(line -> line.startsWith(FORMAT + "\t")).ifPresent(header -> Optional
                            .ofNullable(new ChoiceBook(file, header).read().get(key))
                            .ifPresent(entry -> found.put(header.substring(FORMAT.length() + 1), entry)));
                } catch (IOException | UncheckedIOException e) {
                    // Damaged, or no file: the others have their say.
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // There is no such folder, or it cannot be read.
        }
        return found;
    }

    /** What was chosen for that work. */
    public synchronized Optional<Entry> find(String key) {
        return Optional.ofNullable(entries.get(key));
    }

    /** Keeps a choice, instead of an earlier one. */
    public synchronized void put(String key, Entry entry) {
        if ((key + entry.name()).matches("(?s).*[\t\n].*")) {
            throw new IllegalArgumentException("a key and a name are one line without tabs: " + key + ", " + entry.name());
        }
        // What another process has chosen meanwhile stays.
        read().forEach(entries::putIfAbsent);
        entries.put(key, entry);
        write();
    }

    /** Forgets a choice. */
    public synchronized void remove(String key) {
        if (entries.containsKey(key)) {
            read().forEach(entries::putIfAbsent);
            entries.remove(key);
            write();
        }
    }

    private static String fatal(String key, String name) {
        return FATAL + key + ", " + name;
    }

    /** Whether that candidate lost the device, or ended the process, when it was tried for that work. */
    public synchronized boolean isFatal(String key, String name) {
        return entries.containsKey(fatal(key, name));
    }

    /** Notes that candidate for the case that this process does not live to say {@link #tried} or {@link #lost}. */
    public synchronized void trying(String key, String name) {
        if (file == null) {
            return;
        }
        try {
            if (trial == null) {
                Files.createDirectories(file.getParent());
                Path path = Files.createTempFile(file.getParent(), stem(), TRIAL_SUFFIX);
                OWN_TRIALS.add(path);
                path.toFile().deleteOnExit();
                trial = FileChannel.open(path, StandardOpenOption.WRITE);
                trial.lock();
            }
            trial.truncate(0).write(StandardCharsets.UTF_8.encode(header + "\n" + key + "\t" + name + "\n"), 0);
        } catch (IOException e) {
            // Then nobody will know.
        }
    }

    /** That candidate did no harm. */
    public synchronized void tried() {
        try {
            if (trial != null) {
                trial.truncate(0);
            }
        } catch (IOException e) {
            // The file goes when the process ends.
        }
    }

    /** The device was lost over that candidate. */
    public synchronized void lost(String key, String name) {
        put(fatal(key, name), new Entry(name, Double.NaN));
        tried();
    }

    private String stem() {
        String name = file.getFileName().toString();
        return name.substring(0, name.length() - SUFFIX.length()) + ".";
    }

    /** What processes tried when they came to their end. */
    private void readTrials() {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(file.getParent(), stem() + "*" + TRIAL_SUFFIX)) {
            for (Path left : files) {
                if (!OWN_TRIALS.contains(left)) {
                    readTrial(left);
                }
            }
        } catch (IOException e) {
            // There is no such folder.
        }
    }

    private void readTrial(Path left) throws IOException {
        try (FileChannel channel = FileChannel.open(left, StandardOpenOption.READ, StandardOpenOption.WRITE);
             FileLock lock = channel.tryLock()) {
            if (lock != null) {
                String[] lines = Files.readString(left).split("\n");
                String[] parts = lines[lines.length - 1].split("\t");
                if (lines.length == 2 && lines[0].equals(header) && parts.length == 2) {
                    lost(parts[0], parts[1]);
                }
                Files.delete(left);
            }
        }
    }

    private Map<String, Entry> read() {
        Map<String, Entry> found = new TreeMap<>();
        if (file == null) {
            return found;
        }
        try {
            String[] lines = Files.readString(file).split("\n", -1);
            if (!lines[0].equals(header) || !lines[lines.length - 1].isEmpty()) {
                return Map.of();
            }
            for (int i = 1; i < lines.length - 1; i++) {
                String[] parts = lines[i].split("\t", -1);
                if (parts.length != 3) {
                    return Map.of();
                }
                found.put(parts[0], new Entry(parts[1], Double.parseDouble(parts[2])));
            }
            return found;
        } catch (IOException | NumberFormatException e) {
            // None yet, or not one of ours.
            return Map.of();
        }
    }

    /** Whole or not at all. */
    private void write() {
        if (file == null) {
            return;
        }
        StringBuilder text = new StringBuilder(header).append('\n');
        entries.forEach((key, entry) -> text.append(key).append('\t').append(entry.name()).append('\t')
                .append(entry.microseconds()).append('\n'));
        Path part = null;
        try {
            Files.createDirectories(file.getParent());
            part = Files.createTempFile(file.getParent(), "choices", ".part");
            Files.write(part, text.toString().getBytes(StandardCharsets.UTF_8));
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            // The choice is good for this process all the same.
            delete(part);
        }
    }

    private static void delete(Path part) {
        try {
            if (part != null) {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            // Nothing can be written there, it seems.
        }
    }
}
