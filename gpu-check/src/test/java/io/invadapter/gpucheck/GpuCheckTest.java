package io.invadapter.gpucheck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.gpucheck.Checklist.Step;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.cuda.driver.JCudaDriverApi;
import io.invadapter.timing.JsonText;
import io.invadapter.weights.json.Json;
import io.invadapter.weights.json.JsonValue;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The check without a GPU: its table, its JSON, its exit codes; and what compares results, on the CPU. */
class GpuCheckTest {
    private static final boolean GPU = hasGpu();

    @TempDir
    private Path folder;

    private static boolean hasGpu() {
        try {
            return JCudaDriverApi.deviceCount() > 0;
        } catch (DeviceException e) {
            return false;
        }
    }

    @Test
    void oneFailedStepDoesNotStopTheOthers() throws Exception {
        Path json = folder.resolve("out.json");
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        Checklist list = new Checklist(new PrintStream(text, true, StandardCharsets.UTF_8), json, Map.of("devices", List.of("one")));
        assertEquals(1, list.run(List.of(
                new Step("good", () -> Outcome.of(true, "3 cases", Map.of("a", 1.5))),
                new Step("throws", () -> {
                    throw new IllegalStateException("went wrong");
                }),
                new Step("wrong", () -> Outcome.of(false, "1 of 3", null)),
                new Step("left out", () -> Outcome.skipped("not here")))));
        List<String> lines = text.toString(StandardCharsets.UTF_8).lines().toList();
        assertEquals(4, lines.size());
        assertTrue(lines.get(0).startsWith("ok       good ") && lines.get(0).endsWith("3 cases"), lines.get(0));
        assertTrue(lines.get(1).startsWith("failed   throws ") && lines.get(1).endsWith("went wrong"), lines.get(1));
        assertTrue(lines.get(3).startsWith("skipped  left out "), lines.get(3));
        JsonValue all = Json.read(json);
        assertEquals(false, all.get("passed").asBoolean());
        assertEquals("one", all.get("devices").asList().getFirst().asString());
        assertEquals(1.5, all.get("steps").asList().getFirst().get("data").get("a").asDouble());
        assertEquals("FAILED", all.get("steps").asList().get(1).get("verdict").asString());
    }

    @Test
    void nothingFailedIsExitCode0() throws Exception {
        Checklist list = new Checklist(new PrintStream(new ByteArrayOutputStream()), folder.resolve("out.json"), Map.of());
        assertEquals(0, list.run(List.of(new Step("good", () -> Outcome.of(true, "", null)),
                new Step("left out", () -> Outcome.skipped("")))));
    }

    @Test
    void anOutcomeComesThroughTheFileOfAChild() {
        Outcome outcome = Outcome.of(true, "detail", Map.of("list", List.of(1.0, "two", true)));
        assertEquals(outcome, Outcome.read(Json.parse(JsonText.of(outcome.json()))));
    }

    @Test
    void withoutAGpuThereIsOneSentenceAndExitCode2() throws Exception {
        assumeTrue(!GPU);
        assertSentence("driver");
        assertSentence("driver", "--first", "--out", folder.resolve("out").toString());
        assertFalse(Files.exists(folder.resolve("out")));
        assertSentence("driver", "--first", "--out", folder.resolve("a/b/c").toString());
        assertFalse(Files.exists(folder.resolve("a")));
        assertEquals(2, GpuCheck.run("--colour", "red"));
        assertEquals(2, GpuCheck.run("--json"));
        assertEquals(2, GpuCheck.run(folder.toString()));
    }

    @Test
    void aFolderThatCannotBeWrittenIsOneSentence() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "");
        Path link = Files.createSymbolicLink(folder.resolve("link"), folder.resolve("nowhere"));
        assertSentence("no folder", "--first", "--out", file.toString());
        for (Path out : List.of(file.resolve("x"), file.resolve("x/y"), link, Path.of("/proc/nothing"))) {
            assertSentence(" cannot be written; ", "--first", "--out", out.toString());
        }
        Files.writeString(folder.resolve("first.jsonl"), "{}");
        assertSentence("holds results of an earlier run; ", "--first", "--out", folder.toString());
        assertEquals("{}", Files.readString(folder.resolve("first.jsonl")));
    }

    @Test
    void whoHasMoreTimeWaitsLonger() {
        assertEquals(150, GpuCheck.longest(150, 9));
        assertEquals(150, GpuCheck.longest(150, 0.5));
        assertEquals(1500, GpuCheck.longest(150, 90));
    }

    @Test
    void whatCannotBeAskedForIsRefused() throws Exception {
        for (String minutes : List.of("0", "-1", "NaN", "Infinity", "1e300", "-0.0")) {
            assertMistake("--minutes takes a number above 0", "--minutes", minutes);
            assertMistake("--minutes takes a number above 0", "--first", "--minutes", minutes);
        }
        assertMistake("--minutes takes a number", "--minutes", "x");
        assertMistake("--out goes with --first only", "--out", folder.resolve("out").toString());
        assertMistake("--json does not go with --first", "--first", "--json", folder.resolve("json").toString());
        assertMistake("--skip does not go with --first", "--skip", "bench", "--first");
        assertEquals(List.of(), List.of(folder.toFile().list()));
    }

    @Test
    void foldersOfAnyNameReachAChild() {
        List<Path> folders = List.of(Path.of("/with:colon/a b"), Path.of("/x=y"), Path.of("/z"));
        Map<String, String> properties = GpuCheck.goldenOptions(folders).stream().map(option -> option.substring(2).split("=", 2))
                .collect(Collectors.toMap(parts -> parts[0], parts -> parts[1]));
        assertEquals(folders, GpuCheck.namedGoldens(properties::get));
    }

    private static String refusal(String... arguments) throws Exception {
        PrintStream before = System.err;
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        try {
            assertEquals(2, GpuCheck.run(arguments));
        } finally {
            System.setErr(before);
        }
        return err.toString(StandardCharsets.UTF_8).strip();
    }

    /** With the usage behind it. */
    private static void assertMistake(String sentence, String... arguments) throws Exception {
        String told = refusal(arguments);
        assertTrue(told.startsWith("gpu-check: " + sentence) && told.contains("\nusage: "), told);
    }

    private static void assertSentence(String part, String... arguments) throws Exception {
        String sentence = refusal(arguments);
        assertTrue(sentence.startsWith("gpu-check: ") && sentence.contains(part) && sentence.lines().count() == 1, sentence);
    }

    @Test
    void aChildThatFailsSaysWhy() throws Exception {
        assumeTrue(!GPU);
        Outcome outcome = ChildProcess.run(List.of("kernels", "FP16"), 60);
        assertEquals(Outcome.Verdict.FAILED, outcome.verdict());
        assertTrue(outcome.detail().contains("driver"), outcome.detail());
    }

    @Test
    void whatComparesResultsPassesOnTheCpu() throws Exception {
        Path model = ModelFolder.unpack(List.of(Path.of(".."))).orElseThrow();
        assertEquals("the same bits", Checks.graphs("cpu", Precision.FP32, model).detail());
        Outcome identity = Checks.identity("cpu", Precision.FP32, model);
        assertEquals(Outcome.Verdict.OK, identity.verdict(), identity.detail());
    }
}
