package io.invadapter.engine.pipeline;

import static io.invadapter.engine.pipeline.Pictures.FACES;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.weights.model.ModelFiles;
import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(600)
class PictureParametersTest {
    private static final BufferedImage FACE = FACES.getFirst();
    private static final BufferedImage START = FACES.get(1);
    private static final BufferedImage MASK = mask();
    /** As stable-diffusion-webui's {@code re_param} has it. */
    private static final Pattern PARAMETER = Pattern.compile("\\s*(\\w[\\w \\-/]+):\\s*(\"(?:\\\\.|[^\\\\\"])+\"|[^,]*)(?:,|$)");

    @TempDir
    private static Path folder;
    private static Path style;
    private static Path words;
    private static LoraFolder loras;
    private static Pipeline pipeline;

    @BeforeAll
    static void open() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            style = Pictures.lora(folder, "style", "lora_unet_", files.unet(), ".*attn[12]\\.to_[qv]\\.weight", 1);
            words = Pictures.lora(folder, "words", "lora_te_text_model_", files.textEncoder(), ".*self_attn\\.v_proj\\.weight", 2);
            Pictures.lora(folder, "more", "lora_unet_", files.unet(), ".*attn[12]\\.to_[qv]\\.weight", 3);
        }
        loras = new LoraFolder(folder);
        pipeline = Pictures.open(IdentityBudget.NONE);
    }

    @AfterAll
    static void close() {
        pipeline.close();
    }

    private static BufferedImage mask() {
        BufferedImage mask = new BufferedImage(START.getWidth(), START.getHeight(), BufferedImage.TYPE_BYTE_GRAY);
        mask.createGraphics().fillRect(0, 0, START.getWidth(), START.getHeight() / 2);
        return mask;
    }

    private static GenerationRequest.Builder request(String prompt) {
        return GenerationRequest.builder().prompt(prompt).seed(5).steps(2).size(64, 64);
    }

    // --- the same picture again -------------------------------------------------------------------------------------

    /** A request for a picture, by nothing but its text, as webui reads it, and the pictures and files that the text names. */
    private static GenerationRequest.Builder read(String text) {
        List<String> lines = text.lines().toList();
        String texts = String.join("\n", lines.subList(0, lines.size() - 1));
        String[] both = texts.split("\nNegative prompt: ", 2);
        Map<String, String> values = new HashMap<>();
        for (Matcher found = PARAMETER.matcher(lines.getLast()); found.find(); ) {
            String value = found.group(2);
            values.put(found.group(1), value.startsWith("\"") ? value.substring(1, value.length() - 1).replace("\\\"", "\"") : value);
        }
        GenerationRequest.Builder request = GenerationRequest.builder().prompt(both[0]).loras(loras.of(both[0])).negativePrompt(both.length == 1 ? "" : both[1]);
        Map<String, Consumer<String>> readers = new HashMap<>();
        readers.put("Model", value -> { });
        readers.put("Steps", value -> request.steps(Integer.parseInt(value)));
        readers.put("Sampler", request::sampler);
        readers.put("CFG scale", value -> request.guidanceScale(Double.parseDouble(value)));
        readers.put("Seed", value -> request.seed(Long.parseLong(value)));
        readers.put("Size", value -> request.size(Integer.parseInt(value.split("x")[0]), Integer.parseInt(value.split("x")[1])));
        readers.put("Denoising strength", value -> request.init(START).strength(Double.parseDouble(value)));
        readers.put("Mask blur", value -> request.mask(MASK));
        readers.put("Guidance rescale", value -> request.guidanceRescale(Double.parseDouble(value)));
        readers.put("Clip skip", value -> request.clipSkip(Integer.parseInt(value)));
        readers.put("Emphasis", value -> request.promptSyntax(false));
        readers.put("Inv-Adapter", value -> request.face(FACE));
        readers.put("Inv-Adapter scale", value -> request.identityScale(Double.parseDouble(value)));
        readers.put("Inv-Adapter caption", request::caption);
        readers.put("Inv-Adapter layers", value -> request.identityLayers(IdentityLayers.valueOf(value)));
        readers.put("Inv-Adapter rows", value -> request.identityRows(IdentityRows.valueOf(value)));
        // Where it is not said webui takes the last layer, whatever the model.
        values.putIfAbsent("Clip skip", "1");
        values.forEach((name, value) -> readers.get(name).accept(value));
        return request;
    }

    private static int[] pixels(BufferedImage picture) {
        return picture.getRGB(0, 0, picture.getWidth(), picture.getHeight(), null, 0, picture.getWidth());
    }

    private static String assertSameAgain(Pipeline first, GenerationRequest.Builder builder, Pipeline again) {
        GenerationRequest request = builder.build();
        int last = request.count() - 1;
        String text = PictureParameters.of(request, last, first, "model");
        GenerationRequest read = read(text).build();
        assertArrayEquals(pixels(first.generate(request).images().get(last)), pixels(again.generate(read).images().getFirst()), text);
        return text;
    }

    private static String assertSameAgain(GenerationRequest.Builder request) {
        return assertSameAgain(pipeline, request, pipeline);
    }

    @Test
    void ofTextAndNumbers() {
        assertSameAgain(request("a (happy:1.3) person").negativePrompt("a hat, [red]").sampler("euler_ancestral").count(2).guidanceRescale(0.7).clipSkip(2));
        assertSameAgain(request("a (happy) person").sampler("ddim eta 0.5").guidanceScale(2));
        assertSameAgain(request("a (happy) BREAK person").promptSyntax(false));
        assertSameAgain(request("a happy BREAK person").promptSyntax(false).sampler("Euler simple"));
        assertSameAgain(request("a person").size(72, 0));
    }

    @Test
    void ofAPersonAndOfAPictureToStartFrom() {
        assertSameAgain(request("a happy person").face(FACE));
        assertSameAgain(request("a happy person").face(FACE).caption("a person: \"smiling\", cartoon").identityScale(0.5)
                .identityLayers(IdentityLayers.SELF_ONLY).identityRows(IdentityRows.BOTH).sampler("DPM++ 2M Karras"));
        assertSameAgain(request("a happy person").init(START));
        assertSameAgain(request("a happy person").init(START).mask(MASK).strength(0.8).steps(3).face(FACE).size(0, 0));
        assertTrue(assertSameAgain(request("a happy person").init(START).mask(MASK)).contains("Denoising strength: 1.0"));
    }

    @Test
    void ofLoras() {
        LoraUse half = LoraUse.of(style, 0.5);
        LoraUse more = LoraUse.of(folder.resolve("more.safetensors"), 0.7);
        String kept = assertSameAgain(request("a <lora:style:0.5> person").loras(List.of(half, new LoraUse(words, 0.5, 1))));
        assertTrue(kept.startsWith("a <lora:style:0.5> person <lora:words:0.5:1.0>\n"), kept);
        String other = assertSameAgain(request("a <lora:style:0.9> person").loras(List.of(half)));
        assertTrue(other.startsWith("a  person <lora:style:0.5>\n"), other);
        assertSameAgain(request("a <lora:style:0.5> person").loras(List.of(more, half)));
        try (Pipeline own = Pictures.builder(IdentityBudget.NONE).lora(words, 0.5).lora(more.file(), 0.7).open()) {
            String text = assertSameAgain(own, request("a <lora:style:0.5> person").loras(List.of(half)), pipeline);
            assertTrue(text.startsWith("<lora:words:0.5> <lora:more:0.7> a <lora:style:0.5> person\n"), text);
            InversionResult result = own.invert(FACE, "a person", 1, ProgressListener.NONE);
            String inverted = PictureParameters.of(result, "a person", 1, own, "model");
            assertTrue(inverted.startsWith("<lora:words:0.5> <lora:more:0.7> a person\nSteps: 1, "), inverted);
        }
    }

    /** Which reads the text encoder's layer before the last, and has options for its sampler that no name says. */
    @Test
    void ofAModelWithDefaultsOfItsOwn(@TempDir Path model) throws Exception {
        Pictures.copyOfTheModel(model);
        Path texts = model.resolve("text_encoder/config.json");
        Files.writeString(texts, Files.readString(texts).replaceFirst("\\{", "{\"clip_skip\": 2,"));
        Path scheduler = model.resolve("scheduler/scheduler_config.json");
        Files.writeString(scheduler, Files.readString(scheduler).replace("DDIMScheduler", "LCMScheduler").replaceFirst("\\{", "{\"original_inference_steps\": 30,"));
        try (Pipeline own = Pictures.builder(IdentityBudget.NONE).model(model).open()) {
            for (int layer : new int[] {0, 1, 2}) {
                String text = assertSameAgain(own, request("a happy person").clipSkip(layer), own);
                assertTrue(text.contains(", Clip skip: " + (layer == 0 ? 2 : layer)), text);
            }
            String inverted = PictureParameters.of(own.invert(FACE, "a person", 1, ProgressListener.NONE), "a person", 1, own, "model");
            assertTrue(inverted.contains(", Clip skip: 2"), inverted);
        }
        assertFalse(assertSameAgain(request("a happy person").clipSkip(1)).contains("Clip skip"));
    }

    // --- how it is written ------------------------------------------------------------------------------------------

    @Test
    void parametersSayWhatARequestLeftOpen() {
        GenerationRequest request = GenerationRequest.builder().prompt("a, b").negativePrompt("c").face(FACE)
                .caption("d: \"e\"").steps(3).guidanceScale(2).seed(5).count(2).build();
        assertEquals("a, b\nNegative prompt: c\nSteps: 3, Sampler: DDIM, CFG scale: 2.0, Seed: 6, Size: 128x128, Model: \"my, model\", "
                + "Inv-Adapter: eaa, Inv-Adapter scale: 1.0, Inv-Adapter caption: \"d: \\\"e\\\"\"", PictureParameters.of(request, 1, pipeline, "my, model"));
    }
}
