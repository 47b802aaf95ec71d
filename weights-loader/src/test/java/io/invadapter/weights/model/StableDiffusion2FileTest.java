package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.json.JsonValue;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Single files of Stable Diffusion 2.x, whose text encoder has OpenCLIP's names. */
class StableDiffusion2FileTest {
    private static final String TEXT = "cond_stage_model.model.";
    private static final SmallModel MODEL = new SmallModel(new long[] {128, 192}, 1, new boolean[] {true, false}, 1, true, 128, 2, new long[] {2, 3}, 1, 4);
    private static final String SIGN = "up_blocks.1.attentions.1.transformer_blocks.0.norm1.bias";

    @TempDir
    Path folder;
    private Path path;

    @BeforeEach
    void name() {
        path = folder.resolve("model.safetensors");
    }

    /** @param blocks of the text encoder's layers, of which the model has one less */
    private static SafetensorsWriter checkpoint(int blocks, float spread) {
        SafetensorsWriter writer = new SafetensorsWriter();
        MODEL.unet().forEach((name, shape) -> {
            if (name.equals(SIGN)) {
                float[] values = new float[(int) shape[0]];
                for (int i = 0; i < values.length; i++) {
                    values[i] = 0.5f + (i % 2 == 0 ? spread : -spread);
                }
                writer.add(MODEL.ldmUNet(name), DType.F32, shape, values);
            } else {
                SmallModel.add(writer, MODEL.ldmUNet(name), name, shape);
            }
        });
        MODEL.vae().forEach((name, shape) -> SmallModel.add(writer, MODEL.ldmVae(name), name, shape));
        Map<String, long[]> text = MODEL.textEncoder();
        SmallModel.add(writer, TEXT + "positional_embedding", "embeddings.position_embedding.weight", 5, 128);
        SmallModel.add(writer, TEXT + "token_embedding.weight", "embeddings.token_embedding.weight", 7, 128);
        for (String end : List.of("weight", "bias")) {
            SmallModel.add(writer, TEXT + "ln_final." + end, "final_layer_norm." + end, 128);
        }
        for (int block = 0; block < blocks; block++) {
            String from = "encoder.layers." + block + ".";
            String to = TEXT + "transformer.resblocks." + block + ".";
            for (String end : List.of("weight", "bias")) {
                Map.of("layer_norm1", "ln_1", "layer_norm2", "ln_2", "self_attn.out_proj", "attn.out_proj", "mlp.fc1", "mlp.c_fc", "mlp.fc2", "mlp.c_proj")
                        .forEach((canonical, original) -> SmallModel.add(writer, to + original + "." + end, from + canonical + "." + end,
                                text.get("encoder.layers.0." + canonical + "." + end)));
                long[] shape = text.get("encoder.layers.0.self_attn.q_proj." + end).clone();
                float[] stack = new float[3 * SmallModel.values("", shape).length];
                for (int i = 0; i < 3; i++) {
                    float[] part = SmallModel.values(from + "self_attn." + "qkv".charAt(i) + "_proj." + end, shape);
                    System.arraycopy(part, 0, stack, i * part.length, part.length);
                }
                shape[0] *= 3;
                writer.add(to + "attn.in_proj_" + end, DType.F32, shape, stack);
            }
        }
        return writer.add(TEXT + "text_projection", new long[] {1}, new float[1]).add(TEXT + "logit_scale", new long[] {}, new float[1]);
    }

