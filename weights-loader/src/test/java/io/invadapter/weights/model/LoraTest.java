package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A LoRA in whichever naming changes each weight by the product of its factors. */
class LoraTest extends LoraFixture {
    private static final Predicate<String> ATTENTION = name -> name.matches(".*\\.(to_[qkv]|to_out\\.0|[qkv]_proj|out_proj)");

    /** @param name canonical, without the part */
    private record Layer(String part, String name, long[] shape, int rank, double alpha, float[] down, float[] up) {

        int columns() {
            return down.length / rank;
        }

        long[] downShape() {
            long[] result = shape.clone();
            result[0] = rank;
            return result;
        }

        long[] upShape() {
            return shape.length == 2 ? new long[] {shape[0], rank} : new long[] {shape[0], rank, 1, 1};
        }

        float[] upWithAlpha() {
            float[] result = up.clone();
            for (int i = 0; i < result.length; i++) {
                result[i] *= (float) (alpha / rank);
            }
            return result;
        }

        double[] change() {
            double[] result = product(up, down, rank, columns());
            for (int i = 0; i < result.length; i++) {
                result[i] *= alpha / rank;
            }
            return result;
        }
    }

    private static List<Layer> layers(Predicate<String> wanted) {
        Random random = new Random(7);
        List<Layer> layers = new ArrayList<>();
        BiConsumer<String, Map<String, long[]>> add = (part, shapes) -> shapes.forEach((name, shape) -> {
            String layer = name.replaceAll("\\.[a-z]+$", "");
            if (name.endsWith(".weight") && shape.length > 1 && !name.contains("embeddings.") && wanted.test(layer)) {
                int rank = 1 + layers.size() % 6;
                double alpha = rank * new double[] {1, 0.5, 2}[layers.size() % 3];
                layers.add(new Layer(part, layer, shape, rank, alpha, randoms(random, rank * Shapes.elements(shape) / shape[0]),
                        randoms(random, shape[0] * rank)));
            }
        });
        add.accept("unet", MODEL.unet());
        add.accept("text_encoder", MODEL.textEncoder());
        return layers;
    }

    /** How each program writes {@code layer}, and whether it can. */
    private enum Naming {
        KOHYA(layer -> true), KOHYA_WITHOUT_TEXT_MODEL(layer -> true), KOHYA_ORIGINAL(layer -> true), PEFT(layer -> true), PEFT_NAMED(layer -> true),
        PEFT_ALPHAS_IN_METADATA(layer -> true), DIFFUSERS(layer -> true), COMFY(layer -> true), PROCESSORS(ATTENTION), PROCESSORS_WITHOUT_PART(ATTENTION);

        private final Predicate<String> layers;

        Naming(Predicate<String> layers) {
            this.layers = layers;
        }

        void write(SafetensorsWriter writer, List<Layer> all) {
            all.forEach(layer -> write(writer, layer));
            if (this == PEFT_ALPHAS_IN_METADATA) {
                StringBuilder json = new StringBuilder();
                for (String part : List.of("unet", "text_encoder")) {
                    StringBuilder pattern = new StringBuilder();
                    all.stream().filter(layer -> layer.part.equals(part)).forEach(layer -> pattern.append(pattern.isEmpty() ? "" : ", ")
                            .append('"').append(part.equals("unet") ? "" : "text_model.").append(layer.name).append("\": ").append(layer.alpha));
                    json.append(json.isEmpty() ? "" : ", ").append("\"").append(part).append(".lora_alpha\": 99, \"").append(part)
                            .append(".alpha_pattern\": {").append(pattern).append("}");
                }
                writer.metadata("lora_adapter_metadata", "{" + json + "}");
            }
        }

