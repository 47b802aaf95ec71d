package io.invadapter.verification;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.verification.Example.Values;
import io.invadapter.verification.Verification.Part;
import io.invadapter.verification.Verification.Row;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.safetensors.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What {@code verify} makes of a folder of each case: what agrees passes, what does not is named, and so is what is missing or has
 * another form. Whether the numbers are the reference's is a matter of golden data.
 */
class CasesTest {
    private static final String EXAMPLES = "io.invadapter.verification.Examples#all";
    /** By the name of the case: its folder, and the golden data in it. */
    private static final Map<String, Map<String, Values>> FINISHED = new HashMap<>();

    @TempDir
    private static Path temporary;

    private static Path folder(Example example) {
        return temporary.resolve(example.toString());
    }

    private static Verification verify(Example example) {
        // What is loaded stays until the device is closed.
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            return Verification.run(folder(example), device, EnumSet.allOf(Part.class));
        }
    }

    private static Verification verify(Example example, Map<String, Values> golden) throws IOException {
        Example.write(golden, folder(example).resolve("golden.safetensors"));
        return verify(example);
    }

    /** Inputs, and the results as they are computed, all of them finite. The folder is made with it. */
    private static Map<String, Values> finished(Example example) throws IOException {
        Map<String, Values> known = FINISHED.get(example.toString());
        if (known == null) {
            example.write(folder(example));
            known = new LinkedHashMap<>(example.inputs());
            known.putAll(example.results());
            Path dump = temporary.resolve(example + ".safetensors");
            verify(example, known).dump(dump);
            try (WeightSource computed = Safetensors.open(dump)) {
                for (String key : example.results().keySet()) {
                    if (example.results().get(key).floats() != null) {
                        known.put(key, Example.read(computed.tensor(key)));
                    }
                }
            }
            FINISHED.put(example.toString(), known);
        }
        return new LinkedHashMap<>(known);
    }

    /** One sentence that names the file and what is wrong in it. */
    private static void refused(Example example, Map<String, Values> golden, String... parts) {
        String message = assertThrows(WeightException.class, () -> verify(example, golden), String.join(" ", parts)).getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), message);
        }
        assertEquals(1, message.lines().count(), message);
    }

    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void whatAgreesPasses(Example example) throws IOException {
        Verification verification = verify(example, finished(example));
        assertTrue(verification.passed(), () -> verification.rows() + " " + verification.differentTokens());
        assertEquals(List.of(), verification.skipped());
        assertEquals(example.results().keySet(), verification.rows().stream().map(Row::key).collect(Collectors.toSet()));
    }

    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void everyResultIsCompared(Example example) throws IOException {
        Map<String, Values> golden = finished(example);
        golden.replaceAll((key, values) -> example.results().containsKey(key) ? values.startingWith(100) : values);
        Verification verification = verify(example, golden);
        assertEquals(List.of(), verification.rows().stream().filter(Row::passed).toList());
    }

    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void oneNumberThatDiffersIsNamed(Example example) throws IOException {
        Map<String, Values> golden = finished(example);
        String last = List.copyOf(example.results().keySet()).getLast();
        Values values = golden.get(last);
        golden.put(last, values.startingWith(values.floats()[0] + 1));
        Verification verification = verify(example, golden);
        assertFalse(verification.passed());
        assertEquals(List.of(last), verification.rows().stream().filter(row -> !row.passed()).map(Row::key).toList());
    }

    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void aResultThatIsNotComputedFails(Example example) throws IOException {
        Map<String, Values> golden = finished(example);
        golden.put("eps.unheard_of", new Values(new long[] {1}, new float[1], null));
        Verification verification = verify(example, golden);
        assertFalse(verification.passed());
        assertEquals(List.of("eps.unheard_of"), verification.skipped());
    }

    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void anInputThatIsMissingOrHasAnotherFormIsNamed(Example example) throws IOException {
        for (String key : example.inputs().keySet()) {
            Map<String, Values> golden = finished(example);
            Values values = golden.remove(key);
            refused(example, golden, "golden.safetensors", "'" + key + "'");
            golden.put(key, values.of(1));
            refused(example, golden, "golden.safetensors", "'" + key + "'", "[1]");
            if (values.floats() != null) {
                golden.put(key, values.startingWith(Float.NaN));
                refused(example, golden, "golden.safetensors", "'" + key + "'", "not finite");
            }
        }
    }

    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void aResultOfAnotherFormIsNamed(Example example) throws IOException {
        String key = List.copyOf(example.results().keySet()).getLast();
        Map<String, Values> golden = finished(example);
        Values values = golden.get(key);
        golden.put(key, values.of(1));
        refused(example, golden, "golden.safetensors", "'" + key + "'", "[1]");
        golden.put(key, values.startingWith(Float.POSITIVE_INFINITY));
        refused(example, golden, "golden.safetensors", "'" + key + "'", "not finite");
    }

    @Test
    void aCaseThatIsNotKnownIsRefusedWhateverFilesItHas(@TempDir Path other) throws IOException {
        Files.writeString(other.resolve("case.json"), "{\"case\": \"sdxl\"}");
        try (Device device = Devices.open("cpu", Precision.FP32, notice -> { })) {
            String message = assertThrows(InvalidRequestException.class, () -> Verification.load(other, device)).getMessage();
            assertTrue(message.startsWith(other.resolve("case.json") + ": case is \"sdxl\", which this version does not compute; expected img2img-inpaint, "),
                    message);
        }
    }

    @ParameterizedTest
    @CsvSource({"sd2, '\"steps\": 2', '\"steps\": 1001', 'steps must be between 1 and 1000, not 1001'",
        "lora, '\"t\": 601', '\"t\": 1000', 't is 1000 where a timestep from 0 to 999 is expected'",
        "lcm, '\"t\": 601', '\"t\": -1', 't is -1 where a timestep from 0 to 999 is expected'",
        "lcm, '[2]', '[51]', 'steps must be between 1 and 50, not 51'",
        "sd2, '\"guidance\": 6.0', '\"guidance\": 0.5', 'guidance is 0.5 where 1 or more is expected'",
        "samplers, '\"strength\": 0.5', '\"strength\": 0.1', 'a strength of 0.1 leaves none of 4 steps'",
        "img2img-inpaint, '[0.5]', '[0.1]', 'a strength of 0.1 leaves none of 2 steps'"})
    void aNumberThatCannotBeIsRefusedWithItsFile(String name, String right, String wrong, String problem) throws IOException {
        Example example = Examples.all().filter(each -> each.toString().equals(name)).findFirst().orElseThrow();
        Map<String, Values> golden = finished(example);
        Path file = folder(example).resolve("case.json");
        String parameters = Files.readString(file);
        Files.writeString(file, parameters.replace(right.replace(" ", ""), wrong).replace(right, wrong));
        refused(example, golden, file + ": " + problem);
        Files.writeString(file, parameters);
    }

    /** Those that nobody reads may be missing. */
    @ParameterizedTest
    @MethodSource(EXAMPLES)
    void aParameterThatIsMissingOrOfAnotherKindIsNamed(Example example) throws IOException {
        Map<String, Values> golden = finished(example);
        Path file = folder(example).resolve("case.json");
        JsonValue parameters = example.parameters();
        for (String key : Set.copyOf(parameters.asObject().keySet())) {
            if (!List.of("case", "base").contains(key)) {
                Files.writeString(file, parameters.with(key, Map.of()).toString());
                refused(example, golden, file + ": " + key + " is an object where ", " is expected");
            }
        }
        Files.writeString(file, parameters.toString());
    }
}
