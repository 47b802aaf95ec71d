package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.model.naming.OriginalUNetBlocks;
import io.invadapter.weights.model.naming.OriginalVaeNames;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SingleFileTest {

    private static final String TEXT = "cond_stage_model.transformer.text_model.";

    @TempDir
    Path folder;

    static Stream<SmallModel> models() {
        Random random = new Random(1);
        return Stream.concat(Stream.of(SmallModel.sd15Like()), Stream.generate(() -> SmallModel.random(random)).limit(40));
    }

    @ParameterizedTest
    @MethodSource("models")
    void everyTensorAndTheConfigurationAreThoseOfTheFolder(SmallModel model) {
        Path path = folder.resolve("model.safetensors");
        String textPrefix = model.layers() == 2 ? TEXT : "cond_stage_model.transformer.";
        model.checkpoint(textPrefix).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertSame(model.unet(), files.unet());
            assertSame(model.vae(), files.vae());
            assertSame(model.textEncoder(), files.textEncoder());

            JsonValue unet = files.unetConfig();
            assertEquals(longs(model.channels()), unet.get("block_out_channels").asList().stream().map(JsonValue::asLong).toList());
            assertEquals(model.layers(), unet.get("layers_per_block").asInt());
            assertEquals(model.depth(), unet.get("transformer_layers_per_block").asInt());
            assertEquals(model.textSize(), unet.get("cross_attention_dim").asLong());
            assertEquals(model.latent(), unet.get("in_channels").asLong());
            assertEquals(model.latent(), unet.get("out_channels").asLong());
            assertEquals(model.linear(), unet.get("use_linear_projection").asBoolean());
            List<JsonValue> down = unet.get("down_block_types").asList();
            List<JsonValue> up = unet.get("up_block_types").asList();
            for (int block = 0; block < model.blocks(); block++) {
                boolean attention = model.attention()[block];
                assertEquals(attention ? "CrossAttnDownBlock2D" : "DownBlock2D", down.get(block).asString());
                assertEquals(attention ? "CrossAttnUpBlock2D" : "UpBlock2D", up.get(model.blocks() - 1 - block).asString());
            }

            JsonValue vae = files.vaeConfig();
            assertEquals(longs(model.vaeChannels()), vae.get("block_out_channels").asList().stream().map(JsonValue::asLong).toList());
            assertEquals(model.vaeLayers(), vae.get("layers_per_block").asInt());
            assertEquals(model.latent(), vae.get("latent_channels").asLong());
            assertTrue(vae.get("use_quant_conv").asBoolean());

            JsonValue text = files.textEncoderConfig();
            assertEquals(model.textSize(), text.get("hidden_size").asLong());
            assertEquals(model.textSize() + 1, text.get("intermediate_size").asLong());
            assertEquals(model.textLayers(), text.get("num_hidden_layers").asInt());
            assertEquals(5, text.get("max_position_embeddings").asInt());
            assertEquals(7, text.get("vocab_size").asInt());
        }
    }

    private static void assertSame(Map<String, long[]> expected, WeightSource found) {
        assertEquals(expected.keySet(), found.names());
        expected.forEach((name, shape) -> {
            WeightTensor tensor = found.tensor(name, shape);
            assertEquals(name, tensor.name());
            assertArrayEquals(SmallModel.values(name, shape), tensor.toFloats(), name);
        });
    }

    private static List<Long> longs(long[] values) {
        return Arrays.stream(values).boxed().toList();
    }

    @ParameterizedTest
    @CsvSource({
        "time_embed.2.bias, time_embedding.linear_2.bias",
        "input_blocks.0.0.weight, conv_in.weight",
        "input_blocks.3.0.op.weight, down_blocks.0.downsamplers.0.conv.weight",
        "input_blocks.4.0.skip_connection.weight, down_blocks.1.resnets.0.conv_shortcut.weight",
        "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight, down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight",
        "input_blocks.11.0.in_layers.2.weight, down_blocks.3.resnets.1.conv1.weight",
        "middle_block.2.emb_layers.1.weight, mid_block.resnets.1.time_emb_proj.weight",
        "output_blocks.2.1.conv.weight, up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight, up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.8.2.conv.weight, up_blocks.2.upsamplers.0.conv.weight",
        "output_blocks.9.1.proj_in.weight, up_blocks.3.attentions.0.proj_in.weight",
        "output_blocks.11.0.out_layers.3.weight, up_blocks.3.resnets.2.conv2.weight",
        "out.0.weight, conv_norm_out.weight",
        "out.2.bias, conv_out.bias"})
    void knownNamesOfStableDiffusion1(String ldm, String diffusers) {
        SmallModel model = SmallModel.sd15Like();
        Set<String> names = model.unet().keySet().stream().map(model::ldmUNet).collect(Collectors.toSet());
        assertEquals("model.diffusion_model." + ldm, OriginalUNetBlocks.of("file", names, "model.diffusion_model.").get(diffusers));
    }

    @ParameterizedTest
    @CsvSource({
        "encoder.down.2.downsample.conv.weight, encoder.down_blocks.2.downsamplers.0.conv.weight",
        "encoder.down.1.block.0.nin_shortcut.weight, encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
        "encoder.mid.attn_1.q.weight, encoder.mid_block.attentions.0.to_q.weight",
        "decoder.mid.attn_1.proj_out.bias, decoder.mid_block.attentions.0.to_out.0.bias",
        "decoder.mid.attn_1.norm.bias, decoder.mid_block.attentions.0.group_norm.bias",
        "decoder.mid.block_2.conv2.weight, decoder.mid_block.resnets.1.conv2.weight",
        "decoder.up.3.block.2.norm1.weight, decoder.up_blocks.0.resnets.2.norm1.weight",
        "decoder.up.1.upsample.conv.weight, decoder.up_blocks.2.upsamplers.0.conv.weight",
        "decoder.norm_out.weight, decoder.conv_norm_out.weight",
        "post_quant_conv.weight, post_quant_conv.weight"})
    void knownNamesOfTheVae(String ldm, String diffusers) {
        SmallModel model = SmallModel.sd15Like();
        Set<String> names = model.vae().keySet().stream().map(model::ldmVae).collect(Collectors.toSet());
        assertEquals("first_stage_model." + ldm, OriginalVaeNames.of("file", names, "first_stage_model.").get(diffusers));
    }

    @Test
    void vaeAttentionThatAConverterAlreadyRenamedIsUnderstood() {
        SmallModel model = SmallModel.sd15Like();
        Set<String> names = model.vae().keySet().stream().map(name -> name.contains("attentions")
                ? "first_stage_model." + name.replace("mid_block.attentions.0", "mid.attn_1") : model.ldmVae(name)).collect(Collectors.toSet());
        assertEquals(model.vae().keySet(), OriginalVaeNames.of("file", names, "first_stage_model.").keySet());
    }

    @Test
    void whatShapesCannotTellIsThatOfStableDiffusion1() {
        Path path = folder.resolve("model.safetensors");
        SmallModel.sd15Like().checkpoint(TEXT).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(8, files.unetConfig().get("attention_head_dim").asInt());
            assertEquals(32, files.unetConfig().get("norm_num_groups").asInt());
            assertEquals(0.18215, files.vaeConfig().get("scaling_factor").asDouble());
            assertEquals("quick_gelu", files.textEncoderConfig().get("hidden_act").asString());
            assertEquals(1, files.textEncoderConfig().get("num_attention_heads").asInt());
            assertEquals("scaled_linear", files.schedulerConfig().get("beta_schedule").asString());
            assertEquals(0.012, files.schedulerConfig().get("beta_end").asDouble());
            assertEquals(1, files.schedulerConfig().get("steps_offset").asInt());
            assertFalse(files.schedulerConfig().get("set_alpha_to_one").asBoolean());
            assertEquals(Optional.empty(), files.tokenizerFolder());
            assertEquals(path.toString(), files.description());
        }
    }

    @Test
    void tensorsNobodyNeedsAreIgnored() {
        Path path = folder.resolve("model.safetensors");
        SafetensorsWriter writer = SmallModel.sd15Like().checkpoint(TEXT);
        for (String name : List.of("alphas_cumprod", "model_ema.diffusion_modelinput_blocks00weight", "first_stage_model.loss.logvar",
                TEXT + "embeddings.position_ids", "optimizer_states.0.step", "cond_stage_model.logit_scale")) {
            writer.add(name, new long[] {1}, new long[] {1});
        }
        writer.write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(SmallModel.sd15Like().unet().keySet(), files.unet().names());
            assertEquals(SmallModel.sd15Like().textEncoder().keySet(), files.textEncoder().names());
            assertEquals(SmallModel.sd15Like().vae().keySet(), files.vae().names());
            assertEquals(Set.of(), files.otherTensors());
        }
    }

    @Test
    void theProjectionOfTextsIsTheEncoders() {
        Path path = folder.resolve("model.safetensors");
        SmallModel.sd15Like().checkpoint(TEXT).add("cond_stage_model.transformer.text_projection.weight", new long[] {2, 64}, new float[128]).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertArrayEquals(new long[] {2, 64}, files.textEncoder().tensor("text_projection.weight").shape());
            assertEquals(Set.of(), files.otherTensors());
        }
    }

    @Test
    void theTableOfTheNoiseIsHandedOn() {
        Path path = folder.resolve("model.safetensors");
        SmallModel.sd15Like().checkpoint(TEXT).add("alphas_cumprod", new long[] {3}, new float[] {0.75f, 0.5f, 0.25f}).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals("[0.75, 0.5, 0.25]", files.schedulerConfig().get("alphas_cumprod").toString());
        }
    }

    @Test
    void anotherScaleOfTheLatentsMustBeSaid() {
        SafetensorsWriter usual = SmallModel.sd15Like().checkpoint(TEXT).add("scale_factor", new long[0], new float[] {0.1822f});
        usual.write(folder.resolve("usual.safetensors"));
        ModelFiles.open(folder.resolve("usual.safetensors")).close();
        SafetensorsWriter other = SmallModel.sd15Like().checkpoint(TEXT).add("scale_factor", new long[0], new float[] {0.25f});
        assertRefused(other, "its tensor 'scale_factor' is 0.25 where 0.18215 is expected");
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    scale_factor: 0.25\n");
        try (ModelFiles files = ModelFiles.open(folder.resolve("model.safetensors"))) {
            assertEquals(0.25, files.vaeConfig().get("scaling_factor").asDouble());
        }
    }

    @Test
    void tensorsWithoutAPlaceKeepTheirNames() {
        Path path = folder.resolve("model.safetensors");
        String strange = "model.diffusion_model.input_blocks.4.3.strange";
        String leftOver = "lora_te_text_model_encoder_layers_0_mlp_fc1.alpha";
        SmallModel.sd15Like().checkpoint(TEXT).add(strange, new long[] {1}, new float[1]).add(leftOver, new long[] {1}, new float[1]).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertTrue(files.unet().contains(strange));
            assertEquals(SmallModel.sd15Like().unet().size() + 1, files.unet().names().size());
            assertEquals(Set.of(leftOver), files.otherTensors());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"state_dict.", "model.", "module."})
    void aPrefixOfAllNamesMakesNoDifference(String prefix) {
        SmallModel model = SmallModel.sd15Like();
        SafetensorsWriter writer = new SafetensorsWriter();
        model.unet().forEach((name, shape) -> SmallModel.add(writer, prefix + model.ldmUNet(name), name, shape));
        model.vae().forEach((name, shape) -> SmallModel.add(writer, prefix + model.ldmVae(name), name, shape));
        model.textEncoder().forEach((name, shape) -> SmallModel.add(writer, prefix + TEXT + name, name, shape));
        Path path = folder.resolve("model.safetensors");
        writer.write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertSame(model.unet(), files.unet());
            assertSame(model.vae(), files.vae());
            assertSame(model.textEncoder(), files.textEncoder());
            assertEquals(Set.of(), files.otherTensors());
        }
    }

    @Test
    void attentionInTheLevelsOfTheVaeIsInTheConfiguration() {
        Path path = folder.resolve("model.safetensors");
        SafetensorsWriter writer = SmallModel.sd15Like().checkpoint(TEXT);
        writer.add("first_stage_model.encoder.down.1.attn.0.q.weight", new long[] {1}, new float[1]);
        writer.add("first_stage_model.decoder.up.3.attn.0.q.weight", new long[] {1}, new float[1]);
        writer.write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals("AttnDownEncoderBlock2D", files.vaeConfig().get("down_block_types").asList().get(1).asString());
            assertEquals("AttnUpDecoderBlock2D", files.vaeConfig().get("up_block_types").asList().get(0).asString());
        }
    }

    @Test
    void whatTheNetworkPredictsIsInItsMarksItsMetadataOrTheYamlBesideIt() {
        assertPrediction("epsilon", SmallModel.sd15Like().checkpoint(TEXT));
        assertPrediction("v_prediction", marked("v_pred"));
        assertPrediction("v_prediction", SmallModel.sd15Like().checkpoint(TEXT).metadata("modelspec.prediction_type", "v"));
        assertPrediction("epsilon", SmallModel.sd15Like().checkpoint(TEXT).metadata("modelspec.prediction_type", "epsilon"));
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    # parameterization: x\n    parameterization: \"v\" # velocity\n");
        assertPrediction("v_prediction", SmallModel.sd15Like().checkpoint(TEXT));
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    linear_start: 0.00085\n    linear_end: 0.0120\n");
        assertPrediction("epsilon", SmallModel.sd15Like().checkpoint(TEXT));
        SmallModel.writeFile(folder.resolve("model.yaml"), "model: {params: {linear_start: 0.00085, linear_end: 0.012, parameterization: v}}\n");
        assertPrediction("v_prediction", SmallModel.sd15Like().checkpoint(TEXT));
        SmallModel.writeFile(folder.resolve("model.yaml"), "parameterization: score");
        String message = assertThrows(WeightException.class, () -> ModelFiles.open(folder.resolve("model.safetensors"))).getMessage();
        assertEquals(folder.resolve("model.yaml") + ": parameterization is \"score\" where epsilon, v or sample is expected", message);
    }

    @ParameterizedTest
    @CsvSource({
        "modelspec.prediction_type, v, v_prediction", "modelspec.predict_key, v, v_prediction", "modelspec.predict_key, epsilon, epsilon",
        "ss_v_parameterization, True, v_prediction", "ss_v_parameterization, False, epsilon", "ss_v_parameterization, None, epsilon",
        "ss_v2, False, epsilon", "ss_zero_terminal_snr, False, epsilon", "modelspec.architecture, stable-diffusion-v1, epsilon",
        "modelspec.architecture, stable-diffusion-v1-5, epsilon", "modelspec.architecture, '', epsilon", "ss_base_model_version, sd_v1, epsilon"})
    void metadataIsComputedWith(String key, String value, String type) {
        assertPrediction(type, SmallModel.sd15Like().checkpoint(TEXT).metadata(key, value));
    }

    @ParameterizedTest
    @CsvSource({
        "modelspec.prediction_type, flow, 'modelspec.prediction_type'' is \"flow\" where epsilon, v or sample is expected'",
        "ss_v_parameterization, maybe, 'ss_v_parameterization'' is \"maybe\" where True or False is expected'",
        "ss_zero_terminal_snr, True, 'ss_zero_terminal_snr'' says that it was trained to zero terminal SNR, where no network predicts noise'",
        "ss_v2, True, 'ss_v2'' is \"True\", but its tensors are those of Stable Diffusion 1.x'",
        "modelspec.architecture, stable-diffusion-xl-v1-base, 'modelspec.architecture'' is \"stable-diffusion-xl-v1-base\", but its tensors are'",
        "modelspec.architecture, stable-diffusion-v2-768-v, 'modelspec.architecture'' is \"stable-diffusion-v2-768-v\", but'",
        "modelspec.architecture, stable-diffusion-v1/lora, 'modelspec.architecture'' is \"stable-diffusion-v1/lora\", but'",
        "ss_base_model_version, sdxl_base_v1-0, 'ss_base_model_version'' is \"sdxl_base_v1-0\", but'",
        "ss_base_model_version, sd_v2_v, 'ss_base_model_version'' is \"sd_v2_v\", but'"})
    void metadataOfAnotherKindOfModelIsRefused(String key, String value, String problem) {
        assertRefused(SmallModel.sd15Like().checkpoint(TEXT).metadata(key, value), ": its metadata '" + problem);
    }

    @Test
    void sourcesThatContradictEachOtherAreBothNamed() {
        Path path = folder.resolve("model.safetensors");
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    parameterization: eps\n");
        SafetensorsWriter velocity = SmallModel.sd15Like().checkpoint(TEXT).metadata("ss_v_parameterization", "True");
        assertRefused(velocity, "its metadata 'ss_v_parameterization' says that the network predicts v_prediction, but "
                + folder.resolve("model.yaml") + ": model.params.parameterization says epsilon");
        assertRefused(marked("v_pred"), path + ": its tensor 'v_pred' says that the network predicts v_prediction, but ");
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    parameterization: v\n");
        assertPrediction("v_prediction", velocity);
        assertRefused(SmallModel.sd15Like().checkpoint(TEXT).metadata("modelspec.prediction_type", "epsilon"), "says v_prediction");
    }

    @Test
    void aLayerOfTheTextEncoderThatIsNotTheLastIsToldOf() {
        Path path = folder.resolve("model.safetensors");
        SmallModel.sd15Like().checkpoint(TEXT).metadata("modelspec.encoder_layer", "2").write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(2, files.textEncoderConfig().get("clip_skip").asInt());
        }
        SmallModel.sd15Like().checkpoint(TEXT).metadata("ss_clip_skip", "None").write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(Optional.empty(), files.textEncoderConfig().find("clip_skip"));
        }
    }

    @Test
    void zeroTerminalSnrIsInTheConfigurationAndItsTimestepsAreToldOf() {
        assertZeroTerminalSnr(": its tensor 'ztsnr' says", marked("v_pred", "ztsnr"));
        assertZeroTerminalSnr(": its metadata 'ss_zero_terminal_snr' says", marked("v_pred").metadata("ss_zero_terminal_snr", "True"));
        // The noise before it was made.
        assertZeroTerminalSnr(": its tensor 'ztsnr' says", marked("v_pred", "ztsnr").add("alphas_cumprod", new long[] {2}, new float[] {0.9f, 0.1f}));
        SmallModel.writeFile(folder.resolve("model.yaml"), "model: {params: {zero_terminal_snr: true, linear_start: 0.00085, linear_end: 0.012, parameterization: v}}\n");
        assertZeroTerminalSnr("model.params.zero_terminal_snr says", SmallModel.sd15Like().checkpoint(TEXT));
        SmallModel.writeFile(folder.resolve("model.yaml"), "model: {params: {zero_terminal_snr: false, linear_start: 0.00085, linear_end: 0.012, parameterization: v}}\n");
        SmallModel.sd15Like().checkpoint(TEXT).write(folder.resolve("model.safetensors"));
        try (ModelFiles files = ModelFiles.open(folder.resolve("model.safetensors"))) {
            assertEquals("leading", files.schedulerConfig().get("timestep_spacing").asString());
            assertEquals(List.of(), files.notices());
        }
    }

    private void assertZeroTerminalSnr(String said, SafetensorsWriter writer) {
        Path path = folder.resolve("model.safetensors");
        writer.write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertTrue(files.schedulerConfig().get("rescale_betas_zero_snr").asBoolean());
            assertEquals("trailing", files.schedulerConfig().get("timestep_spacing").asString());
            assertEquals("v_prediction", files.schedulerConfig().get("prediction_type").asString());
            assertEquals(Optional.empty(), files.schedulerConfig().find("alphas_cumprod"));
            assertTrue(files.notices().getFirst().contains(said), files.notices()::toString);
        }
    }

    @Test
    void zeroTerminalSnrOfANetworkThatPredictsNoiseIsRefused() {
        assertRefused(marked("ztsnr"), ": its tensor 'ztsnr' says that it was trained to zero terminal SNR, where no network predicts noise");
    }

    private static SafetensorsWriter marked(String... names) {
        SafetensorsWriter writer = SmallModel.sd15Like().checkpoint(TEXT);
        for (String name : names) {
            writer.add(name, new long[] {0}, new float[0]);
        }
        return writer;
    }

    private void assertPrediction(String type, SafetensorsWriter writer) {
        Path path = folder.resolve("model.safetensors");
        writer.write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(type, files.schedulerConfig().get("prediction_type").asString());
            assertEquals(Set.of(), files.otherTensors());
        }
    }

    static Stream<Arguments> otherFiles() {
        String unet = "model.diffusion_model.input_blocks.0.0.weight";
        String vae = "first_stage_model.encoder.conv_in.weight";
        return Stream.of(
                Arguments.of(List.of("model_ema.diffusion_modelinput_blocks00weight", vae, TEXT + "embeddings.token_embedding.weight"),
                        "holds the UNet only as averaged by training ('model_ema.…')"),
                Arguments.of(List.of(unet, "edm_vpred.sigma_max"), "was trained with the noise of EDM"),
                Arguments.of(List.of("wte", "x"), "is a file of 2 tensors such as 'wte' where a full checkpoint of Stable Diffusion 1.x or 2.x"),
                Arguments.of(List.of(), "is a file without tensors"),
                Arguments.of(List.of(unet), "is a checkpoint without a VAE"),
                Arguments.of(List.of(unet, vae), "is a checkpoint without a text encoder"));
    }

    @ParameterizedTest
    @MethodSource("otherFiles")
    void otherFilesAreRefusedForWhatTheyAre(List<String> names, String problem) {
        SafetensorsWriter writer = new SafetensorsWriter();
        names.forEach(name -> writer.add(name, new long[] {1}, new float[1]));
        assertRefused(writer, problem);
    }

    @Test
    void modelsForOtherTasksAreRefused() {
        SmallModel model = SmallModel.sd15Like();
        Map.of(5L, "looks like a depth-to-image model", 8L, "looks like an InstructPix2Pix model", 7L, "is no model that makes pictures of texts").forEach((channels, problem) -> {
            SafetensorsWriter writer = new SafetensorsWriter();
            model.unet().forEach((name, shape) -> {
                if (name.equals("conv_in.weight")) {
                    shape[1] = channels;
                }
                SmallModel.add(writer, model.ldmUNet(name), name, shape);
            });
            model.vae().forEach((name, shape) -> SmallModel.add(writer, model.ldmVae(name), name, shape));
            model.textEncoder().forEach((name, shape) -> SmallModel.add(writer, TEXT + name, name, shape));
            assertRefused(writer, problem + ": its UNet takes " + channels + " channels");
        });
    }

    @Test
    void aMissingTensorIsNamed() {
        SmallModel model = SmallModel.sd15Like();
        for (String missing : List.of("conv_in.weight", "mid_block.attentions.0.proj_in.weight", "conv_out.weight")) {
            SafetensorsWriter writer = new SafetensorsWriter();
            model.unet().forEach((name, shape) -> {
                if (!name.equals(missing)) {
                    SmallModel.add(writer, model.ldmUNet(name), name, shape);
                }
            });
            model.vae().forEach((name, shape) -> SmallModel.add(writer, model.ldmVae(name), name, shape));
            model.textEncoder().forEach((name, shape) -> SmallModel.add(writer, TEXT + name, name, shape));
            assertRefused(writer, "model.safetensors (UNet) has no tensor '" + missing + "'");
        }
    }

    private void assertRefused(SafetensorsWriter writer, String problem) {
        Path path = folder.resolve("model.safetensors");
        writer.write(path);
        String message = assertThrows(WeightException.class, () -> ModelFiles.open(path)).getMessage();
        assertTrue(message.startsWith(path.toString()) && message.contains(problem), message);
    }
}
