package io.invadapter.gpucheck.first;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.EmulatedGpu;
import io.invadapter.kernels.cuda.Faults;
import io.invadapter.kernels.cuda.KernelLibrary;
import io.invadapter.kernels.cuda.choice.Way;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.timing.GenerationBench;
import io.invadapter.timing.Structure;
import io.invadapter.verification.Verification.Part;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The first contact with the emulated GPU: all sections to their end, whatever fails in one of them. */
class FirstContactTest {
    private static final Structure TINY = new Structure(new UNetConfig(4, 4, 8, 8, new int[] {16}, new int[] {1},
            new boolean[] {true}, new boolean[] {true}, new int[] {2}, new int[] {1}, 24, 8, 1e-5f, true, 0),
            new ClipTextConfig(24, 48, 1, 2, 77, 49408, Device.Activation.QUICK_GELU, 1e-5f),
            new VaeConfig(4, new int[] {16, 16}, 1, 8, 0.18215, true, true, true, false));
    private static final Sizes SMALL = new Sizes(TINY, 16, 1 << 12, 16, number -> number % 100 == 0, List::of,
            EnumSet.allOf(Part.class), 3, 4, new GenerationBench.Options(2, List.of(1), 16, 1, 1), 60, new Sizes.Timing(2, 0, 1));

    @TempDir
    private Path folder;
    private final ByteArrayOutputStream people = new ByteArrayOutputStream();

    private int contact(double seconds, double startLimit, List<Section> sections, Children children) throws IOException {
        return new FirstContact(folder.resolve("out"), seconds, startLimit, sections, children,
                new PrintStream(people, true, StandardCharsets.UTF_8)).run();
    }

    private static List<Section> sections(String name) {
        return Sections.ALL.stream().filter(section -> section.name().equals(name)).toList();
    }

    private List<JsonValue> lines() throws IOException {
        return Files.readAllLines(folder.resolve("out/first.jsonl")).stream().map(Json::parse).toList();
    }

    private List<JsonValue> lines(String event) throws IOException {
        return lines().stream().filter(line -> line.get("event").asString().equals(event)).toList();
    }

    private String told() {
        return people.toString(StandardCharsets.UTF_8);
    }

    @Test
    void everySectionRunsToItsEnd() throws Exception {
        int code = contact(600, 60, Sections.ALL, Fakes.threads(Sections.ALL, Fakes.gpu(), SMALL));
        assertEquals(0, code, told());
        assertEquals(Sections.ALL.stream().map(Section::name).toList(),
                lines("done").stream().map(line -> line.get("section").asString()).toList());
        assertTrue(told().contains("2 x 8 x 8 x 16 -> 16, 3 x 3, residual: chosen "), told());
        assertTrue(told().contains("engine, 21.2 us, 5 times a step"), told());
        for (JsonValue line : lines("end")) {
            assertFalse(line.get("verdict").asString().equals("FAILED"), line::toString);
        }
        String page = Files.readString(folder.resolve("out/first.md"));
        Sections.ALL.forEach(section -> assertTrue(page.contains("## " + section.name() + "\n"), page));
        assertEquals(List.of("choices", "first.jsonl", "first.md"), names(folder.resolve("out")));
        List<String> requests = lines().stream().filter(line -> line.get("section").asString().equals("requests"))
                .map(line -> line.get(line.get("event").asString().equals("more") ? "doing" : "event").asString()).toList();
        assertTrue(requests.stream().anyMatch(line -> line.startsWith("plain, batch 1, run 1 of 1: text ") && line.contains("  decode ")),
                "the times of each request are written at once: " + requests);
        assertTrue(requests.indexOf("end") < requests.indexOf("new face, batch 1, run 1 of 1"), "the plain ones are known first");
    }

