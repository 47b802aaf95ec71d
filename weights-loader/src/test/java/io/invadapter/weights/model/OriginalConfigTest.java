package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The .yaml beside a checkpoint whose structure is that of {@link SmallModel#sd15Like}. */
class OriginalConfigTest {

    /** As the original code has it, with the sizes of the small model. */
    private static final String WHOLE = """
            model:
              base_learning_rate: 1.0e-04
              target: ldm.models.diffusion.ddpm.LatentDiffusion
              params:
                linear_start: 0.00085
                linear_end: 0.0120
                num_timesteps_cond: 1
                log_every_t: 200
                timesteps: 1000
                first_stage_key: "jpg"
                cond_stage_key: "txt"
                image_size: 64
                channels: 4
                cond_stage_trainable: false   # Note: different from the one we trained before
                conditioning_key: crossattn
                monitor: val/loss_simple_ema
                scale_factor: 0.18215
                use_ema: False

                scheduler_config: # 10000 warmup steps
                  target: ldm.lr_scheduler.LambdaLinearScheduler
                  params:
                    warm_up_steps: [ 10000 ]
                    cycle_lengths: [ 10000000000000 ] # incredibly large number to prevent corner cases
                    f_start: [ 1.e-6 ]

                unet_config:
                  target: ldm.modules.diffusionmodules.openaimodel.UNetModel
                  params:
                    image_size: 32 # unused
                    in_channels: 4
                    out_channels: 4
                    model_channels: 1
                    attention_resolutions: [ 4, 2, 1 ]
                    num_res_blocks: 2
                    channel_mult: [ 2, 3, 4, 4 ]
                    num_heads: 1
                    use_spatial_transformer: True
                    transformer_depth: 1
                    context_dim: 64
                    use_checkpoint: True
                    legacy: False

                first_stage_config:
                  target: ldm.models.autoencoder.AutoencoderKL
                  params:
                    embed_dim: 4
                    monitor: val/rec_loss
                    ddconfig:
                      double_z: true
                      z_channels: 4
                      resolution: 256
                      in_channels: 3
                      out_ch: 3
                      ch: 1
                      ch_mult:
                      - 2
                      - 3
                      - 4
                      - 4
                      num_res_blocks: 2
                      attn_resolutions: []
                      dropout: 0.0
                    lossconfig:
                      target: torch.nn.Identity

                cond_stage_config:
                  target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
            """;

    @TempDir
    Path folder;

    @BeforeEach
    void writeCheckpoint() {
        SmallModel.sd15Like().checkpoint("cond_stage_model.transformer.text_model.").write(folder.resolve("model.safetensors"));
    }

    private ModelFiles open(String yaml) {
        SmallModel.writeFile(folder.resolve("model.yaml"), yaml);
        return ModelFiles.open(folder.resolve("model.safetensors"));
    }

    @Test
    void theConfigurationOfStableDiffusion1ChangesNothing() {
        try (ModelFiles said = open(WHOLE.replace("num_heads: 1", "num_heads: -1"));
             ModelFiles unsaid = open("")) {
            assertEquals(unsaid.schedulerConfig(), said.schedulerConfig());
            assertEquals(unsaid.unetConfig(), said.unetConfig());
            assertEquals(unsaid.vaeConfig(), said.vaeConfig());
            assertEquals(unsaid.textEncoderConfig(), said.textEncoderConfig());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "linear_start: 0.00085, linear_start: 1.0e-4, beta_start, 1.0E-4", "linear_end: 0.0120, linear_end: 2e-2, beta_end, 0.02",
        "timesteps: 1000, timesteps: 400, num_train_timesteps, 400", "use_ema: False, beta_schedule: cosine, beta_schedule, '\"squaredcos_cap_v2\"'",
        "use_ema: False, beta_schedule: sqrt_linear, beta_schedule, '\"linear\"'", "use_ema: False, beta_schedule: linear, beta_schedule, '\"scaled_linear\"'",
        "use_ema: False, 'parameterization: \"v\"', prediction_type, '\"v_prediction\"'", "use_ema: False, parameterization: x0, prediction_type, '\"sample\"'"})
    void theNoiseIsComputedWith(String line, String changed, String key, String value) {
        try (ModelFiles files = open(WHOLE.replace(line, changed))) {
            assertEquals(value, files.schedulerConfig().get(key).toString());
        }
    }

    @Test
    void theUNetIsTheAveragedOneWhereThatIsAskedFor() {
        SmallModel model = SmallModel.sd15Like();
        SafetensorsWriter writer = model.checkpoint("cond_stage_model.transformer.text_model.");
        model.unet().forEach((name, shape) -> SmallModel.add(writer, "model_ema."
                + model.ldmUNet(name).substring("model.".length()).replace(".", ""), "averaged " + name, shape));
        writer.write(folder.resolve("model.safetensors"));
        String name = "down_blocks.0.resnets.0.conv1.weight";
        long[] shape = model.unet().get(name);
        for (String[] asked : new String[][] {{"use_ema: False", name}, {"", name}, {"use_ema: True", "averaged " + name}}) {
            try (ModelFiles files = open(WHOLE.replace("use_ema: False", asked[0]))) {
                assertArrayEquals(SmallModel.values(asked[1], shape), files.unet().tensor(name).toFloats());
                assertEquals(model.unet().keySet(), files.unet().names());
                assertEquals(Set.of(), files.otherTensors());
            }
        }
    }

    @Test
    void averagedWeightsAreAllThereOrNone() {
        String all = WHOLE.replace("use_ema: False", "use_ema: True");
        try (ModelFiles files = open(all)) {
            assertEquals(SmallModel.sd15Like().unet().keySet(), files.unet().names());
        }
        SafetensorsWriter writer = SmallModel.sd15Like().checkpoint("cond_stage_model.transformer.text_model.");
        SmallModel.add(writer, "model_ema.decay", "decay", new long[] {1});
        writer.write(folder.resolve("model.safetensors"));
        assertTrue(assertThrows(WeightException.class, () -> open(all)).getMessage()
                .contains("asks for by use_ema, but no 'model_ema.diffusion_model"));
    }

    @Test
    void ofALinkItLiesBesideTheLinkOrElseBesideTheFile() throws Exception {
        SmallModel.writeFile(folder.resolve("model.yaml"), "model: {params: {linear_start: 0.001, linear_end: 0.02}}");
        Path link = Files.createSymbolicLink(Files.createDirectory(folder.resolve("links")).resolve("name.safetensors"), Path.of("../model.safetensors"));
        try (ModelFiles files = ModelFiles.open(link)) {
            assertEquals(0.001, files.schedulerConfig().get("beta_start").asDouble());
        }
        for (String[] nearer : new String[][] {{"name.yml", "0.002"}, {"name.yaml", "0.003"}}) {
            SmallModel.writeFile(link.resolveSibling(nearer[0]), "model: {params: {linear_start: " + nearer[1] + ", linear_end: 0.02}}");
            try (ModelFiles files = ModelFiles.open(link)) {
                assertEquals(nearer[1], files.schedulerConfig().get("beta_start").toString());
            }
        }
    }

    @Test
    void headsScaleAndSizeAreComputedWith() {
        SmallModel wide = new SmallModel(new long[] {64, 128}, 1, new boolean[] {true, true}, 1, false, 64, 1, new long[] {2, 3}, 1, 4);
        wide.checkpoint("cond_stage_model.transformer.text_model.").write(folder.resolve("model.safetensors"));
        try (ModelFiles files = open("model: {params: {image_size: 96, scale_factor: 0.13025, unet_config: {params: {num_head_channels: 32, num_heads: 8}}}}")) {
            assertEquals(96, files.unetConfig().get("sample_size").asInt());
            assertEquals(0.13025, files.vaeConfig().get("scaling_factor").asDouble());
            assertEquals("[2, 4]", files.unetConfig().get("attention_head_dim").toString());
        }
        try (ModelFiles files = open("model: {params: {unet_config: {params: {num_head_channels: -1, num_heads: 4}}}}")) {
            assertEquals("4", files.unetConfig().get("attention_head_dim").toString());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "'channel_mult: [ 2, 3, 4, 4 ]', 'channel_mult: [ 1, 2, 4, 4 ]', 'unet_config.params.channel_mult is [1, 2, 4, 4] and model_channels is 1, but the weights beside it say [2, 3, 4, 4] channels'",
        "model_channels: 1, model_channels: 320, and model_channels is 320", "num_res_blocks: 2, num_res_blocks: 3, 'num_res_blocks is 3, but the weights beside it say 2'",
        "context_dim: 64, context_dim: 1024, 'context_dim is 1024, but the weights beside it say 64'", "context_dim: 64, 'context_dim: [64, 32]', 'context_dim is [64, 32], but'",
        "'attention_resolutions: [ 4, 2, 1 ]', 'attention_resolutions: [8]', 'attention_resolutions is [8], but'", "in_channels: 4, in_channels: 9, 'unet_config.params.in_channels is 9, but'",
        "transformer_depth: 1, transformer_depth: 2, 'transformer_depth is 2, but'", "legacy: False, use_linear_in_transformer: true, 'use_linear_in_transformer is true, but the weights beside it say false'",
        "'attn_resolutions: []', 'attn_resolutions: [64]', 'attn_resolutions is [64], but'", "z_channels: 4, z_channels: 16, 'z_channels is 16, but'", "embed_dim: 4, embed_dim: 3, 'embed_dim is 3, but'",
        "linear_end: 0.0120, x: 1, 'model.params has no linear_end, so the noise is not known'", "linear_start: 0.00085, linear_start: 0.5, 'expected 0 < linear_start < linear_end < 1'",
        "linear_start: 0.00085, linear_start: x, 'linear_start is \"x\" where a number is expected'", "timesteps: 1000, timesteps: 1000.5, 'timesteps is 1000.5 where an integer is expected'",
        "timesteps: 1000, timesteps: 1, 'timesteps is 1, which is not computed; expected a number from 2 to 100000'", "use_ema: False, beta_schedule: sqrt, 'beta_schedule is \"sqrt\", which is not computed'",
        "use_ema: False, 'given_betas: [0.1, 0.2]', 'given_betas is [0.1, 0.2], which is not computed; expected null'", "use_ema: False, cosine_s: 0.1, 'cosine_s is 0.1, which'",
        "use_ema: False, zero_terminal_snr: true, 'model.params.zero_terminal_snr says that it was trained to zero terminal SNR, where no network predicts noise'", "use_ema: False, scale_by_std: true, 'scale_by_std is true, which'",
        "scale_factor: 0.18215, scale_factor: 0, 'scale_factor is 0, which is not computed; expected a positive number'", "conditioning_key: crossattn, conditioning_key: hybrid, 'conditioning_key is \"hybrid\", but the weights beside it say \"crossattn\"'",
        "num_heads: 1, num_heads: 5, 'num_heads is 5, which is not computed; expected a number that divides each of [2, 3, 4, 4] channels'", "use_spatial_transformer: True, use_spatial_transformer: False, 'use_spatial_transformer is false'",
        "legacy: False, num_classes: 10, 'num_classes is 10, which is not computed; expected null'", "legacy: False, use_scale_shift_norm: true, 'use_scale_shift_norm is true'",
        "legacy: False, 'disable_self_attentions: [true, false, false, false]', 'disable_self_attentions is [true, false, false, false]'",
        "modules.FrozenCLIPEmbedder, modules.FrozenOpenCLIPEmbedder, 'cond_stage_config.target is \"ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder\", but the weights beside it say FrozenCLIPEmbedder'",
        "modules.FrozenCLIPEmbedder, modules.BERTEmbedder, 'BERTEmbedder\", which is not computed'", "autoencoder.AutoencoderKL, autoencoder.VQModelInterface, 'VQModelInterface\", which is not computed; expected a class such as AutoencoderKL'",
        "use_ema: False, network_config: x, 'network_config is of Stable Diffusion XL and newer'"})
    void whatCannotBeIsRefusedByItsName(String line, String changed, String problem) {
        String message = assertThrows(WeightException.class, () -> open(WHOLE.replace(line, changed))).getMessage();
        assertTrue(message.startsWith(folder.resolve("model.yaml") + ": model.params") && message.contains(problem), message);
    }

    @ParameterizedTest
    @CsvSource({"layer: penultimate, 'layer is \"penultimate\"'", "clip_skip: 2, clip_skip is 2", "max_length: 77, 'max_length is 77, but the weights beside it say 5'"})
    void otherReadingsOfTheTextAreRefused(String line, String problem) {
        String message = assertThrows(WeightException.class, () -> open(WHOLE + "      params:\n        " + line + "\n")).getMessage();
        assertTrue(message.contains("cond_stage_config.params." + problem), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"layer: last", "freeze: true", "clip_skip: 1", "version: openai/clip-vit-large-patch14", "max_length: 5"})
    void usualReadingsOfTheTextAreRead(String line) {
        open(WHOLE + "      params:\n        " + line + "\n").close();
    }

    @Test
    void mergedSectionsAreRead() {
        String message = assertThrows(WeightException.class, () -> open("model:\n  params:\n    <<: {linear_start: 0.1}\n")).getMessage();
        assertTrue(message.contains("model.params has no linear_end"), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"model: runwayml/stable-diffusion-v1-5\ntimesteps: 30\n", "- a\n- b\n", "just text", "prompts:\n  - a cat\nimage_size: [1, 2]\n"})
    void anotherKindOfFileIsNotLookedAt(String yaml) {
        open(yaml).close();
    }
}
