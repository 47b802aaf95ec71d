package io.invadapter.engine.pipeline;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.text.LoraTags;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A folder with LoRAs that prompts call by name: {@code <lora:name:0.8>} is {@code name.safetensors}, anywhere below it. */
public final class LoraFolder {
    private static final int DEEPEST = 16;
    private static final int NEAR_NAMES = 3;

    private final Path folder;
    private final Map<String, List<Path>> files = new TreeMap<>();

    /**
     * Looks through the folder once.
     *
     * @throws InvalidRequestException when it is none, or cannot be read
     */
    public LoraFolder(Path folder) {
        this.folder = Objects.requireNonNull(folder, "folder");
        if (!Files.isDirectory(folder)) {
            throw new InvalidRequestException(folder + (Files.exists(folder) ? " is no folder" : " does not exist") + "; expected a folder with LoRAs");
        }
        try (Stream<Path> all = Files.walk(folder, DEEPEST, FileVisitOption.FOLLOW_LINKS)) {
            all.filter(file -> file.toString().toLowerCase(Locale.ROOT).endsWith(".safetensors")).sorted()
                    .forEach(file -> files.computeIfAbsent(LoraUse.nameOf(file), none -> new ArrayList<>()).add(file));
        } catch (IOException | UncheckedIOException e) {
            throw new InvalidRequestException(folder + " cannot be read: " + e.getMessage());
        }
    }

    /** The names of all LoRAs, in order. */
    public List<String> names() {
        return List.copyOf(files.keySet());
    }

    /**
     * What a prompt asks for.
     *
     * @throws InvalidRequestException when there is no such LoRA, or several
     */
    public List<LoraUse> of(String prompt) {
        return LoraTags.cut(prompt).tags().stream().map(tag -> new LoraUse(file(tag), tag.textEncoderScale(), tag.unetScale())).toList();
    }

    /**
     * The tags in a prompt that ask for LoRAs, as they are written there.
     *
     * @throws InvalidRequestException when one is not understood
     */
    public static List<String> tags(String prompt) {
        return LoraTags.cut(prompt).tags().stream().map(LoraTags.Tag::written).toList();
    }

    /** @throws InvalidRequestException when the prompt asks for a LoRA that the request does not have */
    static void requireFound(GenerationRequest request) {
        for (LoraTags.Tag tag : LoraTags.cut(request.prompt()).tags()) {
            if (request.loras().stream().noneMatch(lora -> lora.name().equalsIgnoreCase(tag.name()))) {
                throw new InvalidRequestException(tag.written() + " in the prompt asks for a LoRA, and the request has none of that name; a LoraFolder "
                        + "finds those that a prompt asks for");
            }
        }
    }

    private Path file(LoraTags.Tag tag) {
        List<Path> found = files.getOrDefault(tag.name(), files.entrySet().stream().filter(entry -> entry.getKey().equalsIgnoreCase(tag.name()))
                .flatMap(entry -> entry.getValue().stream()).toList());
        if (found.size() == 1) {
            return found.getFirst();
        }
        if (found.size() > 1) {
            throw new InvalidRequestException(tag.written() + ": there are several of that name, " + found.stream().map(file ->
                    folder.relativize(file).toString()).collect(Collectors.joining(" and ")) + " in " + folder);
        }
        throw new InvalidRequestException(tag.written() + ": there is no '" + tag.name() + ".safetensors' in " + folder + ", " + near(tag.name()));
    }

    private String near(String name) {
        if (files.isEmpty()) {
            return "nor any other LoRA";
        }
        return "but " + files.keySet().stream().sorted(Comparator.comparingInt(other -> distance(name, other))).limit(NEAR_NAMES)
                .map(other -> "'" + other + "'").collect(Collectors.joining(", ")) + (files.size() > NEAR_NAMES ? ", …" : "");
    }

    /** Letters to insert, leave out or change, whatever their case (Levenshtein 1965). A part of the other name is near. */
    private static int distance(String one, String other) {
        String a = one.toLowerCase(Locale.ROOT);
        String b = other.toLowerCase(Locale.ROOT);
        if (a.contains(b) || b.contains(a)) {
            return 0;
        }
        int[] row = new int[b.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int before = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int changed = before + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                before = row[j];
                row[j] = Math.min(changed, Math.min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.length()];
    }
}
