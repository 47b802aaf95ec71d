package io.invadapter.cli;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.model.FileKind;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** What is in a weight file or a model. */
@Command(name = "info", sortOptions = false, description = "Says what a weight file or a model folder is, and lists what is in it: names, types, shapes, totals.")
final class Info implements Callable<Integer> {
    private static final Pattern NUMBER = Pattern.compile("\\d+");

    @Parameters(paramLabel = "PATH", description = "a .safetensors file, an index of several (.safetensors.index.json), a folder that holds "
            + "either, or a model folder in the diffusers layout")
    private Path path;

    @Override
    public Integer call() throws IOException {
        Checks.exists(path);
        List<Path> files = Files.isDirectory(path) ? weightFiles(path) : List.of(path);
        if (files.isEmpty()) {
            try (ModelFiles model = ModelFiles.open(path)) {
                list(model.description() + ": text encoder", model.textEncoder());
                list(model.description() + ": UNet", model.unet());
                list(model.description() + ": VAE", model.vae());
            }
        }
        for (Path file : files) {
            try (WeightSource source = Safetensors.open(file)) {
                list(file + ": " + FileKind.of(source), source);
            }
        }
        return 0;
    }

    /** What one part of a model lies in; nothing for the folder of a whole model. */
    private static List<Path> weightFiles(Path folder) throws IOException {
        if (Files.isDirectory(folder.resolve("unet"))) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(folder)) {
            List<Path> files = all.filter(Files::isRegularFile).sorted().toList();
            List<Path> indexes = files.stream().filter(file -> file.toString().endsWith(".safetensors.index.json")).toList();
            return indexes.isEmpty() ? files.stream().filter(file -> file.toString().endsWith(".safetensors")).toList() : indexes;
        }
    }

    private static void list(String title, WeightSource source) {
        System.out.println(title);
        new TreeMap<>(source.metadata()).forEach((key, value) -> System.out.println("  " + key + " = " + value));
        List<String> names = new ArrayList<>(source.names());
        names.sort(Comparator.comparing(Info::numbersPadded));
        int width = names.stream().mapToInt(String::length).max().orElse(0);
        TreeMap<String, Integer> types = new TreeMap<>();
        long values = 0;
        long bytes = 0;
        for (String name : names) {
            try {
                WeightTensor tensor = source.tensor(name);
                long size = tensor.elements() * tensor.dtype().bytes();
                values += tensor.elements();
                bytes += size;
                types.merge(tensor.dtype().name(), 1, Integer::sum);
                System.out.printf("  %-" + width + "s  %-4s %-20s %10s%n", name, tensor.dtype(), Arrays.toString(tensor.shape()), readable(size));
            } catch (WeightException e) {
                // A type that cannot be read is no reason to hide the others.
                types.merge("of a type that cannot be read", 1, Integer::sum);
                System.out.printf("  %-" + width + "s  ?%n", name);
            }
        }
        String kinds = types.entrySet().stream().map(type -> type.getValue() + " " + type.getKey()).collect(Collectors.joining(", ", "(", ")"));
        System.out.printf(Locale.ROOT, "%d tensors %s, %,d values, %s%n", names.size(), kinds, values, readable(bytes));
    }

    /** So that block 10 comes after block 9. */
    private static String numbersPadded(String name) {
        return NUMBER.matcher(name).replaceAll(number -> "0".repeat(Math.max(0, 9 - number.group().length())) + number.group());
    }

    private static String readable(long bytes) {
        if (bytes < 1024) {
            return bytes + " B";
        }
        double size = bytes / 1024.0;
        int unit = 0;
        while (size >= 1024) {
            size /= 1024;
            unit++;
        }
        return String.format(Locale.ROOT, "%.1f %ciB", size, "KMGT".charAt(unit));
    }
}
