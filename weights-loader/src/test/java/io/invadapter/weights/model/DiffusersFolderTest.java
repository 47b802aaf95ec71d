package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.WeightException;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiffusersFolderTest {

    private static final SmallModel MODEL = SmallModel.sd15Like();

    @TempDir
    Path folder;

    @BeforeEach
    void writeModel() {
        MODEL.writeFolder(folder);
    }

    @Test
    void opensEveryPart() {
        try (ModelFiles files = ModelFiles.open(folder)) {
            assertEquals(MODEL.unet().keySet(), files.unet().names());
            assertEquals(MODEL.vae().keySet(), files.vae().names());
            assertEquals(MODEL.textEncoder().keySet(), files.textEncoder().names());
            assertEquals(4, files.unetConfig().get("in_channels").asInt());
            assertEquals(4, files.vaeConfig().get("latent_channels").asInt());
            assertEquals(64, files.textEncoderConfig().get("hidden_size").asInt());
            assertEquals(0.00085, files.schedulerConfig().get("beta_start").asDouble());
            assertEquals(Optional.of(folder.resolve("tokenizer")), files.tokenizerFolder());
        }
    }

    @Test
    void namesOfOlderUploadsAreTranslated() {
        SafetensorsWriter vae = new SafetensorsWriter();
        MODEL.vae().forEach((name, shape) -> {
            String old = name.contains("attentions")
                    ? name.replace("to_q", "query").replace("to_k", "key").replace("to_v", "value").replace("to_out.0", "proj_attn") : name;
            SmallModel.add(vae, old, name, !old.equals(name) && shape.length == 2 ? new long[] {shape[0], shape[1], 1, 1} : shape);
        });
        vae.write(folder.resolve("vae/diffusion_pytorch_model.safetensors"));
        SafetensorsWriter text = new SafetensorsWriter().add("text_model.embeddings.position_ids", new long[] {1}, new long[] {0});
        MODEL.textEncoder().forEach((name, shape) -> SmallModel.add(text, "text_model." + name, name, shape));
        text.write(folder.resolve("text_encoder/model.safetensors"));
        try (ModelFiles files = ModelFiles.open(folder)) {
            assertEquals(MODEL.vae().keySet(), files.vae().names());
            MODEL.vae().forEach((name, shape) -> assertArrayEquals(SmallModel.values(name, shape), files.vae().tensor(name, shape).toFloats()));
            assertEquals(MODEL.textEncoder().keySet(), files.textEncoder().names());
            MODEL.textEncoder().forEach((name, shape) ->
                    assertArrayEquals(SmallModel.values(name, shape), files.textEncoder().tensor(name, shape).toFloats()));
        }
    }

    @Test
    void aTensorUnderBothItsNamesIsRefused() {
        SafetensorsWriter text = new SafetensorsWriter().add("text_model.final_layer_norm.bias", new long[] {1}, new float[1])
                .add("final_layer_norm.bias", new long[] {1}, new float[1]);
        text.write(folder.resolve("text_encoder/model.safetensors"));
        assertRefused("'text_model.final_layer_norm.bias' and 'final_layer_norm.bias' are the same layer");
    }

    @Test
    void fullPrecisionComesBeforeHalf() throws IOException {
        Path full = folder.resolve("unet/diffusion_pytorch_model.safetensors");
        Path half = folder.resolve("unet/diffusion_pytorch_model.fp16.safetensors");
        Files.copy(full, half);
        assertUNetFile(full);
        Files.delete(full);
        assertUNetFile(half);
        Files.move(half, folder.resolve("unet/shard.safetensors"));
        Path index = folder.resolve("unet/diffusion_pytorch_model.safetensors.index.json");
        Files.writeString(index, "{\"weight_map\": {\"conv_in.weight\": \"shard.safetensors\"}}");
        assertUNetFile(index);
    }

    @Test
    void ofSeveralVariantsTheOneWithMostPrecisionIsTaken() throws IOException {
        Path full = folder.resolve("unet/diffusion_pytorch_model.safetensors");
        List<Path> variants = Stream.of("fp16", "bf16", "non_ema")
                .map(variant -> folder.resolve("unet/diffusion_pytorch_model." + variant + ".safetensors")).toList();
        for (Path variant : variants) {
            Files.copy(full, variant);
        }
        Files.delete(full);
        for (Path variant : variants) {
            assertUNetFile(variant);
            Files.delete(variant);
        }
    }

    @Test
    void aLinkWhoseFileIsMissingIsNamedAsOne() throws IOException {
        Path file = folder.resolve("unet/diffusion_pytorch_model.safetensors");
        Path half = folder.resolve("unet/diffusion_pytorch_model.fp16.safetensors");
        Files.move(file, half);
        Files.createSymbolicLink(file, Path.of("../blobs/0123"));
        assertUNetFile(half);
        Files.delete(half);
        String problem = " is a link to " + Path.of("../blobs/0123") + ", which does not exist: the download was not finished or has been deleted;"
                + " fetch the model again";
        assertRefused(file + problem);
        Path config = folder.resolve("unet/config.json");
        Files.delete(config);
        Files.createSymbolicLink(config, Path.of("../blobs/0123"));
        assertRefused(config + problem);
    }

    @Test
    void aTextEncoderWithAProjectionIsTheSameTextEncoder() {
        SmallModel.writeFile(folder.resolve("text_encoder/config.json"), "{\"architectures\": [\"CLIPTextModelWithProjection\"]}");
        ModelFiles.open(folder).close();
        SmallModel.writeFile(folder.resolve("text_encoder/config.json"), "{\"architectures\": [\"RobertaSeriesModel\"]}");
        assertRefused("architectures[0] is \"RobertaSeriesModel\" where \"CLIPTextModel\" or \"CLIPTextModelWithProjection\" is expected");
    }

    private void assertUNetFile(Path expected) {
        try (ModelFiles files = ModelFiles.open(folder)) {
            assertEquals(expected.toString(), files.unet().description());
            assertEquals(2, files.unet().tensor("conv_in.weight").shape()[0]);
        }
    }

    @Test
    void missingPiecesAreNamed() throws IOException {
        Files.move(folder.resolve("vae/diffusion_pytorch_model.safetensors"), folder.resolve("vae/diffusion_pytorch_model.bin"));
        assertRefused("vae holds only pickle weights (diffusion_pytorch_model.bin), which can run any code");
        Files.delete(folder.resolve("vae/diffusion_pytorch_model.bin"));
        assertRefused("vae has no weights: diffusion_pytorch_model.safetensors (or .fp16, .bf16, .non_ema before .safetensors, or"
                + " .safetensors.index.json) is expected, but it holds config.json");
        Files.delete(folder.resolve("vae/config.json"));
        assertRefused(Path.of("vae", "config.json") + " does not exist");
        Files.delete(folder.resolve("unet/diffusion_pytorch_model.safetensors"));
        Files.delete(folder.resolve("unet/config.json"));
        Files.delete(folder.resolve("unet"));
        assertRefused("is the folder of a StableDiffusionPipeline where the folder of a whole model is expected, with model_index.json, unet, vae, text_encoder and scheduler in it; it holds"
                + " model_index.json, scheduler, text_encoder, tokenizer, vae");
    }

    @Test
    void otherModelsAreRefused() throws IOException {
        SmallModel.writeFile(folder.resolve("unet/config.json"), "{\"in_channels\": 8}");
        assertRefused("looks like an InstructPix2Pix model");
        Files.createDirectory(folder.resolve("text_encoder_2"));
        assertRefused("looks like Stable Diffusion XL");
    }

    @Test
    void anInpaintingModelAlsoTakesAMaskAndAPicture() {
        SmallModel.writeFile(folder.resolve("unet/config.json"), "{\"in_channels\": 9}");
        try (ModelFiles files = ModelFiles.open(folder)) {
            assertEquals(9, files.unetConfig().get("in_channels").asInt());
        }
    }

    @Test
    void partsMayLieElsewhere() throws IOException {
        Path other = Files.createDirectory(folder.resolve("other"));
        Files.move(folder.resolve("unet"), other.resolve("mine"));
        SmallModel.writeFile(other.resolve("mine/config.json"), "{\"in_channels\": 4, \"sample_size\": 7}");
        try (ModelFiles files = ModelFiles.open(folder, Map.of("unet", other.resolve("mine")))) {
            assertEquals(7, files.unetConfig().get("sample_size").asInt());
            assertEquals(Optional.of(folder.resolve("tokenizer")), files.tokenizerFolder());
        }
        String message = assertThrows(WeightException.class, () -> ModelFiles.open(folder.resolve("model_index.json"), Map.of())).getMessage();
        assertEquals(folder.resolve("model_index.json") + " is not a diffusers model folder: it is a file", message);
    }

    @Test
    void aPathThatDoesNotExistIsNamed() {
        Path missing = folder.resolve("none");
        assertEquals(missing + " does not exist", assertThrows(WeightException.class, () -> ModelFiles.open(missing)).getMessage());
    }

    private void assertRefused(String problem) {
        String message = assertThrows(WeightException.class, () -> ModelFiles.open(folder)).getMessage();
        assertTrue(message.startsWith(folder.toString()) && message.contains(problem), message);
    }
}