        private void write(SafetensorsWriter writer, Layer layer) {
            boolean isUnet = layer.part.equals("unet");
            String dotted = layer.part + (isUnet ? "." : ".text_model.") + layer.name;
            String original = isUnet ? MODEL.ldmUNet(layer.name + ".weight").replace("model.diffusion_model.", "").replaceAll("\\.weight$", "") : "";
            switch (this) {
                case KOHYA -> kohya(writer, (isUnet ? "lora_unet_" : "lora_te_text_model_") + layer.name.replace('.', '_'), layer, new long[0]);
                case KOHYA_WITHOUT_TEXT_MODEL -> kohya(writer, (isUnet ? "lora_unet_" : "lora_te1_") + layer.name.replace('.', '_'), layer, new long[] {1});
                case KOHYA_ORIGINAL -> kohya(writer, isUnet ? "lora_unet_" + original.replace('.', '_') : "lora_te_text_model_"
                        + layer.name.replace('.', '_'), layer, new long[] {1});
                case PEFT -> pair(writer, dotted + ".lora_A.weight", dotted + ".lora_B.weight", layer, layer.upWithAlpha());
                case PEFT_NAMED -> pair(writer, dotted + ".lora_A.default_0.weight", dotted + ".lora_B.default_0.weight", layer, layer.upWithAlpha());
                case PEFT_ALPHAS_IN_METADATA -> pair(writer, dotted + ".lora_A.weight", dotted + ".lora_B.weight", layer, layer.up);
                case DIFFUSERS -> {
                    String kind = isUnet ? ".lora" : ".lora_linear_layer";
                    pair(writer, dotted + kind + ".down.weight", dotted + kind + ".up.weight", layer, layer.upWithAlpha());
                }
                case COMFY -> kohya(writer, isUnet ? "diffusion_model." + original : "text_encoders.clip_l.transformer.text_model." + layer.name, layer, new long[0]);
                case PROCESSORS, PROCESSORS_WITHOUT_PART -> {
                    if (isUnet || this == PROCESSORS) {
                        String name = dotted.replaceAll("\\.(to_[qkv]|to_out)(\\.0)?$", ".processor.$1_lora")
                                .replaceAll("\\.([qkv])_proj$", ".to_$1_lora").replaceAll("\\.out_proj$", ".to_out_lora");
                        String start = this == PROCESSORS ? name : name.replaceFirst("^unet\\.", "");
                        pair(writer, start + ".down.weight", start + ".up.weight", layer, layer.upWithAlpha());
                    }
                }
            }
        }

        private static void kohya(SafetensorsWriter writer, String name, Layer layer, long[] alphaShape) {
            pair(writer, name + ".lora_down.weight", name + ".lora_up.weight", layer, layer.up);
            writer.add(name + ".alpha", alphaShape, new float[] {(float) layer.alpha});
        }

        private static void pair(SafetensorsWriter writer, String down, String up, Layer layer, float[] upValues) {
            DType[] types = {DType.F32, DType.F16, DType.BF16};
            DType type = types[layer.name.length() % 3];
            writer.add(down, type, layer.downShape(), layer.down);
            writer.add(up, type == DType.BF16 ? DType.F32 : type, layer.upShape(), upValues);
        }
    }

    @ParameterizedTest
    @EnumSource
    void everyNamingGivesTheSameWeights(Naming naming) {
        List<Layer> layers = layers(naming.layers).stream().filter(layer -> naming != Naming.PROCESSORS_WITHOUT_PART || layer.part.equals("unet")).toList();
        try (Lora lora = Lora.open(write(writer -> naming.write(writer, layers)), notices::add)) {
            WeightSource changedUnet = lora.over("unet", unet, 0.75);
            WeightSource changedText = lora.over("text_encoder", textEncoder, 0.75);
            assertEquals(unet.names(), changedUnet.names());
            layers.forEach(layer -> assertChanged(layer.part.equals("unet") ? changedUnet : changedText, layer.part, layer.name + ".weight",
                    layer.change(), 0.75));
            assertArrayEquals(unet.tensor("conv_norm_out.weight").toFloats(), changedUnet.tensor("conv_norm_out.weight").toFloats());
            assertTrue(layers.size() > 20);
        }
        assertEquals(List.of(), notices);
    }

