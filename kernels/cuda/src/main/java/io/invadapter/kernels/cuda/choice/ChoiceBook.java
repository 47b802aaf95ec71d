package io.invadapter.kernels.cuda.choice;

import io.invadapter.base.CacheFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * What was chosen for each piece of work, in memory and, where it may write, on disk for the next process. One file for each GPU,
 * driver and set of libraries, of lines {@code key, name, microseconds} with tabs between, after a first line that says whose
 * it is. A file that is damaged or someone else's is ignored and written anew; one that cannot be written is done without.
 */
public final class ChoiceBook {
    private static final String FORMAT = "invadapter choices 1";
    private static final String SUFFIX = ".choices";
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
                }
            }
        } catch (IOException | UncheckedIOException e) {
            // There is no such folder, or something else in it.
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
        entries.put(key, entry);
        write();
    }

    private Map<String, Entry> read() {
        Map<String, Entry> found = new TreeMap<>();
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

    /** Whole or not at all; what another process has chosen meanwhile stays. */
    private void write() {
        if (file == null) {
            return;
        }
        read().forEach(entries::putIfAbsent);
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
