package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** A LoRA that does not fit the model, or is none, is refused in a sentence that says why. */
class LoraRefusalsTest extends LoraFixture {
    private String refusal(Consumer<SafetensorsWriter> tensors) {
        Path file = write(tensors);
        return assertThrows(WeightException.class, () -> {
            try (Lora lora = Lora.open(file, notices::add)) {
                lora.over("text_encoder", textEncoder, 1);
                lora.over("unet", unet, 1);
            }
        }).getMessage().replace(folder + "/", "");
    }

    private static void plain(SafetensorsWriter writer, String layer, long out, long in) {
        writer.add(layer + ".lora_down.weight", new long[] {2, in}, new float[(int) (2 * in)]);
        writer.add(layer + ".lora_up.weight", new long[] {out, 2}, new float[(int) (2 * out)]);
    }

    @Test
    void whatIsMadeForAnotherModelIsNamed() {
        assertEquals("lora.safetensors is a LoRA for Stable Diffusion XL, not for Stable Diffusion 1.x or 2.x",
                refusal(writer -> plain(writer, "lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 4, 4)));
        assertEquals("lora.safetensors is a LoRA for Stable Diffusion XL, not for unet: its layers read texts of 2048 channels, the model's 10",
                refusal(writer -> plain(writer, "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 6, 2048)));
        assertEquals("lora.safetensors is a LoRA for Stable Diffusion 2.x, not for text: its layers read texts of 1024 channels, the model's 10",
                refusal(writer -> plain(writer, "text_encoder.text_model.encoder.layers.0.self_attn.q_proj", 6, 1024)));
        assertEquals("lora.safetensors is a LoRA for another model (it says that it is for \"pony\"): 1 of its 1 layers are not in unet, such as 'down_blocks_7_x'",
                refusal(writer -> plain(writer.metadata("ss_base_model_version", "pony"), "lora_unet_down_blocks_7_x", 6, 10)));
        assertEquals("lora.safetensors: 1 of its 3 layers are not in unet, such as 'up_blocks_9'", refusal(writer -> {
            plain(writer, "lora_unet_mid_block_attentions_0_proj_in", 6, 6);
            plain(writer, "lora_unet_mid_block_attentions_0_proj_out", 6, 6);
            plain(writer, "lora_unet_up_blocks_9", 6, 6);
        }));
        assertEquals("lora.safetensors is a LoRA for Flux, not for Stable Diffusion 1.x or 2.x",
                refusal(writer -> plain(writer, "transformer.single_transformer_blocks.0.attn.to_q", 6, 6)));
    }

    @Test
    void factorsThatDoNotFitAreNamed() {
        String layer = "lora_unet_mid_block_attentions_0_proj_in";
        String start = "lora.safetensors does not fit the layer 'mid_block_attentions_0_proj_in' of this model: ";
        assertEquals(start + "'" + layer + ".lora_down.weight' has the shape [2, 7] where [2, 6, 1, 1] is expected", refusal(writer -> plain(writer, layer, 6, 7)));
        assertEquals(start + "'" + layer + ".lora_up.weight' has the shape [5, 2] where [6, 2] is expected", refusal(writer -> plain(writer, layer, 5, 6)));
        assertEquals(start + "it has ['" + layer + ".lora_down.weight'] but no factor 'up'",
                refusal(writer -> writer.add(layer + ".lora_down.weight", new long[] {2, 6}, new float[12])));
        assertEquals(start + "'" + layer + ".alpha' is NaN", refusal(writer -> {
            plain(writer, layer, 6, 6);
            writer.add(layer + ".alpha", new long[0], new float[] {Float.NaN});
        }));
        assertEquals(start + "'" + layer + ".lora_down.weight' has the shape [0, 6]", refusal(writer ->
                writer.add(layer + ".lora_down.weight", new long[] {0, 6}, new float[0]).add(layer + ".lora_up.weight", new long[] {6, 0}, new float[0])));
        assertEquals(start + "'" + layer + ".lora_down.weight' has the rank 5000, and 4096 is the highest that is computed", refusal(writer ->
                writer.add(layer + ".lora_down.weight", new long[] {5000, 6}, new float[30000]).add(layer + ".lora_up.weight", new long[] {6, 5000}, new float[30000])));
        assertEquals(start + "its first factor is [4, 2], which does not divide the layer's weight [6, 6, 1, 1]", refusal(writer ->
                writer.add(layer + ".lokr_w1", new long[] {4, 2}, new float[8]).add(layer + ".lokr_w2", new long[] {2, 2}, new float[4])));
        assertEquals("lora.safetensors holds factors of the kind OFT ('" + layer + ".oft_blocks'), which are not computed; expected LoRA, LoCon, LoHa, LoKr or DoRA",
                refusal(writer -> {
                    plain(writer, layer, 6, 6);
                    writer.add(layer + ".oft_blocks", new long[] {1}, new float[1]);
                }));
        assertEquals("lora.safetensors holds factors of the kind IA3 ('" + layer + ".on_input'), which are not computed; expected LoRA, LoCon, LoHa, LoKr or DoRA",
                refusal(writer -> writer.add(layer + ".a", new long[] {6}, new float[6]).add(layer + ".on_input", new long[0], new float[1])));
        assertEquals("lora.safetensors: the tensor 'something' is no factor of a LoRA", refusal(writer -> {
            plain(writer, layer, 6, 6);
            writer.add("something", new long[] {1}, new float[1]);
        }));
        assertEquals("lora.safetensors changes 'mid_block.attentions.0.proj_in.weight' twice, in two spellings", refusal(writer -> {
            plain(writer, layer, 6, 6);
            plain(writer, "lora_unet_middle_block_1_proj_in", 6, 6);
        }));
        assertEquals("lora.safetensors: tensor '" + layer + ".lora_up.weight' is I64 where floating-point numbers are expected (F16, BF16, F32 or F64)",
                refusal(writer -> writer.add(layer + ".lora_up.weight", new long[] {1, 1}, new long[] {4})));
    }

    @Test
    void whatIsNotFiniteIsNamed() {
        String layer = "lora_unet_mid_block_attentions_0_proj_in";
        for (DType type : List.of(DType.F16, DType.BF16, DType.F32, DType.F64)) {
            for (float value : new float[] {Float.NaN, Float.NEGATIVE_INFINITY}) {
                float[] up = new float[12];
                up[7] = value;
                assertEquals("lora.safetensors: tensor '" + layer + ".lora_up.weight' holds values that are not finite (NaN or infinite)", refusal(writer ->
                        writer.add(layer + ".lora_down.weight", new long[] {2, 6}, new float[12]).add(layer + ".lora_up.weight", type, new long[] {6, 2}, up)));
            }
        }
    }

    @Test
    void whatFloat16DoesNotHoldIsBlamedOnTheLoraThatMakesIt() {
        String layer = "mid_block.attentions.0.proj_in";
        Path usual = write(writer -> plain(writer, "unet." + layer.replace('.', '_'), 6, 6));
        Path file = folder.resolve("large.safetensors");
        float[] ones = new float[12];
        Arrays.fill(ones, 200);
        String written = "lora_unet_" + layer.replace('.', '_');
        new SafetensorsWriter().add(written + ".lora_down.weight", new long[] {2, 6}, ones).add(written + ".lora_up.weight", new long[] {6, 2}, ones).write(file);
        try (Lora first = Lora.open(usual, notices::add); Lora second = Lora.open(file, notices::add)) {
            assertTrue(second.over("unet", first.over("unet", unet, 1), 0.8).tensor(layer + ".weight").isFinite());
            WeightSource tooLarge = second.over("unet", first.over("unet", unet, 1), 1);
            String message = assertThrows(WeightException.class, () -> tooLarge.tensor(layer + ".weight")).getMessage();
            assertTrue(message.matches(".*/large.safetensors: at the scale 1.0 it makes values of up to 8000[01].* in '" + layer + ".weight', "
                    + "where 65504 is the most that float16 holds"), message);
        }
    }

    @Test
    void embeddingsInALoraAreToldOf() {
        Path file = write(writer -> {
            plain(writer, "lora_unet_mid_block_attentions_0_proj_in", 6, 6);
            writer.add("bundle_emb.kitty.string_to_param.*", new long[] {2, 10}, new float[20]);
        });
        try (Lora lora = Lora.open(file, notices::add)) {
            lora.over("unet", unet, 1);
        }
        assertEquals(List.of(file + ": the embeddings in it (kitty) are left out; give them as files of their own"), notices);
    }

    @Test
    void aFolderWithoutALoraIsToldWhatIsExpected() {
        String message = assertThrows(WeightException.class, () -> Lora.open(folder, notices::add)).getMessage();
        assertEquals(folder + " is not the folder of a LoRA: adapter_model.safetensors or pytorch_lora_weights.safetensors is expected in it", message);
    }
}