    /** What a step launches, in sizes that the kernels serve. */
    @Test
    void theOperatorsAreThoseOfAStep() throws Exception {
        Structure wider = new Structure(new UNetConfig(4, 4, 8, 8, new int[] {32}, new int[] {1}, new boolean[] {true},
                new boolean[] {true}, new int[] {2}, new int[] {1}, 24, 8, 1e-5f, true, 0), TINY.textEncoder(), TINY.vae());
        Sizes sizes = new Sizes(wider, SMALL.picture(), SMALL.copied(), SMALL.product(), SMALL.cases(), SMALL.goldens(), SMALL.parts(),
                SMALL.fewSteps(), SMALL.manySteps(), SMALL.requests(), SMALL.limit(), SMALL.timing());
        List<Section> sections = sections("operators");
        assertEquals(0, contact(600, 60, sections, Fakes.threads(sections, Fakes.gpu(), sizes)), told());
        Map<String, String> verdicts = new TreeMap<>();
        lines("end").forEach(line -> verdicts.put(line.get("item").asString(), line.get("verdict").asString()));
        for (String operator : List.of("group norm and SiLU", "group norm and SiLU in one launch", "group norm and SiLU in two launches",
                "group norm and SiLU of two maps side by side", "layer norm", "layer norm, product and GEGLU", "GEGLU with bias", "upsample")) {
            assertEquals("OK", verdicts.get(operator + ", 8 x 8 x 32"), verdicts::toString);
        }
        assertFalse(verdicts.containsKey("concat, 8 x 8 x 32"), "no network calls it");
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    /** What fails, once, in the first process of a section that opens the GPU. */
    private enum Fault {
        ALLOCATION(faults -> faults.failAllocation(2)),
        LAUNCH(faults -> faults.failLaunch(2)),
        PRODUCT(faults -> faults.failProduct(2)),
        CONVOLUTION(faults -> faults.failConvolution(2)),
        LOST(faults -> faults.loseAt(25));

        private final Consumer<Faults> order;

        Fault(Consumer<Faults> order) {
            this.order = order;
        }
    }

    @ParameterizedTest
    @CsvSource({"proofs, ALLOCATION", "proofs, LAUNCH", "proofs, PRODUCT", "proofs, LOST", "ceilings, ALLOCATION", "ceilings, LAUNCH",
        "ceilings, PRODUCT", "ceilings, LOST", "convolutions, CONVOLUTION", "convolutions, LOST", "products, PRODUCT", "products, LOST", "operators, LAUNCH",
        "operators, LOST", "cases, ALLOCATION", "cases, LAUNCH", "cases, LOST", "step, LOST", "requests, LOST"})
    void aFaultInASectionCostsNothingElse(String name, Fault fault) throws Exception {
        Section faulty = sections(name).getFirst();
        List<String> items = new ArrayList<>();
        List<Section> sections = List.of(new Section("before", 1, contact -> { }), faulty,
                new Section("after", 1, contact -> contact.item("last", 60, () -> Outcome.of(true, "", null))));
        AtomicInteger opened = new AtomicInteger();
        Gpu gpu = Fakes.faulty(faults -> {
            if (opened.getAndIncrement() == 0) {
                fault.order.accept(faults);
            }
        });
        assertEquals(1, contact(600, 60, sections, Fakes.threads(sections, gpu, SMALL)), told());
        lines("begin").stream().filter(line -> line.get("section").asString().equals(name))
                .forEach(line -> items.add(line.get("item").asString()));
        long failed = lines("end").stream().filter(line -> line.get("verdict").asString().equals("FAILED")).count();
        assertTrue(failed >= 1, told());
        assertEquals(items.size(), Set.copyOf(items).size(), "each item once");
        assertEquals(items.size(), lines("end").stream().filter(line -> line.get("section").asString().equals(name)).count(), told());
        if (fault == Fault.LOST) {
            assertEquals(1, lines("died").size(), told());
            assertEquals("the device was lost", lines("died").getFirst().get("how").asString());
        }
        assertTrue(failed <= 2, told());
        assertEquals(List.of("before", name, "after"), lines("done").stream().map(line -> line.get("section").asString()).toList());
    }

    @Test
    void whateverBecomesOfAProcessTheOthersDeliver() throws Exception {
        Children processes = new JavaProcesses(List.of(), TroubledProcess.class, List.of());
        List<String> ofOthers = new ArrayList<>();
        int code = contact(60, 20, TroubledProcess.SECTIONS, (arguments, work, log) -> {
            String own = Path.of(arguments.get(1)).getFileName().toString();
            names(work).stream().filter(name -> name.matches("\\d\\d-.*") && !name.equals(own)).forEach(ofOthers::add);
            return processes.start(arguments, work, log);
        });
        assertEquals(1, code);
        assertEquals(List.of(), ofOthers, "journals and logs that were read are gone");
        assertEquals(List.of("good", "throws", "behind the crash", "behind the hang", "garbage", "loses the device",
                "behind the loss", "last"),
                lines("end").stream().map(line -> line.get("item").asString()).toList(), told());
        List<JsonValue> died = lines("died");
        assertEquals(List.of("at crashes", "at hangs", "after loses the device"),
                died.stream().map(line -> line.get("where").asString()).toList(), told());
        assertEquals(List.of("killed by signal 6", "not done for 1 s, killed", "the device was lost"),
                died.stream().map(line -> line.get("how").asString()).toList());
        assertEquals(List.of("{\"event\": \"beg", "this is no JSON", "[1, 2]"),
                lines("garbage").stream().map(line -> line.get("text").asString()).toList());
        assertTrue(lines("printed").getFirst().get("lines").toString().contains("last words"), told());
        JsonValue more = lines("more").getFirst();
        assertEquals("crashes", more.get("item").asString());
        assertEquals(3, more.get("step").asInt());
        String page = Files.readString(folder.resolve("out/first.md"));
        assertTrue(page.contains("at hangs: not done for 1 s, killed") && page.contains("| throws | failed |"), page);
    }

    @Test
    void toldToEndItWritesWhatIsKnownAndLeavesNothingElse() throws Exception {
        Path out = folder.resolve("out");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                System.getProperty("java.class.path"), TroubledProcess.class.getName(), out.toString())
                .redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile()).start();
        try {
            Path lines = out.resolve("first.jsonl");
            while (process.isAlive() && (Files.notExists(lines) || !Files.readString(lines).contains("waits"))) {
                Thread.sleep(20);
            }
            process.destroy();
            process.waitFor();
        } finally {
            process.destroyForcibly();
        }
        assertEquals(List.of("first.jsonl", "first.md"), names(out), Files.readString(folder.resolve("log")));
        JsonValue died = lines("died").getFirst();
        assertEquals("at waits: told to end, killed", died.get("where").asString() + ": " + died.get("how").asString());
        assertEquals(List.of("patient", "never"), lines("cut short").stream().map(line -> line.get("section").asString()).toList());
    }

    /** A process that writes that it is done, and stays. */
    @Test
    void whoIsDoneAndDoesNotEndCostsNoMoreThanTheTime() throws Exception {
        List<Section> sections = List.of(new Section("stays", 1, contact -> { }));
        assertEquals(1, contact(0.5, 5, sections, Fakes.done(137, true)));
        assertEquals(List.of("the whole time was up, killed"),
                lines("died").stream().map(line -> line.get("how").asString()).toList(), told());
    }

    /** A section that is done is not done again, but that its process came to a bad end is said. */
    @ParameterizedTest
    @CsvSource({"134, killed by signal 6", "1, ended with exit code 1"})
    void whoIsDoneAndEndsBadlyIsNamed(int exitCode, String how) throws Exception {
        List<Section> sections = List.of(new Section("ends", 1, contact -> { }));
        assertEquals(1, contact(60, 5, sections, Fakes.done(exitCode, false)));
        assertEquals(List.of(how), lines("died").stream().map(line -> line.get("how").asString()).toList(), told());
        assertEquals(1, lines("done").size());
    }

    @Test
    void theSameBitsMustHaveBeenComputed() {
        EmulatedGpu gpu = EmulatedGpu.fast();
        try (CudaDriver driver = gpu.driver(); OnDevice memory = new OnDevice(driver)) {
            long from = memory.known(1, DataType.FLOAT32, 64);
            long to = memory.room(256);
            Runnable spoil = () -> memory.spoil(to, 256);
            Supplier<byte[]> result = () -> memory.bytes(to, 256);
            Consumer<CudaDriver.Stream> copy = stream -> driver.copy(to, from, 256, stream);
            Outcome good = Proofs.captured(driver, copy, spoil, result);
            assertEquals(Outcome.Verdict.OK, good.verdict(), good.detail());
            // What is called does it, what is recorded does not; or does a half.
            for (long recorded : new long[] {0, 128}) {
                int[] calls = {0};
                Outcome bad = Proofs.captured(driver, stream -> {
                    if (calls[0]++ == 0) {
                        copy.accept(stream);
                    } else if (recorded > 0) {
                        driver.copy(to, from, recorded, stream);
                    }
                }, spoil, result);
                assertEquals(Outcome.Verdict.FAILED, bad.verdict(), bad.detail());
            }
            Outcome nothing = Proofs.captured(driver, stream -> { }, spoil, result);
            assertEquals(Outcome.Verdict.FAILED, nothing.verdict(), nothing.detail());
        }
    }

    /** What a candidate does not write is nobody else's result. */
    @Test
    void newMemoryHoldsNoEarlierResult() {
        EmulatedGpu gpu = EmulatedGpu.fast();
        try (CudaDriver driver = gpu.driver()) {
            for (int i = 0; i < 2; i++) {
                try (OnDevice memory = new OnDevice(driver)) {
                    long y = memory.room(256);
                    assertTrue(Float.isNaN(memory.read(DataType.FLOAT32, y, 1)[0]));
                    driver.fill(y, (byte) 0, 256);
                }
            }
        }
    }

    @Test
    void aProcessLoadsEachModuleOnce() throws Exception {
        List<String> loaded = new ArrayList<>();
        Gpu gpu = Fakes.overheard((arguments, result) -> {
            if (result instanceof CudaDriver.Module) {
                loaded.add(String.valueOf(arguments[0]));
            }
        });
        List<Section> sections = sections("products");
        assertEquals(0, contact(600, 60, sections, Fakes.threads(sections, gpu, SMALL)), told());
        assertEquals(List.of("f16/add"), loaded);
    }

    /** The driver takes seconds for some: in a section that has its own time for it, before any other needs one. */
    @Test
    void everyModuleIsCompiledBeforeASectionUsesOne() throws Exception {
        AtomicReference<String> current = new AtomicReference<>();
        Map<String, Set<String>> loaded = new ConcurrentHashMap<>();
        Gpu gpu = Fakes.overheard((arguments, result) -> {
            if (result instanceof CudaDriver.Module) {
                loaded.computeIfAbsent(current.get(), name -> ConcurrentHashMap.newKeySet()).add(String.valueOf(arguments[0]));
            }
        });
        List<Section> sections = Sections.ALL.subList(0, 4).stream().map(section -> new Section(section.name(), section.seconds(), contact -> {
            current.set(section.name());
            section.work().run(contact);
        })).toList();
        assertEquals(List.of("machine", "proofs", "modules", "ceilings"), sections.stream().map(Section::name).toList());
        assertEquals(0, contact(600, 60, sections, Fakes.threads(sections, gpu, SMALL)), told());
        assertEquals(Set.of("proofs", "modules"), loaded.keySet());
        assertEquals(Set.of("proof"), loaded.get("proofs"), "one of its own");
        assertEquals(Proofs.TYPES.stream().mapToInt(type -> KernelLibrary.operators(type).stream()
                .mapToInt(operator -> KernelLibrary.kernels(type, operator).size()).sum()).sum(), loaded.get("modules").size());
    }

    /** What is timed neither plans nor records: one step's graph for the bits, and one that all that is timed replays. */
    @Test
    void aTimedStepIsReplayed() throws Exception {
        List<Integer> nodes = new ArrayList<>();
        Gpu gpu = Fakes.overheard((arguments, result) -> {
            if (result instanceof CudaDriver.Graph graph) {
                nodes.add(graph.nodes());
            }
        });
        List<Section> sections = sections("step");
        assertEquals(0, contact(600, 60, sections, Fakes.threads(sections, gpu, SMALL)), told());
        // The others are of the ways that are tried, a call each.
        int step = nodes.stream().mapToInt(Integer::intValue).max().orElseThrow();
        assertEquals(2, nodes.stream().filter(count -> count == step).count(), nodes::toString);
    }

    private List<String> triedOf(double seconds, List<Fakes.Subject> subjects) throws Exception {
        List<Section> sections = List.of(new Section("trials", 1, contact -> new Trials<Way>(contact).all(subjects, 1)));
        assertEquals(1, contact(seconds, 60, sections, Fakes.threads(sections, Fakes.gpu(), SMALL)), told());
        return lines("end").stream().map(line -> line.get("item").asString()).toList();
    }

    @Test
    void everySubjectHasItsBestCandidateTriedBeforeAnyHasItsNext() throws Exception {
        assertEquals(List.of("one: a", "two: b", "one: c", "two: d", "one: e", "one: chosen", "two: chosen"),
                triedOf(600, List.of(Fakes.slow("one", "a", "c", "e"), Fakes.slow("two", "b", "d"))));
    }

    @Test
    void whatWasChosenIsSaidWhenNoTimeIsLeft() throws Exception {
        List<String> names = IntStream.range(0, 100).mapToObj(i -> "engine " + i).toList();
        List<String> items = triedOf(1.5, List.of(Fakes.slow("one", names.toArray(String[]::new))));
        assertEquals("one: chosen", items.getLast());
        assertTrue(items.size() < 50, items.toString());
    }

    @Test
    void ofOneEngineFourSettingsAreTried() throws Exception {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            names.add("graph, engine 1 k2=" + i + " k13=0");
            names.add("graph, engine 11");
        }
        List<String> items = triedOf(600, List.of(Fakes.slow("one", names.stream().distinct().toArray(String[]::new))));
        assertEquals(List.of("one: graph, engine 1 k2=0 k13=0", "one: graph, engine 11", "one: graph, engine 1 k2=1 k13=0",
                "one: graph, engine 1 k2=2 k13=0", "one: graph, engine 1 k2=3 k13=0", "one: chosen"), items);
    }

    @ParameterizedTest
    @CsvSource({"false, one made;two made;closed;closed", "true, one made;closed;two made;one made;closed;closed"})
    void operandsAreMadeOnceWhileThereIsMemory(boolean full, String expected) throws Exception {
        List<String> told = new ArrayList<>();
        List<Section> sections = List.of(new Section("trials", 1, contact -> new Trials<Way>(contact).all(List.of(
                Fakes.copying("one", contact, false, told::add), Fakes.copying("two", contact, full, told::add)), 1e-6)));
        assertEquals(0, contact(600, 60, sections, Fakes.threads(sections, Fakes.gpu(), SMALL)), told());
        assertEquals(expected, String.join(";", told));
    }

    @Test
    void theWorkOfAStepIsThatOfStableDiffusion15() {
        StepWork work = StepWork.of(Sizes.real(List::of));
        assertEquals(52, work.convolutions().stream().mapToLong(work::timesPerStep).sum());
        assertEquals(25, work.convolutions().stream().filter(shape -> work.timesPerStep(shape) > 0).count());
        assertTrue(work.convolutions().stream().anyMatch(shape -> shape.height() == 512), "the decoder's too");
        assertEquals(List.of(4096), work.attentions().stream().map(Dnn.AttentionShape::queries).toList());
        assertTrue(work.products().stream().anyMatch(product -> product.rows() == 8192 && product.residual()
                && work.timesPerStep(product) == 15));
    }

    @Test
    void attentionIsComparedWithTheHost() throws Exception {
        Dnn.Strides strides = new Dnn.Strides(48 * 32, 32, 16);
        Dnn.AttentionShape shape = new Dnn.AttentionShape(DataType.FLOAT16, 2, 2, 48, 48, 16, 0.25f, strides, strides, strides, strides);
        List<Section> sections = List.of(new Section("attention", 1, contact -> new Trials<Dnn.AttentionPlan>(contact).all(
                List.of(new Attentions.Large(contact, shape)), OnDevice.limit(DataType.FLOAT16))));
        assertEquals(0, contact(600, 60, sections, Fakes.threads(sections, Fakes.gpu(), SMALL)), told());
        assertTrue(told().contains("attention, 2 x 2 heads of 16, 48 x 48: own kernel "), told());
        assertEquals(2, lines("end").size(), told());
    }

    @Test
    void whatThereIsNoTimeForIsSaid() throws Exception {
        List<Section> sections = List.of(new Section("slow", 1, contact -> {
            for (int i = 0; i < 4; i++) {
                contact.item("item " + i, 60, () -> {
                    Thread.sleep(400);
                    return Outcome.of(true, "", null);
                });
            }
        }), new Section("next", 1, contact -> contact.item("its own time", 60, () -> Outcome.of(true, "", null))));
        assertEquals(1, contact(1.2, 60, sections, Fakes.threads(sections, Fakes.gpu(), SMALL)));
        JsonValue done = lines("done").getFirst();
        assertTrue(done.get("left_out").asInt() >= 1, told());
        assertTrue(told().contains("cut short: no time for " + done.get("left_out").asInt() + " items"), told());
        assertEquals("its own time", lines("end").getLast().get("item").asString());
    }

    @Test
    void withoutAGpuNothingStaysBehind() throws Exception {
        List<Section> sections = List.of(new Section("machine", 1, contact -> { }));
        Gpu none = Fakes.noGpu("there is none");
        assertEquals("there is none", assertThrows(DeviceException.class,
                () -> contact(60, 60, sections, Fakes.threads(sections, none, SMALL))).getMessage());
        assertFalse(Files.exists(folder.resolve("out")));
        // What lies there from before stays.
        Files.createDirectories(folder.resolve("out/work"));
        Files.writeString(folder.resolve("out/work/mine"), "{}");
        assertThrows(DeviceException.class, () -> contact(60, 60, sections, Fakes.threads(sections, none, SMALL)));
        assertEquals("{}", Files.readString(folder.resolve("out/work/mine")));
        assertEquals(List.of("work"), names(folder.resolve("out")));
    }

    @Test
    void whatLiesInTheFolderStaysAndIsNotBelieved() throws Exception {
        List<Section> sections = List.of(new Section("machine", 1, contact -> contact.item("first", 60, () -> Outcome.of(true, "", null))));
        for (String work : List.of("work", "work-1")) {
            Files.createDirectories(folder.resolve("out").resolve(work));
            Files.writeString(folder.resolve("out").resolve(work).resolve("01-machine.jsonl"), "{\"event\": \"no gpu\", \"why\": \"old\"}\n");
        }
        assertEquals(0, contact(60, 60, sections, Fakes.threads(sections, Fakes.gpu(), SMALL)), told());
        assertEquals(List.of("begin", "end", "done"), lines().stream().map(line -> line.get("event").asString()).toList());
        assertEquals(List.of("first.jsonl", "first.md", "work", "work-1"), names(folder.resolve("out")));
        assertEquals(List.of("01-machine.jsonl"), names(folder.resolve("out/work")));
        assertEquals(List.of("01-machine.jsonl"), names(folder.resolve("out/work-1")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"first.jsonl", "first.md", "choices"})
    void resultsOfAnEarlierRunAreNotOverwritten(String name) throws Exception {
        Path result = folder.resolve("out").resolve(name);
        Files.createDirectories(result.getParent());
        Files.writeString(result, "an earlier one");
        IOException refused = assertThrows(IOException.class, () -> contact(60, 60, Sections.ALL, (arguments, work, log) -> {
            throw new IllegalStateException("nothing is to be started");
        }));
        assertEquals(folder.resolve("out") + " holds results of an earlier run", refused.getMessage());
        assertEquals("an earlier one", Files.readString(result));
        assertEquals(List.of(name), names(folder.resolve("out")));
    }
}
