package io.invadapter.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.pipeline.Pipeline;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** What keeps the engine readable: its packages build on one another, and no file is long. */
class StructureTest {
    private static final int MOST_LINES = 450;
    /** Class names in a class file: superclasses, types of fields and methods, what is called. */
    private static final Pattern NAME = Pattern.compile("io/invadapter/engine(/[a-z]+)*(?=/[A-Z])");

    private static List<Path> files(Path folder, String ending) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            List<Path> files = all.filter(file -> file.toString().endsWith(ending)).toList();
            assertTrue(files.size() > 50, () -> "only " + files.size() + " files in " + folder);
            return files;
        }
    }

    @Test
    void noPackageDependsOnItself() throws Exception {
        Path classes = Path.of(Pipeline.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        Map<String, Set<String>> uses = new TreeMap<>();
        for (Path file : files(classes, ".class")) {
            String own = classes.relativize(file.getParent()).toString().replace('\\', '/');
            Set<String> used = uses.computeIfAbsent(own, name -> new TreeSet<>());
            NAME.matcher(Files.readString(file, StandardCharsets.ISO_8859_1)).results().map(MatchResult::group)
                    .filter(name -> !name.equals(own)).forEach(used::add);
        }
        // Whoever uses none that is left can go; in a circle nobody ever can.
        boolean changed = true;
        while (changed) {
            Set<String> done = new TreeSet<>();
            uses.forEach((name, used) -> {
                if (used.stream().noneMatch(uses::containsKey)) {
                    done.add(name);
                }
            });
            changed = uses.keySet().removeAll(done);
        }
        assertEquals(Map.of(), uses, "packages that use one another");
    }

    @Test
    void noFileIsLong() throws Exception {
        for (Path file : files(Path.of(System.getProperty("basedir", "."), "src", "main", "java"), ".java")) {
            int lines = Files.readAllLines(file).size();
            assertTrue(lines <= MOST_LINES, () -> file + " has " + lines + " lines, more than " + MOST_LINES);
        }
    }
}
