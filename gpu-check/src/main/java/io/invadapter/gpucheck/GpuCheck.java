package io.invadapter.gpucheck;

import io.invadapter.gpucheck.Checklist.Step;
import io.invadapter.gpucheck.first.FirstChild;
import io.invadapter.gpucheck.first.FirstContact;
import io.invadapter.gpucheck.first.InstalledLibraries;
import io.invadapter.gpucheck.first.JavaProcesses;
import io.invadapter.gpucheck.first.Sections;
import io.invadapter.gpucheck.first.Sizes;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import io.invadapter.timing.JsonText;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.UnaryOperator;

/**
 * Checks on a real GPU what is otherwise checked on an emulator, then measures how fast it is. Exit code 0: all is well, 1:
 * something failed, 2: there is no GPU, or asked for something that cannot be.
 */
public final class GpuCheck {
    private static final String USAGE = """
            usage: gpu-check [--checkout DIR] [--json FILE] [--skip WORD] [--minutes N] [GOLDEN...]
                   gpu-check --first [--out DIR] [--checkout DIR] [--minutes N] [GOLDEN...]
              --checkout DIR  a checkout of the sources, for the small trained model; found by itself above this folder
              --json FILE     where the results go (default: gpu-check.json)
              --skip WORD     leaves out the steps whose names contain it; may be repeated (kernels, golden, bench, fp32, ...)
              --minutes N     begins nothing new after that time (default: 9; with --first 4.6, all of it); where it is more, each step
                              may take more
              --first         the first contact with a GPU: all that can be known of it in that time, each result at once
              --out DIR       where the first contact goes (default: first-contact), with no results in it yet; nothing is written
                              elsewhere
              GOLDEN          more folders of golden data
            """;

    private static final String FIRST_CHILD = "--first-child";
    /** Options of Java with which a child is told of the folders named: this and a number. */
    private static final String GOLDENS = "gpucheck.goldens.";
    private static final double MINUTES = 9;
    private static final double FIRST_MINUTES = 4.6;
    private static final double MOST_MINUTES = 10_000;
    /** Java, the driver's start and a context take one or two; a machine that is cold takes longer. */
    private static final double FIRST_START_SECONDS = 30;

    private Path checkout;
    private Path json = Path.of("gpu-check.json");
    private double minutes = Double.NaN;
    private boolean first;
    private Path out = Path.of("first-contact");
    private final List<String> skip = new ArrayList<>();
    private final List<Path> goldens = new ArrayList<>();
    private long start;
    /** The benchmarks' table, for the end. */
    private String table = "";

