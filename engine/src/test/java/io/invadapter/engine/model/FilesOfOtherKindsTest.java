package io.invadapter.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.text.TextualInversion;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.FileKind;
import io.invadapter.weights.model.Lora;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Whatever people have, given as a model, a LoRA, a textual inversion or an adapter, is refused in a sentence that says what it is. */
class FilesOfOtherKindsTest {
    private static Device device;
    private static UNet unet;

    @TempDir
    private Path folder;

    @BeforeAll
    static void open() {
        device = Devices.open("cpu", Precision.FP32, notice -> { });
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            unet = UNet.load(UNetConfig.of(files.unetConfig(), notice -> { }), files.unet(), device);
        }
    }

    @AfterAll
    static void close() {
        unet.close();
        device.close();
    }

    private String refusal(Executable open) {
        String sentence = assertThrows(WeightException.class, open).getMessage();
        return sentence.replace(folder + "/", "");
    }

    private String asModel(Path file) {
        return refusal(() -> ModelFiles.open(file).close());
    }

    private String asLora(Path file) {
        return refusal(() -> Lora.open(file, notice -> { }).close());
    }

    private String asEmbedding(Path file) {
        return refusal(() -> TextualInversion.read(file, 10, 75));
    }

    private String asAdapter(Path file) {
        return refusal(() -> {
            try (WeightSource source = Safetensors.open(file)) {
                EmbeddedAttentionAdapter.load(source, unet, device).close();
            }
        });
    }

    // --- safetensors ------------------------------------------------------------------------------------------------

    /** @param tensors names, each with its shape behind it */
    private Path write(String tensors) {
        SafetensorsWriter writer = new SafetensorsWriter();
        for (String tensor : tensors.split(", ")) {
            String[] parts = tensor.split(" ");
            long[] shape = parts.length == 1 ? new long[] {2} : Arrays.stream(parts[1].split("x")).mapToLong(Long::parseLong).toArray();
            writer.add(parts[0], DType.F16, shape, MemorySegment.ofArray(new short[(int) Shapes.elements(shape)]));
        }
        Path file = folder.resolve("x.safetensors");
        writer.write(file);
        return file;
    }

    static Stream<Arguments> kinds() {
        String unet = "model.diffusion_model.input_blocks.0.0.weight, model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight 4x";
        String parts = ", first_stage_model.encoder.conv_in.weight, cond_stage_model.transformer.text_model.final_layer_norm.weight";
        String layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.";
        return Stream.of(
                Arguments.of("a checkpoint of Stable Diffusion XL", unet + "2048, conditioner.embedders.0.transformer.text_model.final_layer_norm.weight"),
                Arguments.of("a checkpoint of Stable Diffusion XL", unet + "1280, conditioner.embedders.0.model.ln_final.weight, model.diffusion_model.label_emb.0.0.weight"),
                Arguments.of("a checkpoint of Stable Video Diffusion", "model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight, conditioner.embedders.0.open_clip.model.x"),
                Arguments.of("a checkpoint of Stable unCLIP", unet + "1024, embedder.model.visual.conv1.weight, model.diffusion_model.label_emb.0.0.weight" + parts),
                Arguments.of("a checkpoint of Stable Diffusion's upscaler", unet + "1024, model.diffusion_model.label_emb.weight" + parts),
                Arguments.of("a model of Stable Diffusion 3", "model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight, model.diffusion_model.joint_blocks.0.context_block.attn.qkv.bias"),
                Arguments.of("a model of Stable Diffusion 3", "transformer_blocks.0.attn.to_q.weight, context_embedder.weight, pos_embed.proj.weight"),
                Arguments.of("a model of Flux", "model.diffusion_model.double_blocks.0.img_attn.qkv.weight, model.diffusion_model.double_blocks.0.img_attn.qkv.bias"),
                Arguments.of("a model of Flux", "double_blocks.0.img_attn.qkv.weight, double_blocks.0.img_attn.qkv.bias"),
                Arguments.of("a model of Flux", "transformer_blocks.0.attn.to_q.weight, context_embedder.weight, single_transformer_blocks.0.attn.to_q.weight"),
                Arguments.of("a model of Stable Cascade", "down_blocks.0.0.channelwise.0.weight, down_blocks.0.0.channelwise.0.bias"),
                Arguments.of("a model with a transformer in place of a UNet", "transformer_blocks.0.attn1.to_q.weight, adaln_single.linear.weight"),
                Arguments.of("a model with a transformer in place of a UNet", "model.diffusion_model.blocks.0.self_attn.q.weight, model.diffusion_model.blocks.0.self_attn.q.bias"),
                Arguments.of("a UNet of Stable Diffusion 1.x", "conv_in.weight, " + layer + "weight 4x768"),
                Arguments.of("a UNet of Stable Diffusion 2.x", "input_blocks.0.0.weight, input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight 4x1024"),
                Arguments.of("a UNet of Stable Diffusion XL", "conv_in.weight, down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k.weight 4x2048"),
                Arguments.of("a UNet of the refiner of Stable Diffusion XL", "conv_in.weight, " + layer + "weight 4x1280"),
                Arguments.of("a VAE", "encoder.conv_in.weight, decoder.conv_in.weight"),
                Arguments.of("a VAE", "first_stage_model.encoder.conv_in.weight, first_stage_model.decoder.conv_in.weight"),
                Arguments.of("a tiny VAE (TAESD)", "encoder.layers.0.weight, decoder.layers.0.weight"),
                Arguments.of("a text encoder", "text_model.embeddings.token_embedding.weight, text_model.encoder.layers.0.self_attn.q_proj.weight"),
                Arguments.of("a text encoder", "embeddings.token_embedding.weight, encoder.layers.0.self_attn.q_proj.weight"),
                Arguments.of("a T5 text encoder", "shared.weight, encoder.block.0.layer.0.SelfAttention.q.weight"),
                Arguments.of("a language model", "model.embed_tokens.weight, model.layers.0.self_attn.q_proj.weight"),
                Arguments.of("an image encoder (CLIP vision)", "vision_model.embeddings.class_embedding, visual_projection.weight"),
                Arguments.of("a CLIP of texts and pictures", "vision_model.embeddings.class_embedding, text_model.embeddings.token_embedding.weight"),
                Arguments.of("a CLIP of texts and pictures", "visual.conv1.weight, token_embedding.weight, transformer.resblocks.0.ln_1.weight"),
                Arguments.of("a ControlNet for Stable Diffusion 1.x", "conv_in.weight, controlnet_cond_embedding.conv_in.weight, " + layer + "weight 4x768"),
                Arguments.of("a ControlNet for Stable Diffusion XL", "controlnet_down_blocks.0.weight, conv_in.weight, " + layer + "weight 4x2048"),
                Arguments.of("a ControlNet for Stable Diffusion 2.x", "control_model.middle_block_out.0.weight, "
                        + "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight 4x1024"),
                Arguments.of("a ControlNet", "lora_controlnet, input_blocks.1.0.emb_layers.1.up, input_hint_block.0.weight"),
                Arguments.of("a ControlNet for Stable Diffusion XL", "lllite_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.down.0.weight, "
                        + "lllite_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.up.0.weight"),
                Arguments.of("a ControlNet for Flux", "controlnet_x_embedder.weight, single_transformer_blocks.0.attn.to_q.weight"),
                Arguments.of("a T2I-Adapter", "body.0.block1.weight, body.0.block2.weight, conv_in.weight"),
                Arguments.of("a T2I-Adapter", "adapter.body.0.resnets.0.block1.weight, adapter.conv_in.weight"),
                Arguments.of("an IP-Adapter for Stable Diffusion 1.x", "image_proj.proj.weight, image_proj.norm.weight, ip_adapter.1.to_k_ip.weight 4x768"),
                Arguments.of("an IP-Adapter Plus for Stable Diffusion XL", "image_proj.latents, image_proj.proj_in.weight 4x1280, ip_adapter.1.to_k_ip.weight 4x2048"),
                Arguments.of("an IP-Adapter FaceID for Stable Diffusion 1.x", "image_proj.proj.0.weight 4x512, ip_adapter.0.to_q_lora.down.weight 4x320, "
                        + "ip_adapter.0.to_q_lora.up.weight 320x4, ip_adapter.1.to_k_ip.weight 4x768"),
                Arguments.of("an IP-Adapter FaceID for Stable Diffusion XL", "image_proj.perceiver_resampler.proj_in.weight, ip_adapter.0.to_q_lora.down.weight 4x320, "
                        + "ip_adapter.0.to_q_lora.up.weight 320x4, ip_adapter.1.to_k_ip.weight 4x2048"),
                Arguments.of("an InstantID", "image_proj.latents, image_proj.proj_in.weight 4x512, ip_adapter.1.to_k_ip.weight 4x2048"),
                Arguments.of("a PhotoMaker", "id_encoder.vision_model.post_layernorm.weight, lora_weights.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor."
                        + "to_q_lora.down.weight 4x640, lora_weights.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight 640x4"),
                Arguments.of("a motion module of AnimateDiff", "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight, up_blocks.0.motion_modules.0.x"),
                Arguments.of("a hypernetwork", "768.0.linear.0.weight, 768.1.linear.0.weight, 320.0.linear.0.weight"),
                Arguments.of("an upscaler of pictures", "conv_first.weight, body.0.rdb1.conv1.weight"),
                Arguments.of("an upscaler of pictures", "model.0.weight, model.1.sub.0.RDB1.conv1.0.weight"),
                Arguments.of("an upscaler of pictures", "body.0.weight, body.1.weight, body.2.weight"),
                Arguments.of("an upscaler of pictures", "layers.0.residual_group.blocks.0.norm1.weight, patch_embed.norm.weight"),
                Arguments.of("a file of 3 tensors such as 'a.x'", "a.x, b.x, c.x"));
    }

    private static final String NOT_A_MODEL = " where a full checkpoint of Stable Diffusion 1.x or 2.x, or the folder of such a model, is expected";
    private static final String NOT_AN_EMBEDDING = ", not a textual inversion, which is one tensor";
    private static final String NOT_AN_ADAPTER = ", not an Inv-Adapter, which has names like 'down_blocks.0.attentions.0.transformer_blocks.0.attn1.eaa.to_k.weight'";

    private void assertKind(String kind, Path file) {
        try (WeightSource source = Safetensors.open(file)) {
            assertEquals(kind, FileKind.of(source));
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void whatNoOptionTakes(String kind, String tensors) {
        Path file = write(tensors);
        assertKind(kind, file);
        assertEquals("x.safetensors is " + kind + NOT_A_MODEL, asModel(file));
        assertEquals("x.safetensors is " + kind + ", not a LoRA", asLora(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_EMBEDDING, asEmbedding(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_ADAPTER, asAdapter(file));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "a checkpoint of Stable Diffusion 1.x | 768 | VAE | first_stage_model.…", "a checkpoint of Stable Diffusion 2.x | 1024 | VAE | first_stage_model.…",
        "a checkpoint | 64 | VAE | first_stage_model.…"})
    void checkpoints(String kind, int channels, String part, String names) {
        Path file = write("model.diffusion_model.input_blocks.0.0.weight, model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight 4x" + channels);
        assertKind(kind, file);
        assertEquals("x.safetensors is a checkpoint without a " + part + ": tensors named '" + names + "' are expected; take a full checkpoint, or the folder "
                + "of the model", asModel(file));
        assertEquals("x.safetensors is " + kind + ", not a LoRA", asLora(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_EMBEDDING, asEmbedding(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_ADAPTER, asAdapter(file));
    }

    /** @param refused as a LoRA */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "Stable Diffusion 1.x | false | lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight 4x768, "
                + "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight 320x4",
        "Stable Diffusion 2.x | false | unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight 4x1024, "
                + "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight 320x4",
        "Stable Diffusion 1.x | false | down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight 4x768, "
                + "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.up.weight 320x4",
        "Stable Diffusion 1.x | false | lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_a 320x4, "
                + "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.hada_w1_b 4x768",
        "Stable Diffusion XL | false | lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lokr_w1 4x32, "
                + "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lokr_w2_a 160x4, lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lokr_w2_b 4x64",
        "Stable Diffusion XL | false | lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_q.lora_down.weight 4x640, "
                + "lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_q.lora_up.weight 640x4, "
                + "lora_unet_down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_q.dora_scale 640x1",
        "Stable Diffusion XL | true | lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight 4x1280, "
                + "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight 1280x4",
        "Stable Diffusion 1.x | false | lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight 4x768, "
                + "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight 768x4",
        "Flux | true | lora_unet_double_blocks_0_img_attn_proj.lora_down.weight 4x3072, lora_unet_double_blocks_0_img_attn_proj.lora_up.weight 3072x4",
        "Flux | true | transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight 4x3072, transformer.single_transformer_blocks.0.attn.to_k.lora_B.weight 3072x4",
        "Flux | true | diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight 4x3072, diffusion_model.double_blocks.0.img_attn.qkv.lora_B.weight 3072x4",
        "Stable Diffusion 3 | true | lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight 4x1536, lora_unet_joint_blocks_0_x_block_attn_qkv.lora_up.weight 4608x4",
        "a model with a transformer in place of a UNet | true | transformer.transformer_blocks.0.attn.to_q.lora_A.weight 4x1536, "
                + "transformer.transformer_blocks.0.attn.to_q.lora_B.weight 1536x4",
        "AnimateDiff | true | down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora.down.weight 4x320, "
                + "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora.up.weight 320x4"})
    void loras(String family, boolean refused, String tensors) {
        Path file = write(tensors);
        String kind = "a LoRA for " + family;
        assertKind(kind, file);
        assertEquals("x.safetensors is " + kind + NOT_A_MODEL, asModel(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_EMBEDDING, asEmbedding(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_ADAPTER, asAdapter(file));
        if (refused) {
            assertEquals("x.safetensors is " + kind + ", not for Stable Diffusion 1.x or 2.x", asLora(file));
        } else {
            Lora.open(file, notice -> { }).close();
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "Stable Diffusion 1.x | emb_params 2x768 | not for this model: its vectors have 768 channels, this model's text encoder 10",
        "Stable Diffusion 1.x | <cat-toy> 768 | not for this model: its vectors have 768 channels, this model's text encoder 10",
        "Stable Diffusion 2.x | style 1x1024 | not for this model: its vectors have 1024 channels, this model's text encoder 10",
        "Stable Diffusion XL | clip_g 2x1280, clip_l 2x768 | not for Stable Diffusion 1.x or 2.x"})
    void embeddings(String family, String tensors, String refusal) {
        Path file = write(tensors);
        String kind = "an embedding (textual inversion) for " + family;
        assertKind(kind, file);
        assertEquals("x.safetensors is " + kind + NOT_A_MODEL, asModel(file));
        assertEquals("x.safetensors is " + kind + ", not a LoRA", asLora(file));
        assertEquals("x.safetensors is " + kind + ", " + refusal, asEmbedding(file));
        assertEquals("x.safetensors is " + kind + NOT_AN_ADAPTER, asAdapter(file));
    }

    @Test
    void adapters() {
        Path file = write("mid.attn1.eaa.to_k.weight 2x2, mid.attn1.eaa.to_v.weight 2x2");
        assertKind("an Inv-Adapter", file);
        assertEquals("x.safetensors is an Inv-Adapter" + NOT_A_MODEL, asModel(file));
        assertEquals("x.safetensors is an Inv-Adapter, not a LoRA", asLora(file));
        assertEquals("x.safetensors is an Inv-Adapter" + NOT_AN_EMBEDDING, asEmbedding(file));
        assertEquals("x.safetensors: made for another model, which has an attention layer 'mid.attn1'; this model has none of that name", asAdapter(file));
    }

    // --- what is no safetensors -------------------------------------------------------------------------------------

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** @param header that the file claims, in bytes */
    private static byte[] cut(long header, String rest) {
        byte[] end = bytes(rest);
        return ByteBuffer.allocate(Long.BYTES + end.length).order(ByteOrder.LITTLE_ENDIAN).putLong(header).put(end).array();
    }

    static Stream<Arguments> formats() {
        String pickle = "is a pickle file (.ckpt, .pt, .bin), which can run any code when it is loaded and is therefore refused: convert it to safetensors, or take "
                + "the .safetensors file of the same model";
        String picture = "is a picture where a safetensors file is expected";
        String archive = "is an archive where a safetensors file is expected: unpack it";
        return Stream.of(
                Arguments.of(bytes("PK\3\4\0\0\10\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\20\0\22\0archive/data.pkl"), pickle),
                Arguments.of(bytes("\u0080\2\u008A\nl\u00FC\u009CF\u00F9 j\u00A8P\u0019.\u0080\2M\u00E9\3."), pickle),
                Arguments.of(bytes("\u0080\4\u0095\0\0\0\0"), pickle),
                Arguments.of(bytes("PK\3\4\24\0\0\0\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\21\0\0\0style.safetensors"), archive),
                Arguments.of(bytes("\u001F\u008B\10\0"), archive),
                Arguments.of(bytes("7z\u00BC\u00AF\u0027\u001C\0\4"), archive),
                Arguments.of(bytes("GGUF\3\0\0\0\0\0\0\0"), "is a GGUF file where a safetensors file is expected"),
                Arguments.of(bytes("\10\10\22\7pytorch\32\0052.1.0"), "is an ONNX file where a safetensors file is expected"),
                Arguments.of(bytes("\u0089HDF\r\n\32\n"), "is an HDF5 file where a safetensors file is expected"),
                Arguments.of(bytes("\u0093NUMPY\1\0v\0{'descr'"), "is a NumPy file where a safetensors file is expected"),
                Arguments.of(bytes("\u0089PNG\r\n\32\n\0\0\0\rIHDR"), picture),
                Arguments.of(bytes("\u00FF\u00D8\u00FF\u00E0\0\20JFIF\0"), picture),
                Arguments.of(bytes("GIF89a\1\0\1\0"), picture),
                Arguments.of(bytes("RIFF\30\0\0\0WEBPVP8 "), picture),
                Arguments.of(bytes("<!doctype html><html class=\"\"><head>"), "is a web page, not the weights themselves: the download went wrong"),
                Arguments.of("\uFEFF\n<!-- é --><HTML lang=\"en\">".getBytes(StandardCharsets.UTF_8), "is a web page, not the weights themselves: the download went wrong"),
                Arguments.of(bytes("<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>"),
                        "is an XML text ('<?xml version=\"1.0\"?>') where a safetensors file is expected"),
                Arguments.of(bytes("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"),
                        "is a Git LFS pointer, not the weights themselves: fetch them with 'git lfs pull'"),
                Arguments.of(bytes("{\"error\":\"Unauthorized\",\"message\":\"The creator of this asset requires you to be logged in\"}"),
                        "is a JSON text ('{\"error\":\"Unauthorized\",\"message\":\"The creator of this asset…') where a safetensors file is expected"),
                Arguments.of("Zugriff verweigert für „modell“\n".getBytes(StandardCharsets.UTF_8),
                        "is a text ('Zugriff verweigert für „modell“') where a safetensors file is expected"),
                Arguments.of(bytes(""), "is empty"),
                Arguments.of(new byte[1000], "is full of zeros: the download was not finished"),
                Arguments.of(new byte[3], "has only 3 bytes, too few for a safetensors file"),
                Arguments.of(cut(800_000, "{\"a\":{\"dtype\":\"F16\""), "is cut short or not a safetensors file: it claims a header of 800000 bytes but has only 27 in all"),
                Arguments.of(cut(10, "[123456789"),
                        "is not a safetensors file: its header does not start with '{'"),
                Arguments.of(cut(58, "{\"a\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,16]}}    half"),
                        "is cut short: its tensors need 16 bytes of data, up to tensor 'a', but only 5 are there; fetch it again"),
                Arguments.of(bytes("\u00DE\u00AD\u00BE\u00EF\u00DE\u00AD\u00BE\u00EF rest"),
                        "is not a safetensors file: it claims a header of 17275436393656397278 bytes (limit 100000000)"));
    }

    @ParameterizedTest
    @MethodSource("formats")
    void otherFormats(byte[] content, String sentence) throws IOException {
        for (String name : List.of("x.safetensors", "x.safetensors.crdownload", "x.ckpt")) {
            Path file = Files.write(folder.resolve(name), content);
            assertEquals(name + " " + sentence, asModel(file));
            assertEquals(name + " " + sentence, asLora(file));
            assertEquals(name + " " + sentence, asAdapter(file));
            if (!name.endsWith(".ckpt")) {
                assertEquals(name + " " + sentence, asEmbedding(file));
            }
        }
    }

    @Test
    void aConfigurationGivenAsWeights() throws IOException {
        Path file = Files.writeString(folder.resolve("model_index.json"), "{\"_class_name\": \"StableDiffusionPipeline\"}");
        String sentence = "model_index.json is a JSON file where a safetensors file, or an index of several by its \"weight_map\", is expected";
        assertEquals(sentence, asModel(file));
        assertEquals(sentence, asLora(file));
        assertEquals(sentence, asEmbedding(file));
        assertEquals(sentence, asAdapter(file));
    }

    @Test
    void folders() throws IOException {
        Path part = Files.createDirectory(folder.resolve("part"));
        Files.writeString(part.resolve("config.json"), "{\"_class_name\": \"ControlNetModel\"}");
        String expected = " where the folder of a whole model is expected, with model_index.json, unet, vae, text_encoder and scheduler in it; it holds ";
        assertEquals("part is the folder of a ControlNetModel" + expected + "config.json", asModel(part));
        Files.writeString(part.resolve("config.json"), "{\"architectures\": [\"CLIPTextModel\"]}");
        assertEquals("part is the folder of a CLIPTextModel" + expected + "config.json", asModel(part));
        Files.writeString(part.resolve("adapter_config.json"), "{}");
        assertEquals("part is the folder of a LoRA" + expected + "adapter_config.json, config.json", asModel(part));
        assertEquals("part is not the folder of a LoRA: adapter_model.safetensors or pytorch_lora_weights.safetensors is expected in it", asLora(part));
        assertEquals("part is a folder where a .safetensors file is expected", asAdapter(part));
        assertEquals("part is a folder where a .safetensors file is expected", asEmbedding(part));
        Path empty = Files.createDirectory(folder.resolve("empty"));
        assertEquals("empty is a folder" + expected.replace("it holds ", "it is empty"), asModel(empty));
    }
}
