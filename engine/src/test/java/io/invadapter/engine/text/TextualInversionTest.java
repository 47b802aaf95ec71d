package io.invadapter.engine.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TextualInversionTest {
    private static final int CHANNELS = 4;

    @TempDir
    private Path folder;
    private final List<String> notices = new ArrayList<>();

    private Path write(String name, String key, long[] shape, float... values) {
        Path file = folder.resolve(name);
        new SafetensorsWriter().add(key, shape, values).write(file);
        return file;
    }

    private Path write(String name, String key, long... shape) {
        return write(name, key, shape, new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)]);
    }

    private List<TextualInversion> read(Path... places) {
        return TextualInversion.readAll(List.of(places), CHANNELS, 75, notices::add);
    }

    private String refusal(Path... places) {
        return assertThrows(WeightException.class, () -> read(places)).getMessage();
    }

    private static TextualInversion named(String placeholder, int count) {
        return new TextualInversion(placeholder, new float[count * CHANNELS], CHANNELS, Path.of("x"));
    }

    @Test
    void filesOfDiffusersNameTheirPlaceholderThoseOfWebuiAreNamedForIt() {
        List<TextualInversion> read = read(write("learned_embeds.safetensors", "<sks>", new long[] {2, 4}, 1, 2, 3, 4, 5, 6, 7, 8),
                write("one.safetensors", "<one>", new long[] {4}, 9, 10, 11, 12), write("amber-style.safetensors", "emb_params", 3, 4));
        assertEquals(List.of("<sks>", "<one>", "amber-style"), read.stream().map(TextualInversion::placeholder).toList());
        assertEquals(List.of(2, 1, 3), read.stream().map(TextualInversion::count).toList());
        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6, 7, 8}, read.get(0).vectors());
        assertArrayEquals(new float[] {9, 10, 11, 12}, read.get(1).vectors());
    }

    @Test
    void halvesAreReadToo() {
        Path file = folder.resolve("half.safetensors");
        new SafetensorsWriter().add("emb_params", DType.F16, new long[] {1, 4}, new float[] {0.5f, -1, 2, 0}).write(file);
        assertArrayEquals(new float[] {0.5f, -1, 2, 0}, read(file).getFirst().vectors());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "<sks>|768|is an embedding (textual inversion) for Stable Diffusion 1.x, not for this model: its vectors have 768 channels, this model's text encoder 4",
        "clip_g|1280|is an embedding (textual inversion) for Stable Diffusion XL, not for Stable Diffusion 1.x or 2.x"})
    void whatIsForAnotherModelIsRefused(String key, int channels, String sentence) {
        Path file = write("x.safetensors", key, 1, channels);
        assertEquals(file + " " + sentence, refusal(file));
    }

    @Test
    void otherFilesAreNamedForWhatTheyAre() {
        Path lora = folder.resolve("lora.safetensors");
        new SafetensorsWriter().add("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", new long[] {1, 4}, new float[4])
                .add("lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", new long[] {4, 1}, new float[4]).write(lora);
        assertEquals(lora + " is a LoRA, not a textual inversion, which is one tensor", refusal(lora));
        Path control = folder.resolve("control.safetensors");
        new SafetensorsWriter().add("control_model.a", new long[] {1}, new float[1]).add("control_model.b", new long[] {1}, new float[1]).write(control);
        assertEquals(control + " is a ControlNet, not a textual inversion, which is one tensor", refusal(control));
        assertEquals(folder.resolve("old.pt") + " is a pickle by its name, which is not read: a textual inversion is expected as .safetensors",
                refusal(folder.resolve("old.pt")));
        Path cube = write("cube.safetensors", "<a>", 1, 2, 4);
        assertTrue(refusal(cube).startsWith(cube + " is no textual inversion: its tensor <a> F32 [1, 2, 4]"), refusal(cube));
    }

    @Test
    void valuesAreValidated() {
        Path many = write("many.safetensors", "<a>", 76, 4);
        assertEquals(many + " holds 76 vectors where a text has room for 75 tokens", refusal(many));
        assertTrue(refusal(write("nan.safetensors", "<a>", new long[] {4}, 1, Float.NaN, 0, 0)).contains("not finite"));
        assertTrue(refusal(write("blank.safetensors", " ", 4)).contains("names \" \" as its placeholder"));
    }

    @Test
    void inAFolderWhatIsNoneIsPassedOverWithANotice() throws Exception {
        write("b.safetensors", "emb_params", 1, 4);
        write("a.safetensors", "<a>", 1, 4);
        Path other = write("c.safetensors", "<c>", 1, 8);
        Files.writeString(folder.resolve("notes.txt"), "no weights");
        assertEquals(List.of("<a>", "b"), read(folder).stream().map(TextualInversion::placeholder).toList());
        assertEquals(List.of(other + " is an embedding (textual inversion), not for this model: its vectors have 8 channels, this model's text encoder 4; it is passed over"), notices);
    }

    @Test
    void onePlaceholderIsThatOfOneFile() {
        Path first = write("a.safetensors", "<x>", 1, 4);
        Path second = write("b.safetensors", "<X>", 1, 4);
        assertEquals(second + " has the placeholder <X>, as " + first + " has", refusal(first, second));
        assertEquals(1, read(first, first).size());
    }

    /** A vocabulary may have hundreds of megabytes, and LoRAs are swapped often. */
    @Test
    void whatIsJoinedGoesWithTheLoadingOfTheTextEncoder() {
        List<MemorySegment> joined = new ArrayList<>();
        try (ModelFiles files = ModelFiles.open(BundledModel.directory()); Device device = new ForwardingDevice(Devices.open("cpu", Precision.FP32, notice -> { })) {
            @Override
            public Packer packer() {
                return (Packer) Proxy.newProxyInstance(Packer.class.getClassLoader(), new Class<?>[] {Packer.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals("table")) {
                        joined.add(((HostTensor) arguments[0]).data());
                    }
                    return method.invoke(packer, arguments);
                });
            }

            private final Packer packer = super.packer();
        }) {
            ClipTextConfig config = ClipTextConfig.of(files.textEncoderConfig(), notices::add);
            ClipTextEncoder.load(config.with(List.of(new TextualInversion("<a>", new float[config.channels()], config.channels(), folder))),
                    files.textEncoder(), device);
            assertFalse(joined.getFirst().scope().isAlive());
        }
    }

    // --- in texts ---------------------------------------------------------------------------------------------------

    private static int[] ids(ClipTokenizer tokenizer, String text) {
        int[] ids = tokenizer.encode(text).ids();
        return Arrays.copyOfRange(ids, 1, 1 + (int) Arrays.stream(ids, 1, ids.length).takeWhile(id -> id != tokenizer.end()).count());
    }

    @Test
    void aPlaceholderStandsForItsVectorsWhereverItOccurs() {
        ClipTokenizer tokenizer = ClipTokenizer.bundled().withPlaceholders(List.of(named("<a>", 2), named("<a>-2", 1), named("art", 1)), 50000);
        assertArrayEquals(new int[] {320, 50000, 50001, 267, 50000, 50001}, ids(tokenizer, "a <a>, <A>"));
        assertArrayEquals(new int[] {343, 50000, 50001, 343}, ids(tokenizer, "x<a>x"));
        assertArrayEquals(new int[] {50002}, ids(tokenizer, "<a>-2"));
    }

    /** The ids of Hugging Face's tokenizer after {@code add_tokens}, a placeholder's first id replaced by all of its own. */
    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', ignoreLeadingAndTrailingWhitespace = false, value = {
        "xsksy;343 49408 49409 344",
        "mysks;607 49408 49409",
        "skss and sks1;49408 49409 338 537 49408 49409 272",
        "sks's;49408 49409 568",
        "SKS, Sks;49408 49409 267 49408 49409",
        "skssks;49408 49409 49408 49409",
        "sks\u0301;909 129 505",
        "e\u0301sks;4166 49408 49409",
        "a<one>b;320 49410 321",
        "amber-styles;49411 49412 49413 338",
        "AMBER-STYLE!;49411 49412 49413 256",
        "my   token;49415",
        "u\u0308berfotos;49414 338",
        "zwxq12;49416 49417 273"})
    void aPlaceholderIsFoundWhereTheReferenceFindsIt(String text, String expected) {
        ClipTokenizer tokenizer = ClipTokenizer.bundled().withPlaceholders(List.of(named("sks", 2), named("<one>", 1), named("amber-style", 3),
                named("\u00dcberfoto", 1), named("my token", 1), named("zwxq1", 2)), 49408);
        assertEquals(expected, Arrays.stream(ids(tokenizer, text)).mapToObj(Integer::toString).collect(Collectors.joining(" ")));
    }

    @Test
    void byTheRulesOfWebuiOneThatIsAPlainWordIsNotFoundInsideAnother() {
        ClipTokenizer tokenizer = ClipTokenizer.bundled().withPlaceholders(List.of(named("art", 1)), 50000);
        assertArrayEquals(tokenizer.encode("art, Art-art").ids(), Prompt.weighted("prompt", "art, Art-art", tokenizer).chunks().getFirst().ids());
        assertArrayEquals(ClipTokenizer.bundled().encode("a smart party").ids(),
                Prompt.weighted("prompt", "a smart party", tokenizer).chunks().getFirst().ids());
    }

    @Test
    void readWordForWordItIsCutInTheMiddle() {
        ClipTokenizer tokenizer = ClipTokenizer.bundled().withPlaceholders(List.of(named("<a>", 3)), 50000);
        ClipTokenizer.Encoding encoding = tokenizer.encode("word ".repeat(73) + "<a> end");
        assertArrayEquals(new int[] {50000, 50001, 49407}, Arrays.copyOfRange(encoding.ids(), 74, 77));
        assertEquals("<a> end", encoding.cut());
    }

    /** As a tokenizer that was saved with the placeholder of another file has it. */
    @Test
    void aPlaceholderThatTheTokenizerHasAlreadyIsRefused() {
        ClipTokenizer tokenizer = ClipTokenizer.bundled().withPlaceholders(List.of(named("<cat-toy>", 1)), 50000);
        String message = assertThrows(WeightException.class, () -> tokenizer.withPlaceholders(List.of(named("<Cat-Toy>", 1)), 50001)).getMessage();
        assertTrue(message.endsWith("names \"<Cat-Toy>\" as its placeholder, which is a token of the model's own"), message);
    }
}