    private GpuCheck() {
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 1 && arguments[0].equals("--step")) {
            Outcome outcome = step(List.of(arguments).subList(2, arguments.length));
            Files.writeString(Path.of(arguments[1]), JsonText.of(outcome.json()));
            return;
        }
        if (arguments.length > 0 && arguments[0].equals(FIRST_CHILD)) {
            FirstChild.endWithParent();
            System.exit(FirstChild.run(List.of(arguments).subList(1, arguments.length), Sections.ALL, new InstalledLibraries(),
                    Sizes.real(GpuCheck::firstGoldens)));
        }
        System.exit(run(arguments));
    }

    static int run(String... arguments) throws IOException {
        if (List.of(arguments).contains("--help")) {
            System.out.print(USAGE);
            return 0;
        }
        GpuCheck check = new GpuCheck();
        Optional<String> mistake = check.parse(arguments);
        if (mistake.isPresent()) {
            System.err.println("gpu-check: " + mistake.get());
            System.err.print(USAGE);
            return 2;
        }
        if (check.first) {
            return check.firstContact();
        }
        try {
            if (JCudaDriverApi.deviceCount() == 0) {
                throw new DeviceException("NVIDIA's driver knows no GPU");
            }
        } catch (DeviceException e) {
            System.err.println("gpu-check: " + e.getMessage());
            return 2;
        }
        try {
            Files.writeString(check.json, "{}\n");
        } catch (IOException e) {
            System.err.println("gpu-check: " + check.json + " cannot be written; --json names another file");
            return 2;
        }
        return check.run();
    }

    private Optional<String> parse(String... arguments) {
        List<String> given = new ArrayList<>();
        try {
            for (int i = 0; i < arguments.length; i++) {
                String argument = arguments[i];
                boolean option = argument.startsWith("--");
                if (option && !List.of("--checkout", "--json", "--skip", "--minutes", "--first", "--out").contains(argument)) {
                    return Optional.of("there is no option " + argument);
                }
                if (option && !argument.equals("--first") && i + 1 == arguments.length) {
                    return Optional.of(argument + " needs a value");
                }
                given.add(argument);
                switch (argument) {
                    case "--checkout" -> checkout = Path.of(arguments[++i]);
                    case "--json" -> json = Path.of(arguments[++i]);
                    case "--skip" -> skip.add(arguments[++i]);
                    case "--minutes" -> minutes = Double.parseDouble(arguments[++i]);
                    case "--first" -> first = true;
                    case "--out" -> out = Path.of(arguments[++i]);
                    default -> goldens.add(Path.of(argument));
                }
            }
        } catch (NumberFormatException e) {
            return Optional.of("--minutes takes a number");
        } catch (InvalidPathException e) {
            return Optional.of(e.getMessage());
        }
        if (given.contains("--minutes") && !(minutes > 0 && minutes <= MOST_MINUTES)) {
            return Optional.of(String.format(Locale.ROOT, "--minutes takes a number above 0, %.0f at most", MOST_MINUTES));
        }
        if (!first && given.contains("--out")) {
            return Optional.of("--out goes with --first only");
        }
        for (String option : List.of("--json", "--skip")) {
            if (first && given.contains(option)) {
                return Optional.of(option + " does not go with --first");
            }
        }
        for (Path folder : goldens) {
            if (!Files.exists(folder.resolve("golden.safetensors"))) {
                return Optional.of(folder + " has no golden.safetensors");
            }
        }
        return checkout != null && !Files.isDirectory(checkout) ? Optional.of(checkout + " is no folder") : Optional.empty();
    }

    /** In processes of their own, so that nothing of the GPU is touched in this one. */
    private int firstContact() {
        if (Files.exists(out) && !Files.isDirectory(out)) {
            System.err.println("gpu-check: " + out + " is no folder");
            return 2;
        }
        List<String> options = goldenOptions(goldens);
        String golden = System.getProperty("gpucheck.golden");
        if (golden != null) {
            options.add("-Dgpucheck.golden=" + golden);
        }
        if (checkout != null) {
            options.add("-Dgpucheck.checkout=" + checkout.toAbsolutePath());
        }
        double seconds = (Double.isNaN(minutes) ? FIRST_MINUTES : minutes) * 60;
        try {
            return new FirstContact(out.toAbsolutePath(), seconds, FIRST_START_SECONDS, Sections.ALL,
                    new JavaProcesses(options, GpuCheck.class, List.of(FIRST_CHILD)), System.out).run();
        } catch (DeviceException e) {
            System.err.println("gpu-check: " + e.getMessage());
            return 2;
        } catch (IOException e) {
            String what = e instanceof FileSystemException file ? file.getFile() + " cannot be written" : e.getMessage();
            System.err.println("gpu-check: " + what + "; --out names another folder");
            return 2;
        }
    }

    /** One for each folder: a path may have any character in it. */
    static List<String> goldenOptions(List<Path> folders) {
        List<String> options = new ArrayList<>();
        for (Path folder : folders) {
            options.add("-D" + GOLDENS + options.size() + "=" + folder.toAbsolutePath());
        }
        return options;
    }

    /** What {@link #goldenOptions} told, as the properties of Java have it. */
    static List<Path> namedGoldens(UnaryOperator<String> property) {
        List<Path> folders = new ArrayList<>();
        for (String path = property.apply(GOLDENS + 0); path != null; path = property.apply(GOLDENS + folders.size())) {
            folders.add(Path.of(path));
        }
        return folders;
    }

    /** In a child: the small trained model where it is, that of full size, and what was named. */
    private static List<Path> firstGoldens() throws IOException {
        GpuCheck check = new GpuCheck();
        String checkout = System.getProperty("gpucheck.checkout");
        check.checkout = checkout == null ? null : Path.of(checkout);
        List<Path> folders = new ArrayList<>();
        ModelFolder.unpack(check.checkouts()).ifPresent(folders::add);
        Path sd15 = sd15();
        if (Files.exists(sd15)) {
            folders.add(sd15);
        }
        folders.addAll(namedGoldens(System::getProperty));
        return folders;
    }

    private static Path sd15() {
        return Path.of(System.getProperty("gpucheck.golden", "gpu-check/golden"), "sd15");
    }

    private int run() throws IOException {
        minutes = Double.isNaN(minutes) ? MINUTES : minutes;
        start = System.nanoTime();
        List<String> report = CudaLibraries.report();
        report.forEach(System.out::println);
        Map<String, Object> heading = new LinkedHashMap<>();
        heading.put("time", Instant.now().toString());
        heading.put("devices", report);
        int code = new Checklist(System.out, json, heading).run(steps());
        System.out.print(table);
        System.out.println((code == 0 ? "passed" : "FAILED") + "; all figures: " + json.toAbsolutePath());
        return code;
    }

    /** What tells most comes first: time may run out. */
    private List<Step> steps() throws IOException {
        Optional<Path> model = ModelFolder.unpack(checkouts());
        Path sd15 = sd15();
        List<Step> steps = new ArrayList<>();
        for (Precision precision : new Precision[] {Precision.FP16, Precision.BF16, Precision.FP32}) {
            add(steps, 150, Optional.empty(), "kernels", precision);
            add(steps, 90, model, "golden", precision);
            add(steps, 60, model, "graphs", precision);
            add(steps, 60, model, "identity", precision);
            add(steps, 150, Optional.of(sd15), "golden", precision);
            for (Path folder : goldens) {
                add(steps, 90, Optional.of(folder), "golden", precision);
            }
            if (precision == Precision.FP16) {
                add(steps, 280, Optional.empty(), "bench", precision);
            }
        }
        return steps;
    }

    private void add(List<Step> steps, long seconds, Optional<Path> folder, String kind, Precision precision) {
        boolean needsFolder = !kind.equals("kernels") && !kind.equals("bench");
        String subject = !needsFolder ? "" : folder.isEmpty() || folder.get().getFileName().toString().startsWith("avatar-sd")
                ? " avatar-sd" : " " + folder.get().getFileName();
        String name = kind + subject + " " + precision;
        if (skip.stream().anyMatch(name::contains)) {
            return;
        }
        steps.add(new Step(name, () -> {
            if (needsFolder && folder.isEmpty()) {
                return Outcome.skipped("the model is not here: name a checkout with --checkout");
            }
            long left = (long) (minutes * 60 - (System.nanoTime() - start) / 1e9);
            if (left <= 0) {
                return Outcome.skipped("no time left");
            }
            List<String> arguments = new ArrayList<>(List.of(kind, precision.name()));
            folder.ifPresent(path -> arguments.add(path.toString()));
            Outcome outcome = ChildProcess.run(arguments, Math.min(longest(seconds, minutes), left));
            if (kind.equals("bench") && outcome.data() instanceof Map<?, ?> data) {
                table = System.lineSeparator() + data.remove("table") + System.lineSeparator();
            }
            return outcome;
        }));
    }

    /** Seconds after which a step is ended that takes some at most as a rule: who has more time has a reason, such as a slow tool around it. */
    static long longest(long seconds, double minutes) {
        return Math.round(seconds * Math.max(1, minutes / MINUTES));
    }

    private List<Path> checkouts() {
        List<Path> checkouts = new ArrayList<>();
        if (checkout != null) {
            checkouts.add(checkout);
        }
        Path bundle = Path.of(System.getProperty("gpucheck.golden", ".")).toAbsolutePath();
        for (Path folder : List.of(bundle, Path.of("").toAbsolutePath())) {
            for (Path above = folder; above != null; above = above.getParent()) {
                checkouts.add(above);
            }
        }
        return checkouts;
    }

    /** In the child: kind, precision, and a folder for the kinds that need one. */
    private static Outcome step(List<String> arguments) {
        Precision precision = Precision.valueOf(arguments.get(1));
        Callable<Outcome> work = switch (arguments.get(0)) {
            case "kernels" -> () -> Checks.kernels(precision);
            case "bench" -> () -> Checks.bench(precision);
            case "golden" -> () -> Checks.golden("cuda", precision, Path.of(arguments.get(2)));
            case "graphs" -> () -> Checks.graphs("cuda", precision, Path.of(arguments.get(2)));
            case "identity" -> () -> Checks.identity("cuda", precision, Path.of(arguments.get(2)));
            default -> throw new IllegalArgumentException("unknown step " + arguments);
        };
        try {
            return work.call();
        } catch (DeviceException e) {
            return Outcome.failed(e.getMessage());
        } catch (Exception | Error e) {
            // A mistake of ours: the sentence is for the table, where it comes from for whoever repairs it.
            e.printStackTrace();
            return Outcome.failed(e.getMessage() == null ? e.toString() : e.getMessage());
        }
    }
}
