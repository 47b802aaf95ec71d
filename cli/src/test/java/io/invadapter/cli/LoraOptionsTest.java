package io.invadapter.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine.TypeConversionException;

/** {@code --lora}, and tags in prompts with {@code --lora-dir}. */
class LoraOptionsTest {
    private static final String LAYER = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v";

    @TempDir
    private Path folder;
    private Path style;

    @BeforeEach
    void write() throws Exception {
        Files.createDirectories(folder.resolve("loras/styles"));
        style = folder.resolve("loras/styles/style.safetensors");
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            long[] shape = files.unet().tensor(LAYER + ".weight").shape();
            float[] down = new float[(int) shape[1]];
            float[] up = new float[(int) shape[0]];
            Arrays.fill(down, 0.1f);
            Arrays.fill(up, 0.5f);
            new SafetensorsWriter().add("unet." + LAYER + ".lora_A.weight", new long[] {1, shape[1]}, down)
                    .add("unet." + LAYER + ".lora_B.weight", new long[] {shape[0], 1}, up).write(style);
        }
    }

    private static String message(int code, Object... arguments) {
        StringWriter err = new StringWriter();
        assertEquals(code, Main.commandLine().setErr(new PrintWriter(err, true)).execute(Stream.of(arguments).map(Object::toString).toArray(String[]::new)),
                err::toString);
        return err.toString().strip();
    }

    private byte[] picture(String name, Object... more) throws Exception {
        Path out = folder.resolve(name + ".png");
        Object[] arguments = Stream.concat(Stream.of("generate", "--steps", 2, "--seed", 5, "--size", 64, "-q", "-o", out), Stream.of(more)).toArray();
        assertEquals("", message(0, arguments));
        return Files.readAllBytes(out);
    }

    @Test
    void anOptionAndATagGiveTheSamePicture() throws Exception {
        byte[] plain = picture("plain", "--prompt", "a happy person");
        byte[] tagged = picture("tagged", "--prompt", "a happy person <lora:style:0.5>", "--lora-dir", folder);
        byte[] option = picture("option", "--prompt", "a happy person", "--lora", style + ":0:0.5");
        String parameters = new String(tagged, StandardCharsets.ISO_8859_1);
        assertTrue(parameters.contains("a happy person <lora:style:0.5>\nSteps: 2"), "the tag stays in the parameters");
        assertTrue(new String(option, StandardCharsets.ISO_8859_1).contains("<lora:style:0.0:0.5> a happy person\nSteps: 2"));
        assertArrayEquals(pixels("tagged"), pixels("option"));
        assertFalse(Arrays.equals(pixels("plain"), pixels("tagged")), "it changes the picture");
        assertTrue(plain.length > 0);
    }

    private int[] pixels(String name) throws Exception {
        return ImageIO.read(folder.resolve(name + ".png").toFile()).getRGB(0, 0, 64, 64, null, 0, 64);
    }

    @ParameterizedTest
    @CsvSource({"style.safetensors, style.safetensors, 1", "style.safetensors:0.8, style.safetensors, 0.8", "a:b.safetensors, a:b.safetensors, 1",
        "C:\\loras\\style.safetensors, C:\\loras\\style.safetensors, 1", "C:\\loras\\style.safetensors:-.5, C:\\loras\\style.safetensors, -0.5",
        "style:, style:, 1", ":0.5, :0.5, 1", "style:1.2.3, style:1.2.3, 1"})
    void colonsOfNamesAreNoScales(String text, String file, double scale) {
        assertEquals(LoraUse.of(Path.of(file), scale), LoraOption.of(text));
    }

    @ParameterizedTest
    @CsvSource({"style.safetensors:0.5:1, style.safetensors, 0.5, 1", "C:\\style:-1:.25, C:\\style, -1, 0.25", "1:2:3, 1, 2, 3", "a:1:b:0.5:1e-1, a:1:b, 0.5, 0.1"})
    void twoScalesAreForTextEncoderAndUNet(String text, String file, double textEncoder, double unet) {
        assertEquals(new LoraUse(Path.of(file), textEncoder, unet), LoraOption.of(text));
    }

    @Test
    void aScaleThatIsNoNumberAndAFolderOfEmbeddingsAreSaidToBe() {
        for (String scale : new String[] {"nan", "0,8", "", "1f", "0x1p3"}) {
            String message = message(2, "generate", "--prompt", "a", "-q", "--lora", style + ":" + scale);
            assertTrue(message.contains("has the scale '" + scale + "'; expected a number, such as 0.8"), message);
        }
        String message = message(2, "generate", "--prompt", "a", "-q", "--embedding", folder);
        assertTrue(message.contains("is a folder; expected a file, or --embeddings-dir"), message);
    }

    @Test
    void aFileThatIsThereIsAName() throws Exception {
        Path odd = Files.createFile(folder.resolve("style:2"));
        assertEquals(LoraUse.of(odd, 1), LoraOption.of(odd.toString()));
        assertEquals(LoraUse.of(odd, 0.5), LoraOption.of(odd + ":0.5"));
        assertEquals(new LoraUse(odd, 0.5, 3), LoraOption.of(odd + ":0.5:3"));
        for (String scales : new String[] {"1000", "1000:1", "1:1000"}) {
            assertEquals("the scale of x must be between -100 and 100, not 1000.0",
                    assertThrows(TypeConversionException.class, () -> LoraOption.of("x:" + scales)).getMessage());
        }
    }

    @Test
    void mistakesAreOneSentence() throws Exception {
        Path out = folder.resolve("out.png");
        assertEquals("invadapter: the prompt asks for the LoRA <lora:style:0.5>; the folder that it is in is expected as --lora-dir",
                message(2, "generate", "--prompt", "a person <lora:style:0.5>", "-o", out));
        assertEquals("invadapter: <lora:stile>: there is no 'stile.safetensors' in " + folder + ", but 'style'",
                message(2, "generate", "--prompt", "a <lora:stile>", "--lora-dir", folder, "-o", out));
        assertEquals("invadapter: <lora:style:x>: 'x' is no number; expected <lora:name:0.8>",
                message(2, "generate", "--prompt", "a <lora:style:x>", "--lora-dir", folder, "-o", out));
        assertEquals("invadapter: " + folder.resolve("none.safetensors") + " does not exist",
                message(2, "generate", "--prompt", "a person", "--lora", folder.resolve("none.safetensors") + ":1", "-o", out));
        assertEquals("invadapter: " + BundledModel.adapter() + " is an Inv-Adapter, not a LoRA",
                message(1, "generate", "--prompt", "a person", "--lora", BundledModel.adapter(), "-q", "-o", out));
        Path ofAnother = folder.resolve("xl.safetensors");
        new SafetensorsWriter().add("lora_te2_text_projection.alpha", new long[0], new float[1]).write(ofAnother);
        assertEquals("invadapter: " + ofAnother + " is a LoRA for Stable Diffusion XL, not for Stable Diffusion 1.x or 2.x",
                message(1, "generate", "--prompt", "a person", "--lora", ofAnother, "-q", "-o", out));
        assertFalse(Files.exists(out));
    }
}
