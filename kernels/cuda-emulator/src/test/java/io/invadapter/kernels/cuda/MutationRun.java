package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * How good are the tests? Changes one instruction of a kernel, of those for float16, and runs the cases that execute it; a case that throws has found
 * the change. Changes are drawn evenly over their kinds, so that the few barriers come up as often as the many additions, with
 * a generator seeded by the kernel's name: the same PTX always gives the same changes.
 *
 * <p>{@code main} takes the number of changes per kernel and, optionally, a part of the names of the kernels to change ("" for
 * all) and the first word of the kinds of change ("barrier").
 */
final class MutationRun {
    /** Backward branches of a warp after which a changed kernel counts as endless, which is found. */
    private static final long LOOP_LIMIT = 20_000;
    private static final String ENTRY = ".visible .entry ";

    /** A shipped kernel: the lines of its file that are its own, and what each case executed of them. */
    private record Subject(String operator, String kernel, int from, int to, Map<KernelCase, Set<Integer>> executed) {
    }

    /** A change and whether some case found it; {@code reason} is what that case said. */
    record Outcome(String kernel, Mutant mutant, boolean found, String reason) {
    }

    private final Map<String, List<String>> files = new HashMap<>();
    private final Map<String, Subject> subjects = new LinkedHashMap<>();
    private final Map<KernelCase, Set<String>> launched = new HashMap<>();
    private final Map<KernelCase, Long> nanos = new HashMap<>();

    static List<KernelCase> cases() {
        return Stream.of(AttentionCases.all(), NormalisationCases.all(), PointwiseCases.all())
                .flatMap(List::stream).toList();
    }

    /** Runs all cases on the shipped kernels and notes which lines of which kernels each executes. */
    MutationRun() {
        for (String operator : KernelLibrary.operators(DataType.FLOAT16)) {
            List<String> lines = KernelLibrary.ptx(DataType.FLOAT16, operator).lines().toList();
            files.put(operator, lines);
            for (int i = 0; i < lines.size(); i++) {
                if (lines.get(i).startsWith(ENTRY)) {
                    String kernel = lines.get(i).substring(ENTRY.length(), lines.get(i).indexOf('('));
                    int end = i + 1;
                    while (end < lines.size() && !lines.get(end).startsWith(ENTRY)) {
                        end++;
                    }
                    subjects.put(kernel, new Subject(operator, kernel, i, end, new HashMap<>()));
                }
            }
        }
        for (KernelCase c : cases()) {
            try (Bench bench = Bench.emulating(operator -> KernelLibrary.ptx(DataType.FLOAT16, operator), Long.MAX_VALUE)) {
                long start = System.nanoTime();
                c.run(bench);
                nanos.put(c, System.nanoTime() - start);
                Set<String> kernels = new HashSet<>();
                bench.launches().forEach(launch -> {
                    kernels.add(launch.kernel());
                    Set<Integer> lines = subjects.get(launch.kernel()).executed.computeIfAbsent(c, k -> new HashSet<>());
                    launch.counters().perInstruction().stream().filter(i -> i.executed() > 0)
                            .forEach(i -> lines.add(i.line()));
                });
                launched.put(c, kernels);
            }
        }
    }

    /** The lines of instructions that no case executes, by kernel. */
    Map<String, List<String>> neverExecuted() {
        Map<String, List<String>> found = new TreeMap<>();
        for (Subject s : subjects.values()) {
            Set<Integer> executed = s.executed.values().stream().flatMap(Set::stream).collect(Collectors.toSet());
            List<String> lines = files.get(s.operator);
            for (int i = s.from; i < s.to; i++) {
                String text = lines.get(i).strip();
                // What the compiler inlines as a block of its own begins with a declaration.
                boolean instruction = text.endsWith(";") && !text.contains(".reg ") && !text.startsWith(".");
                if (instruction && !executed.contains(i + 1)) {
                    found.computeIfAbsent(s.kernel, k -> new ArrayList<>()).add(i + 1 + ": " + text);
                }
            }
        }
        return found;
    }

    Set<String> kernels() {
        return subjects.keySet();
    }