    @Test
    void tensorsAreThoseOfTheFolderAndTheLastBlockIsNotRun() {
        checkpoint(3, 0.2f).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(MODEL.textEncoder().keySet(), files.textEncoder().names());
            MODEL.textEncoder().forEach((name, shape) ->
                    assertArrayEquals(SmallModel.values(name, shape), files.textEncoder().tensor(name, shape).toFloats(), name));
            JsonValue text = files.textEncoderConfig();
            assertEquals(2, text.get("num_hidden_layers").asInt());
            assertEquals("gelu", text.get("hidden_act").asString());
            assertEquals(2, text.get("num_attention_heads").asInt());
            assertEquals("[2, 3]", files.unetConfig().get("attention_head_dim").toString());
            assertEquals("true", files.unetConfig().get("use_linear_projection").toString());
            assertEquals(32, files.unetConfig().get("norm_num_groups").asInt());
            assertTrue(files.otherTensors().isEmpty(), files.otherTensors().toString());
        }
    }

    @Test
    void aYamlSaysThatTheLastBlockIsRun() {
        checkpoint(3, 0.2f).write(path);
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    parameterization: v\n    cond_stage_config:\n"
                + "      target: ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder\n      params: {layer: last}\n");
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(3, files.textEncoderConfig().get("num_hidden_layers").asInt());
            assertEquals(List.of(), files.notices());
        }
        SmallModel.writeFile(folder.resolve("model.yaml"), "model:\n  params:\n    cond_stage_config: {target: ldm.modules.encoders.modules.FrozenCLIPEmbedder}\n");
        String message = assertThrows(WeightException.class, () -> ModelFiles.open(path)).getMessage();
        assertTrue(message.contains("cond_stage_config.target is \"ldm.modules.encoders.modules.FrozenCLIPEmbedder\", but the weights beside it say"), message);
    }

    @ParameterizedTest
    @CsvSource({"23, 23", "24, 23", "22, 21"})
    void ofThePublishedSizeTheLastBlockMayHaveBeenLeftOutAlready(int blocks, int used) {
        SmallModel wide = new SmallModel(new long[] {2}, 1, new boolean[] {true}, 1, true, 1024, 1, new long[] {2}, 1, 4);
        SafetensorsWriter writer = new SafetensorsWriter();
        wide.unet().forEach((name, shape) -> SmallModel.add(writer, wide.ldmUNet(name), name, shape));
        wide.vae().forEach((name, shape) -> SmallModel.add(writer, wide.ldmVae(name), name, shape));
        writer.add(TEXT + "positional_embedding", new long[] {1, 1024}, new float[1024]).add(TEXT + "token_embedding.weight", new long[] {1, 1024}, new float[1024])
                .add(TEXT + "ln_final.weight", new long[] {1024}, new float[1024]);
        for (int block = 0; block < blocks; block++) {
            writer.add(TEXT + "transformer.resblocks." + block + ".ln_1.weight", new long[] {1}, new float[1])
                    .add(TEXT + "transformer.resblocks." + block + ".mlp.c_fc.weight", new long[] {1, 1}, new float[1]);
        }
        writer.write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(used, files.textEncoderConfig().get("num_hidden_layers").asInt());
        }
    }

    @ParameterizedTest
    @CsvSource({"0.2, v_prediction, 96", "0.05, epsilon, 64"})
    void whatItPredictsIsGuessedFromABiasAndTold(float spread, String type, int size) {
        checkpoint(3, spread).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(type, files.schedulerConfig().get("prediction_type").asString());
            assertEquals(size, files.unetConfig().get("sample_size").asInt());
            assertEquals(1, files.notices().size());
            assertTrue(files.notices().getFirst().contains(type + " is taken, because '" + SIGN + "' deviates by 0." + (spread > 0.1 ? "200" : "050")),
                    files.notices().toString());
        }
    }

    @ParameterizedTest
    @CsvSource({"modelspec.architecture, stable-diffusion-v2-768-v, v_prediction", "modelspec.architecture, stable-diffusion-v2-512, epsilon",
        "ss_v_parameterization, True, v_prediction", "modelspec.prediction_type, epsilon, epsilon"})
    void whatItSaysItPredictsIsNotGuessed(String key, String value, String type) {
        checkpoint(3, type.equals("epsilon") ? 0.2f : 0).metadata(key, value).metadata("ss_v2", "True").write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(type, files.schedulerConfig().get("prediction_type").asString());
            assertEquals(List.of(), files.notices());
        }
    }

    /** Counted in all blocks: the last but one is the last that is run. */
    @ParameterizedTest
    @CsvSource({"1, ''", "2, ''", "3, 2", "4, 3"})
    void theLayerOfTheTextEncoderIsCountedFromTheBlockThatIsNotRun(String said, String clipSkip) {
        checkpoint(5, 0).metadata("modelspec.encoder_layer", said).write(path);
        try (ModelFiles files = ModelFiles.open(path)) {
            assertEquals(clipSkip, files.textEncoderConfig().find("clip_skip").map(Object::toString).orElse(""));
        }
    }

    @ParameterizedTest
    @CsvSource({"modelspec.architecture, stable-diffusion-v1", "ss_v2, False", "ss_base_model_version, sd_v1"})
    void metadataOfStableDiffusion1IsRefused(String key, String value) {
        checkpoint(3, 0).metadata(key, value).write(path);
        String message = assertThrows(WeightException.class, () -> ModelFiles.open(path)).getMessage();
        assertTrue(message.contains("'" + key + "' is \"" + value + "\", but its tensors are those of Stable Diffusion 2.x"), message);
    }

    @Test
    void numbersThatNothingShowsCanBeGiven() {
        checkpoint(3, 0).write(path);
        try (ModelFiles files = ModelFiles.open(path, new Untold(32, 8, 16, 4, Optional.of("v_prediction")))) {
            assertEquals("[4, 6]", files.unetConfig().get("attention_head_dim").toString());
            assertEquals(8, files.unetConfig().get("norm_num_groups").asInt());
            assertEquals(8, files.textEncoderConfig().get("num_attention_heads").asInt());
            assertEquals(4, files.vaeConfig().get("norm_num_groups").asInt());
            assertEquals("v_prediction", files.schedulerConfig().get("prediction_type").asString());
        }
    }
}
