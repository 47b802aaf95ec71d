package io.invadapter.engine.model;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvAdapterException;
import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.ForwardingDevice;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A file that was made to do harm, beside a model that is as it should be, is refused in one sentence before anything is packed for the device. */
class HostileFilesTest {
    private static final String PROJECTION = "lora_unet_mid_block_attentions_0_proj_in";
    private static final String CONVOLUTION = "lora_unet_mid_block_resnets_0_conv1";
    private static final String NORM = "lora_unet_conv_norm_out";
    private static Device device;
    /** Of the layers above in the bundled model. */
    private static long channels;
    private static long normChannels;

    @TempDir
    private Path folder;

    /** Where a file is not refused. */
    private static final class Packed extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    @BeforeAll
    static void open() {
        device = new ForwardingDevice(Devices.open("cpu", Precision.FP32, notice -> { })) {
            @Override
            public Packer packer() {
                throw new Packed();
            }
        };
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            channels = files.unet().tensor("mid_block.attentions.0.proj_in.weight").shape()[0];
            normChannels = files.unet().tensor("conv_norm_out.weight").shape()[0];
        }
    }

    @AfterAll
    static void close() {
        device.close();
    }

    private void load(Map<String, Path> parts, List<Path> loras, List<Path> embeddings) {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory(), parts);
                Loras opened = Loras.open(loras.stream().map(file -> new LoraUse(file, 1, 1)).toList(), notice -> { })) {
            StableDiffusion.load(files, opened, embeddings, device, notice -> { }, ProgressListener.NONE).close();
        }
    }

    private void assertRefused(String sentence, Map<String, Path> parts, List<Path> loras, List<Path> embeddings) {
        String message = assertThrows(InvAdapterException.class, () -> load(parts, loras, embeddings)).getMessage().replace(folder + "/", "");
        assertTrue(message.contains(sentence), message);
        assertFalse(message.contains("\n"), message);
        assertTrue(message.length() < 600, message);
    }

    @Test
    void whatIsAsItShouldBeIsPacked() {
        assertThrows(Packed.class, () -> load(Map.of(), List.of(), List.of()));
    }

    // --- LoRAs ------------------------------------------------------------------------------------------------------

    private static Consumer<SafetensorsWriter> tensors(String layer, Object... factors) {
        return writer -> {
            for (int i = 0; i < factors.length; i += 2) {
                long[] shape = (long[]) factors[i + 1];
                writer.add(layer + "." + factors[i], shape, new float[(int) Shapes.elements(shape)]);
            }
        };
    }

    private static long[] shape(long... sizes) {
        return sizes;
    }

    private static Consumer<SafetensorsWriter> alpha(float... values) {
        return tensors(PROJECTION, "lora_down.weight", shape(1, channels), "lora_up.weight", shape(channels, 1)).andThen(writer ->
                writer.add(PROJECTION + ".alpha", values.length == 1 ? new long[0] : shape(values.length), values));
    }

    static Stream<Arguments> loras() {
        String start = "lora.safetensors does not fit the layer 'mid_block_attentions_0_proj_in' of this model: '" + PROJECTION + ".";
        String convolution = "lora.safetensors does not fit the layer 'mid_block_resnets_0_conv1' of this model: ";
        String norm = "lora.safetensors does not fit the layer 'conv_norm_out' of this model: ";
        long huge = 1_000_000_000;
        long c = channels;
        return Stream.of(
                Arguments.of(start + "lora_down.weight' has the shape [0, " + c + "]",
                        tensors(PROJECTION, "lora_down.weight", shape(0, c), "lora_up.weight", shape(c, 0))),
                Arguments.of(start + "lora_down.weight' has the rank 1000000000, and 4096 is the highest that is computed",
                        tensors(PROJECTION, "lora_down.weight", shape(huge, 0), "lora_up.weight", shape(0, huge))),
                Arguments.of(start + "lora_down.weight' has the shape [9223372036854775807, 0]",
                        tensors(PROJECTION, "lora_down.weight", shape(Long.MAX_VALUE, 0), "lora_up.weight", shape(0, huge))),
                Arguments.of(start + "lora_down.weight' has the shape []", tensors(PROJECTION, "lora_down.weight", shape(), "lora_up.weight", shape())),
                Arguments.of(start + "lora_up.weight' has the shape [" + c + ", 3] where [" + c + ", 2] is expected",
                        tensors(PROJECTION, "lora_down.weight", shape(2, c), "lora_up.weight", shape(c, 3))),
                Arguments.of(start + "alpha' is NaN", alpha(Float.NaN)),
                Arguments.of(start + "alpha' is Infinity", alpha(Float.POSITIVE_INFINITY)),
                Arguments.of(start + "alpha' has the shape [2] where [] is expected", alpha(1, 2)),
                Arguments.of(convolution + "'" + CONVOLUTION + ".lora_mid.weight' has the shape [2, 2, 3] where [2, 2, 3, 3] is expected",
                        tensors(CONVOLUTION, "lora_down.weight", shape(2, c), "lora_mid.weight", shape(2, 2, 3), "lora_up.weight", shape(c, 2))),
                Arguments.of(convolution + "'" + CONVOLUTION + ".hada_t1' has the shape [2, 1, 3, 3] where [2, 2, 3, 3] is expected",
                        tensors(CONVOLUTION, "hada_w1_a", shape(2, c), "hada_w1_b", shape(2, c), "hada_t1", shape(2, 1, 3, 3), "hada_w2_a", shape(2, c),
                                "hada_w2_b", shape(2, c), "hada_t2", shape(2, 2, 3, 3))),
                Arguments.of(convolution + "its first factor is [" + (c + 1) + ", 1], which does not divide",
                        tensors(CONVOLUTION, "lokr_w1", shape(c + 1, 1), "lokr_w2", shape(1, 1))),
                Arguments.of(convolution + "'" + CONVOLUTION + ".lokr_w1' has the shape [0, 4]",
                        tensors(CONVOLUTION, "lokr_w1", shape(0, 4), "lokr_w2", shape(1, 1))),
                Arguments.of(convolution + "'" + CONVOLUTION + ".lokr_t2' has the shape [2, 2] where [2, 2, 3, 3] is expected",
                        tensors(CONVOLUTION, "lokr_w1", shape(1, 1), "lokr_w2_a", shape(2, c), "lokr_w2_b", shape(2, c), "lokr_t2", shape(2, 2))),
                Arguments.of(norm + "its weight [" + normChannels + "] is no matrix",
                        tensors(NORM, "lora_down.weight", shape(1, 1), "lora_up.weight", shape(normChannels, 1))),
                Arguments.of(norm + "it has lengths of rows, and its weight [" + normChannels + "] is no matrix", tensors(NORM, "w_norm", shape(normChannels), "dora_scale", shape(2))),
                Arguments.of(start + "dora_scale' has the shape [0]", tensors(PROJECTION, "lora_down.weight", shape(1, c), "lora_up.weight", shape(c, 1),
                        "dora_scale", shape(0))),
                Arguments.of("lora.safetensors: the tensors '" + PROJECTION + ".lora.down.weight' and '" + PROJECTION + ".lora_down.weight' are the same factor",
                        tensors(PROJECTION, "lora_down.weight", shape(1, c), "lora.down.weight", shape(1, c))),
                Arguments.of("lora.safetensors changes 'mid_block.attentions.0.proj_in.weight' twice, in two spellings",
                        tensors(PROJECTION, "lora_down.weight", shape(1, c), "lora_up.weight", shape(c, 1)).andThen(
                                tensors("lora_unet_middle_block_1_proj_in", "lora_down.weight", shape(1, c), "lora_up.weight", shape(c, 1)))),
                Arguments.of("lora.safetensors is a LoRA for another model: 20000 of its 20000 layers are not in ", (Consumer<SafetensorsWriter>) writer ->
                        IntStream.range(0, 20_000).forEach(i -> writer.add("lora_unet_" + "x".repeat(200) + i + ".alpha", new long[0], new float[1]))));
    }

    @ParameterizedTest
    @MethodSource
    void loras(String sentence, Consumer<SafetensorsWriter> tensors) {
        Path file = folder.resolve("lora.safetensors");
        SafetensorsWriter writer = new SafetensorsWriter();
        tensors.accept(writer);
        writer.write(file);
        assertRefused(sentence, Map.of(), List.of(file), List.of());
    }

    static Stream<Arguments> peftConfigs() {
        return Stream.of(
                Arguments.of("adapter_config.json: lora_alpha is NaN where a number is expected", "{\"lora_alpha\": NaN}"),
                Arguments.of("adapter_config.json: lora_alpha is \"8\" where a number is expected", "{\"lora_alpha\": \"8\"}"),
                Arguments.of("adapter_config.json is not valid JSON at line 1, column 16: the number 1e999 is too large", "{\"lora_alpha\": 1e999}"),
                Arguments.of("where 65504 is the most that float16 holds", "{\"lora_alpha\": 1e300}"),
                Arguments.of("adapter_config.json: use_rslora is 1 where true or false is expected", "{\"use_rslora\": 1}"),
                Arguments.of("adapter_config.json: alpha_pattern is an array where an object is expected", "{\"alpha_pattern\": [1]}"),
                Arguments.of("adapter_config.json: alpha_pattern has the regular expression \"(a+)+$\"", "{\"alpha_pattern\": {\"(a+)+$\": 1}}"),
                Arguments.of("adapter_config.json: peft_type is \"LOHA\" where \"LORA\" is expected", "{\"peft_type\": \"LOHA\"}"),
                Arguments.of("adapter_config.json: peft_type is an object where a string is expected", "{\"peft_type\": {}}"),
                Arguments.of("adapter_config.json is an array where an object is expected", "[]"),
                Arguments.of("adapter_config.json is not valid JSON at line 1, column 69: nested deeper than 64 levels", "{\"a\":" + "[".repeat(100_000)),
                Arguments.of("adapter_config.json: lora_alpha is \"xxx", "{\"lora_alpha\": \"" + "x".repeat(1_000_000) + "\"}"),
                Arguments.of("adapter_config.json does not exist", null));
    }

    @ParameterizedTest
    @MethodSource
    void peftConfigs(String sentence, String config) throws IOException {
        Path file = folder.resolve("adapter_model.safetensors");
        String layer = "base_model.model.mid_block.attentions.0.proj_in";
        float[] ones = new float[(int) channels];
        Arrays.fill(ones, 1);
        new SafetensorsWriter().add(layer + ".lora_A.weight", shape(1, channels), ones).add(layer + ".lora_B.weight", shape(channels, 1), ones).write(file);
        if (config != null) {
            Files.writeString(folder.resolve("adapter_config.json"), config);
        }
        if (sentence.contains("float16")) {
            // Seen only when the weights are made.
            try (ModelFiles files = ModelFiles.open(BundledModel.directory()); Loras opened = Loras.open(List.of(new LoraUse(file, 1, 1)), notice -> { })) {
                String message = assertThrows(InvAdapterException.class, () ->
                        opened.over("unet", files.unet()).tensor("mid_block.attentions.0.proj_in.weight")).getMessage();
                assertTrue(message.contains(sentence), message);
            }
            return;
        }
        assertRefused(sentence, Map.of(), List.of(file), List.of());
    }

    // --- textual inversions -----------------------------------------------------------------------------------------

    static Stream<Arguments> embeddings() {
        return Stream.of(
                Arguments.of("x.safetensors is no textual inversion: its tensor <a> F16 [0, 128] is not [vectors, channels]", "<a>", 0),
                Arguments.of("x.safetensors holds 20000 vectors where a text has room for 75 tokens", "<a>", 20_000),
                Arguments.of("x.safetensors names \"\" as its placeholder, which no text can hold", "", 1),
                Arguments.of("x.safetensors names \" \\n\" as its placeholder, which no text can hold", " \n", 1),
                Arguments.of("x.safetensors names \"<|endoftext|>\" as its placeholder, which is a token of the model's own", "<|endoftext|>", 1),
                Arguments.of("x.safetensors names \"<|startoftext|>\" as its placeholder, which is a token of the model's own", "<|startoftext|>", 1));
    }

    @ParameterizedTest
    @MethodSource
    void embeddings(String sentence, String placeholder, int vectors) {
        Path file = folder.resolve("x.safetensors");
        int width = textChannels();
        new SafetensorsWriter().add(placeholder, DType.F16, shape(vectors, width), new float[vectors * width]).write(file);
        assertRefused(sentence.replace("128", String.valueOf(width)), Map.of(), List.of(), List.of(file));
    }

    private static int textChannels() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            return files.textEncoderConfig().get("hidden_size").asInt();
        }
    }

    // --- configurations ---------------------------------------------------------------------------------------------

    static Stream<Arguments> schedulers() {
        String range = ": expected 0 < beta_start < beta_end < 1 and 2 or more num_train_timesteps";
        return Stream.of(
                Arguments.of(range, "{\"num_train_timesteps\": 0}"), Arguments.of(range, "{\"num_train_timesteps\": -1000}"),
                Arguments.of(range, "{\"num_train_timesteps\": 1000000000}"),
                Arguments.of("num_train_timesteps is 1.0E9 where an integer is expected", "{\"num_train_timesteps\": 1e9}"),
                Arguments.of("num_train_timesteps is 99999999999 where an integer of 32 bits is expected", "{\"num_train_timesteps\": 99999999999}"),
                Arguments.of("beta_start is NaN where a finite number is expected", "{\"beta_start\": NaN}"),
                Arguments.of("beta_end is -Infinity where a finite number is expected", "{\"beta_end\": -Infinity}"),
                Arguments.of(range, "{\"beta_start\": 0.5, \"beta_end\": 0.1}"),
                Arguments.of("trained_betas has 3 numbers; expected 1000 between 0 and 1", "{\"trained_betas\": [0.1, 0.2, 0.3]}"),
                Arguments.of("trained_betas has 2 numbers; expected 2 between 0 and 1", "{\"trained_betas\": [0.1, NaN], \"num_train_timesteps\": 2}"),
                Arguments.of("trained_betas is an object where an array is expected", "{\"trained_betas\": {}}"),
                Arguments.of("scheduler_config.json is not valid JSON", "{\"beta_start\": " + "9".repeat(500) + "}"),
                Arguments.of("scheduler_config.json is not a configuration: a JSON object is expected", "[]"));
    }

    @ParameterizedTest
    @MethodSource
    void schedulers(String sentence, String config) throws IOException {
        Files.writeString(folder.resolve("scheduler_config.json"), config);
        assertRefused(sentence, Map.of("scheduler", folder), List.of(), List.of());
    }

    static Stream<Arguments> tokenizers() {
        return Stream.of(
                Arguments.of("is -1 where a number from 0 to ", "vocab.json", "{\"a</w>\": -1, \"<|startoftext|>\": 1, \"<|endoftext|>\": 2}"),
                Arguments.of("is 2147483647 where a number from 0 to ", "vocab.json", "{\"a</w>\": 2147483647, \"<|startoftext|>\": 1, \"<|endoftext|>\": 2}"),
                Arguments.of("a</w> is 99999999999 where an integer of 32 bits is expected", "vocab.json", "{\"a</w>\": 99999999999}"),
                Arguments.of("names the special token \"<|startoftext|>\", which is not in its vocabulary", "vocab.json", "{}"),
                Arguments.of("vocab.json is an array where an object is expected", "vocab.json", "[1]"),
                Arguments.of("merges.txt line 2 is \"a\" where two symbols with a space between are expected", "merges.txt", "#version: 0.2\na\n"),
                Arguments.of("merges.txt line 1 is \"xyzzy", "merges.txt", "xyzzy".repeat(100_000)),
                Arguments.of("merges.txt line 1 needs \"qqqqq\", which is not in the vocabulary", "merges.txt", "qqqqq w\n"),
                Arguments.of("where a token id is expected", "tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<a>\"}}}"),
                Arguments.of("is -7 where a number from 0 to ", "tokenizer_config.json", "{\"added_tokens_decoder\": {\"-7\": {\"content\": \"<a>\"}}}"),
                Arguments.of("model_max_length is -1", "tokenizer_config.json", "{\"model_max_length\": -1}"),
                Arguments.of("model_max_length is \"long\" where a number is expected", "tokenizer_config.json", "{\"model_max_length\": \"long\"}"),
                Arguments.of("tokens, the text encoder only ", "added_tokens.json", IntStream.range(0, 20_000).mapToObj(i -> "\"<" + i + ">\": " + (49408 + i))
                        .collect(Collectors.joining(", ", "{", "}"))));
    }

    @ParameterizedTest
    @MethodSource
    void tokenizers(String sentence, String name, String content) throws IOException {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory()); Stream<Path> own = Files.list(files.tokenizerFolder().orElseThrow())) {
            for (Path file : own.toList()) {
                Files.copy(file, folder.resolve(file.getFileName()));
            }
        }
        if (name.equals("added_tokens.json")) {
            Files.writeString(folder.resolve("tokenizer_config.json"), "{}");
        }
        Files.writeString(folder.resolve(name), content);
        assertRefused(sentence, Map.of("tokenizer", folder), List.of(), List.of());
    }
}