    /** Draws {@code count} changes of a kernel, or all that there are. */
    private List<Mutant> draw(Subject subject, int count, String kindStart) {
        Map<String, List<Mutant>> byKind = Mutant.all(files.get(subject.operator), subject.from, subject.to);
        RandomGenerator random = new java.util.SplittableRandom(subject.kernel.hashCode());
        List<List<Mutant>> kinds = new ArrayList<>();
        byKind.forEach((kind, all) -> {
            if (kind.startsWith(kindStart)) {
                kinds.add(new ArrayList<>(all));
            }
        });
        List<Mutant> drawn = new ArrayList<>();
        while (drawn.size() < count && !kinds.isEmpty()) {
            List<Mutant> kind = kinds.get(random.nextInt(kinds.size()));
            drawn.add(kind.remove(random.nextInt(kind.size())));
            if (kind.isEmpty()) {
                kinds.remove(kind);
            }
        }
        return drawn;
    }

    /** Tries {@code count} changes of each kernel whose name contains {@code part}, on all processors. */
    List<Outcome> run(int count, String part, String kindStart) {
        List<Future<Outcome>> running = new ArrayList<>();
        try (ExecutorService pool = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors())) {
            for (Subject subject : subjects.values()) {
                if (subject.kernel.contains(part)) {
                    draw(subject, count, kindStart).forEach(mutant -> running.add(pool.submit(() -> attempt(subject, mutant))));
                }
            }
            List<Outcome> outcomes = new ArrayList<>();
            for (Future<Outcome> f : running) {
                outcomes.add(f.get());
            }
            return outcomes;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        }
    }

    private Outcome attempt(Subject subject, Mutant mutant) {
        List<KernelCase> cases = subject.executed.entrySet().stream().filter(e -> e.getValue().contains(mutant.line()))
                .map(Map.Entry::getKey).sorted(Comparator.comparing(nanos::get)).toList();
        if (cases.isEmpty()) {
            return new Outcome(subject.kernel, mutant, false, "never executed");
        }
        for (KernelCase c : cases) {
            // Only the kernels that this case launches: decoding the others would take most of the time.
            String changed = changed(subject, mutant, launched.get(c));
            try (Bench bench = Bench.emulating(
                    operator -> operator.equals(subject.operator) ? changed : KernelLibrary.ptx(DataType.FLOAT16, operator), LOOP_LIMIT)) {
                c.run(bench);
            } catch (RuntimeException | AssertionError e) {
                return new Outcome(subject.kernel, mutant, true, c.name() + ": " + e.getMessage());
            }
        }
        return new Outcome(subject.kernel, mutant, false, cases.size() + " cases");
    }

    private String changed(Subject subject, Mutant mutant, Set<String> wanted) {
        List<String> lines = files.get(subject.operator);
        StringBuilder text = new StringBuilder();
        boolean within = true;
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            if (line.startsWith(ENTRY)) {
                within = wanted.contains(line.substring(ENTRY.length(), line.indexOf('(')));
            }
            if (within) {
                text.append(i + 1 == mutant.line() ? mutant.after() : line).append('\n');
            }
        }
        return text.toString();
    }

    /** A table of what was found, by kind of change, and each change that was not. */
    static String report(List<Outcome> outcomes) {
        StringBuilder text = new StringBuilder();
        Map<String, List<Outcome>> byKind =
                outcomes.stream().collect(Collectors.groupingBy(o -> o.mutant.kind(), TreeMap::new, Collectors.toList()));
        byKind.forEach((kind, all) -> text.append(String.format("%-32s %4d of %4d found%n", kind,
                all.stream().filter(Outcome::found).count(), all.size())));
        text.append(String.format("%-32s %4d of %4d found, %.1f %%%n", "all", outcomes.stream().filter(Outcome::found).count(),
                outcomes.size(), 100 * rate(outcomes)));
        outcomes.stream().filter(o -> !o.found).forEach(o ->
                text.append("not found: ").append(o.kernel).append(' ').append(o.mutant).append(" (").append(o.reason)
                        .append(")\n"));
        return text.toString();
    }

    static double rate(List<Outcome> outcomes) {
        return (double) outcomes.stream().filter(Outcome::found).count() / outcomes.size();
    }

    public static void main(String[] arguments) {
        MutationRun run = new MutationRun();
        run.neverExecuted().forEach((kernel, lines) -> {
            System.out.println(kernel + ": " + lines.size() + " instructions never executed");
            lines.forEach(l -> System.out.println("    " + l));
        });
        List<Outcome> outcomes = run.run(Integer.parseInt(arguments[0]), arguments.length > 1 ? arguments[1] : "",
                arguments.length > 2 ? arguments[2] : "");
        System.out.print(report(outcomes));
    }
}