    /** As PyTorch makes it of a trainer's setting; 0 and less than 0 are what they say. */
    @ParameterizedTest
    @ValueSource(longs = {6, 1, 0, -2})
    void anAlphaMayBeAWholeNumber(long alpha) {
        Layer layer = layers(ATTENTION).stream().filter(each -> each.part.equals("unet")).findFirst().orElseThrow();
        String name = "lora_unet_" + layer.name.replace('.', '_');
        Path file = write(writer -> {
            Naming.pair(writer, name + ".lora_down.weight", name + ".lora_up.weight", layer, layer.up);
            writer.add(name + ".alpha", new long[0], new long[] {alpha});
        });
        try (Lora lora = Lora.open(file, notices::add)) {
            assertChanged(lora.over("unet", unet, 1), "unet", layer.name + ".weight", product(layer.up, layer.down, layer.rank, layer.columns()),
                    (double) alpha / layer.rank);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aFolderOfPeftHasItsAlphasBesideIt(boolean byRoot) {
        List<Layer> layers = layers(ATTENTION).stream().filter(layer -> layer.part.equals("unet")).toList();
        Layer special = layers.get(4);
        SafetensorsWriter writer = new SafetensorsWriter();
        for (Layer layer : layers) {
            Naming.pair(writer, "base_model.model." + layer.name + ".lora_A.weight", "base_model.model." + layer.name + ".lora_B.weight", layer, layer.up);
        }
        writer.write(folder.resolve("adapter_model.safetensors"));
        SmallModel.writeFile(folder.resolve("adapter_config.json"), "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 3, \"use_rslora\": " + byRoot
                + ", \"alpha_pattern\": {\"" + special.name + "\": 8.0, \"^conv_in$\": 77}}");
        for (Path path : List.of(folder, folder.resolve("adapter_model.safetensors"))) {
            try (Lora lora = Lora.open(path, notices::add)) {
                WeightSource changed = lora.over("unet", unet, 1);
                for (Layer layer : layers) {
                    double alpha = layer == special ? 8 : 3;
                    assertChanged(changed, "unet", layer.name + ".weight", product(layer.up, layer.down, layer.rank, layer.columns()),
                            alpha / (byRoot ? Math.sqrt(layer.rank) : layer.rank));
                }
            }
        }
    }

    @Test
    void withoutAnAlphaItIsTheRank() {
        Layer layer = layers(name -> name.equals("mid_block.attentions.0.proj_in")).getFirst();
        Path file = write(writer -> Naming.pair(writer, "unet." + layer.name + ".lora.down.weight", "unet." + layer.name + ".lora.up.weight", layer, layer.up));
        try (Lora lora = Lora.open(file, notices::add)) {
            assertChanged(lora.over("unet", unet, 1), "unet", layer.name + ".weight", product(layer.up, layer.down, layer.rank, layer.columns()), 1);
            assertSame(textEncoder, lora.over("text_encoder", textEncoder, 1));
        }
    }

    @Test
    void aLinearLayerAndAConvolutionOfOneAreTheSame() {
        Layer convolution = layers(name -> name.equals("mid_block.attentions.0.proj_in")).getFirst();
        Layer linear = layers(name -> name.equals("mid_block.attentions.0.transformer_blocks.0.attn1.to_q")).getFirst();
        Path file = write(writer -> {
            writer.add("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", new long[] {convolution.rank, convolution.columns()}, convolution.down);
            writer.add("lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", new long[] {convolution.shape[0], convolution.rank}, convolution.up);
            String name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.";
            writer.add(name + "lora_down.weight", new long[] {linear.rank, linear.columns(), 1, 1}, linear.down);
            writer.add(name + "lora_up.weight", new long[] {linear.shape[0], linear.rank, 1, 1}, linear.up);
        });
        try (Lora lora = Lora.open(file, notices::add)) {
            WeightSource changed = lora.over("unet", unet, 1);
            for (Layer layer : List.of(convolution, linear)) {
                assertChanged(changed, "unet", layer.name + ".weight", product(layer.up, layer.down, layer.rank, layer.columns()), 1);
                assertArrayEquals(layer.shape, changed.tensor(layer.name + ".weight").shape());
            }
        }
    }

    @Test
    void severalAddUpAndOneOfScaleZeroChangesNothing() {
        List<Layer> layers = layers(ATTENTION);
        Path file = write(writer -> Naming.KOHYA.write(writer, layers));
        try (Lora one = Lora.open(file, notices::add); Lora other = Lora.open(file, notices::add)) {
            WeightSource both = other.over("unet", one.over("unet", unet, 0.5), -0.25);
            Layer layer = layers.getFirst();
            assertChanged(both, "unet", layer.name + ".weight", layer.change(), 0.25);
            assertSame(unet, one.over("unet", unet, 0));
        }
    }

    @Test
    void theWeightsKeepTheirNamesAndMetadata() {
        List<Layer> layers = layers(ATTENTION);
        try (Lora lora = Lora.open(write(writer -> Naming.KOHYA.write(writer, layers)), notices::add)) {
            WeightSource changed = lora.over("unet", unet, 1);
            assertEquals(unet.description(), changed.description());
            assertEquals(unet.metadata(), changed.metadata());
            WeightTensor tensor = changed.tensor(layers.getFirst().name + ".weight");
            assertEquals(DType.F32, tensor.dtype());
            assertEquals(layers.getFirst().name + ".weight", tensor.name());
        }
    }
}
