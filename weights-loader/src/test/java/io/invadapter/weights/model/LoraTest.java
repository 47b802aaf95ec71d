package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.Shapes;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.safetensors.Safetensors;
import io.invadapter.weights.safetensors.SafetensorsWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A LoRA in whichever naming and form changes each weight by what plain loops in double precision say. */
class LoraTest {
    private static final SmallModel MODEL = new SmallModel(new long[] {8, 6}, 2, new boolean[] {true, true}, 1, false, 10, 2, new long[] {2}, 1, 4);
    private static final Predicate<String> ATTENTION = name -> name.matches(".*\\.(to_[qkv]|to_out\\.0|[qkv]_proj|out_proj)");

    @TempDir
    private Path folder;
    private final List<String> notices = new ArrayList<>();
    private WeightSource unet;
    private WeightSource textEncoder;

    @BeforeEach
    void open() {
        SmallModel.write(MODEL.unet(), folder.resolve("unet"));
        SmallModel.write(MODEL.textEncoder(), folder.resolve("text"));
        unet = Safetensors.open(folder.resolve("unet"));
        textEncoder = Safetensors.open(folder.resolve("text"));
    }

    @AfterEach
    void close() {
        unet.close();
        textEncoder.close();
    }

    // --- layers and their factors -----------------------------------------------------------------------------------

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

    /** Exact in float16 and bfloat16. */
    private static float[] randoms(Random random, long count) {
        float[] values = new float[(int) count];
        for (int i = 0; i < count; i++) {
            values[i] = (random.nextInt(127) - 63) / 64f;
        }
        return values;
    }

    private static double[] product(float[] left, float[] right, int rank, int columns) {
        double[] result = new double[left.length / rank * columns];
        for (int i = 0; i < result.length; i++) {
            for (int k = 0; k < rank; k++) {
                result[i] += (double) left[i / columns * rank + k] * right[k * columns + i % columns];
            }
        }
        return result;
    }

    private WeightSource base(String part) {
        return part.equals("unet") ? unet : textEncoder;
    }

    private void assertChanged(WeightSource changed, String part, String tensor, double[] change, double scale) {
        float[] before = base(part).tensor(tensor).toFloats();
        float[] expected = new float[before.length];
        for (int i = 0; i < expected.length; i++) {
            expected[i] = (float) (before[i] + scale * change[i]);
        }
        assertArrayEquals(expected, changed.tensor(tensor).toFloats(), 2e-5f, tensor);
    }

    private Path write(Consumer<SafetensorsWriter> tensors) {
        SafetensorsWriter writer = new SafetensorsWriter();
        tensors.accept(writer);
        Path file = folder.resolve("lora.safetensors");
        writer.write(file);
        return file;
    }

    // --- namings ----------------------------------------------------------------------------------------------------

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

    // --- other forms ------------------------------------------------------------------------------------------------

    private static final String CONV = "mid_block.resnets.0.conv1";
    private static final String LINEAR = "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj";
    private final Random random = new Random(3);

    /** Factors by name, of one layer in kohya's naming. */
    private void assertForm(String layer, Map<String, float[]> values, Map<String, long[]> shapes, double[] change) {
        Path file = write(writer -> shapes.forEach((name, shape) ->
                writer.add("lora_unet_" + layer.replace('.', '_') + "." + name, shape, values.get(name))));
        try (Lora lora = Lora.open(file, notices::add)) {
            assertChanged(lora.over("unet", unet, 0.5), "unet", layer + ".weight", change, 0.5);
        }
    }

    private Map<String, float[]> values(Map<String, long[]> shapes) {
        Map<String, float[]> values = new LinkedHashMap<>();
        shapes.forEach((name, shape) -> values.put(name, name.equals("alpha") ? new float[] {1} : randoms(random, Shapes.elements(shape))));
        return values;
    }

    /** {@code sum_pq t[p,q,k] a[o,p] b[q,i]} as {@code [o, i, k]}. */
    private static double[] core(float[] a, boolean transposed, float[] t, float[] b, int p, int q, int kernel) {
        int out = a.length / p;
        int in = b.length / q;
        double[] result = new double[out * in * kernel];
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                for (int k = 0; k < kernel; k++) {
                    for (int x = 0; x < p; x++) {
                        for (int y = 0; y < q; y++) {
                            result[(o * in + i) * kernel + k] += (double) t[(x * q + y) * kernel + k] * (transposed ? a[x * out + o] : a[o * p + x]) * b[y * in + i];
                        }
                    }
                }
            }
        }
        return result;
    }

    private static double[] times(double[] values, double factor) {
        double[] result = values.clone();
        for (int i = 0; i < result.length; i++) {
            result[i] *= factor;
        }
        return result;
    }

    @Test
    void aConvolutionInThree() {
        Map<String, long[]> shapes = Map.of("lora_up.weight", new long[] {6, 3, 1, 1}, "lora_mid.weight", new long[] {3, 3, 3, 3},
                "lora_down.weight", new long[] {3, 6, 1, 1}, "alpha", new long[0]);
        Map<String, float[]> v = values(shapes);
        assertForm(CONV, v, shapes, times(core(v.get("lora_up.weight"), false, v.get("lora_mid.weight"), v.get("lora_down.weight"), 3, 3, 9), 1 / 3.0));
    }

    @Test
    void hadamardProducts() {
        Map<String, long[]> shapes = Map.of("hada_w1_a", new long[] {48, 2}, "hada_w1_b", new long[] {2, 6}, "hada_w2_a", new long[] {48, 3},
                "hada_w2_b", new long[] {3, 6}, "alpha", new long[] {1});
        Map<String, float[]> v = values(shapes);
        double[] change = product(v.get("hada_w1_a"), v.get("hada_w1_b"), 2, 6);
        double[] other = product(v.get("hada_w2_a"), v.get("hada_w2_b"), 3, 6);
        for (int i = 0; i < change.length; i++) {
            change[i] *= other[i] / 2;
        }
        assertForm(LINEAR, v, shapes, change);
    }

    @Test
    void hadamardProductsOfConvolutions() {
        Map<String, long[]> shapes = Map.of("hada_w1_a", new long[] {2, 6}, "hada_w1_b", new long[] {2, 6}, "hada_t1", new long[] {2, 2, 3, 3},
                "hada_w2_a", new long[] {3, 6}, "hada_w2_b", new long[] {3, 6}, "hada_t2", new long[] {3, 3, 3, 3});
        Map<String, float[]> v = values(shapes);
        double[] change = core(v.get("hada_w1_a"), true, v.get("hada_t1"), v.get("hada_w1_b"), 2, 2, 9);
        double[] other = core(v.get("hada_w2_a"), true, v.get("hada_t2"), v.get("hada_w2_b"), 3, 3, 9);
        for (int i = 0; i < change.length; i++) {
            change[i] *= other[i];
        }
        assertForm(CONV, v, shapes, change);
    }

    private static double[] kron(double[] left, int leftColumns, double[] right, int rightColumns) {
        int rightRows = right.length / rightColumns;
        int columns = leftColumns * rightColumns;
        double[] result = new double[left.length * right.length];
        for (int i = 0; i < result.length; i++) {
            int row = i / columns;
            int column = i % columns;
            result[i] = left[row / rightRows * leftColumns + column / rightColumns] * right[row % rightRows * rightColumns + column % rightColumns];
        }
        return result;
    }

    private static double[] doubles(float[] values) {
        double[] result = new double[values.length];
        for (int i = 0; i < result.length; i++) {
            result[i] = values[i];
        }
        return result;
    }

    @Test
    void kroneckerProducts() {
        Map<String, long[]> whole = Map.of("lokr_w1", new long[] {4, 2}, "lokr_w2", new long[] {12, 3}, "alpha", new long[0]);
        Map<String, float[]> v = values(whole);
        assertForm(LINEAR, v, whole, kron(doubles(v.get("lokr_w1")), 2, doubles(v.get("lokr_w2")), 3));

        Map<String, long[]> factored = Map.of("lokr_w1_a", new long[] {4, 5}, "lokr_w1_b", new long[] {5, 2}, "lokr_w2_a", new long[] {12, 2},
                "lokr_w2_b", new long[] {2, 3}, "alpha", new long[0]);
        v = values(factored);
        assertForm(LINEAR, v, factored, times(kron(product(v.get("lokr_w1_a"), v.get("lokr_w1_b"), 5, 2), 2,
                product(v.get("lokr_w2_a"), v.get("lokr_w2_b"), 2, 3), 3), 1 / 5.0));
    }

    @Test
    void kroneckerProductsOfConvolutions() {
        Map<String, long[]> whole = Map.of("lokr_w1", new long[] {2, 3}, "lokr_w2", new long[] {3, 2, 3, 3});
        Map<String, float[]> v = values(whole);
        assertForm(CONV, v, whole, kron(doubles(v.get("lokr_w1")), 3, doubles(v.get("lokr_w2")), 18));

        Map<String, long[]> flat = Map.of("lokr_w1", new long[] {2, 3}, "lokr_w2_a", new long[] {3, 2}, "lokr_w2_b", new long[] {2, 18}, "alpha", new long[0]);
        v = values(flat);
        assertForm(CONV, v, flat, times(kron(doubles(v.get("lokr_w1")), 3, product(v.get("lokr_w2_a"), v.get("lokr_w2_b"), 2, 18), 18), 0.5));

        Map<String, long[]> core = Map.of("lokr_w1", new long[] {2, 3}, "lokr_w2_a", new long[] {2, 3}, "lokr_w2_b", new long[] {4, 2},
                "lokr_t2", new long[] {2, 4, 3, 3}, "alpha", new long[0]);
        v = values(core);
        assertForm(CONV, v, core, times(kron(doubles(v.get("lokr_w1")), 3, core(v.get("lokr_w2_a"), true, v.get("lokr_t2"), v.get("lokr_w2_b"), 2, 4, 9), 18), 0.25));
    }

    @Test
    void differencesOfWeightsAndBiases() {
        Map<String, long[]> shapes = Map.of("diff", new long[] {6, 6, 3, 3}, "diff_b", new long[] {6});
        Map<String, float[]> v = values(shapes);
        assertForm(CONV, v, shapes, doubles(v.get("diff")));
        try (Lora lora = Lora.open(folder.resolve("lora.safetensors"), notices::add)) {
            assertChanged(lora.over("unet", unet, 0.5), "unet", CONV + ".bias", doubles(v.get("diff_b")), 0.5);
        }
        Path norms = write(writer -> writer.add("lora_unet_conv_norm_out.w_norm", new long[] {8}, v.get("diff_b").length == 6 ? randoms(random, 8) : null));
        try (Lora lora = Lora.open(norms, notices::add)) {
            assertChanged(lora.over("unet", unet, 1), "unet", "conv_norm_out.weight", doubles(lora.tensors().tensor("lora_unet_conv_norm_out.w_norm").toFloats()), 1);
        }
    }

    /** DoRA, equation 5: the changed weight gets the length that was trained, by rows (PEFT) or by input channels (LyCORIS). */
    @ParameterizedTest
    @CsvSource({"lora_magnitude_vector, true", "dora_scale, true", "dora_scale, false"})
    void lengths(String factor, boolean ofRows) {
        Map<String, long[]> shapes = Map.of("lora_up.weight", new long[] {6, 2, 1, 1}, "lora_down.weight", new long[] {2, 6, 3, 3},
                factor, ofRows ? factor.equals("dora_scale") ? new long[] {6, 1, 1, 1} : new long[] {6} : new long[] {1, 6, 1, 1}, "alpha", new long[0]);
        Map<String, float[]> v = values(shapes);
        double[] update = times(product(v.get("lora_up.weight"), v.get("lora_down.weight"), 2, 54), 0.5);
        float[] base = unet.tensor(CONV + ".weight").toFloats();
        double[] squares = new double[6];
        for (int i = 0; i < base.length; i++) {
            squares[ofRows ? i / 54 : i / 9 % 6] += (base[i] + update[i]) * (base[i] + update[i]);
        }
        double[] change = new double[base.length];
        for (int i = 0; i < base.length; i++) {
            int vector = ofRows ? i / 54 : i / 9 % 6;
            change[i] = (base[i] + update[i]) * v.get(factor)[vector] / Math.sqrt(squares[vector]) - base[i];
        }
        assertForm(CONV, v, shapes, change);
    }

    // --- refusals ---------------------------------------------------------------------------------------------------

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
        assertEquals("lora.safetensors: tensor '" + layer + ".alpha' is I64 where floating-point numbers are expected (F16, BF16, F32 or F64)",
                refusal(writer -> writer.add(layer + ".alpha", new long[] {1}, new long[] {4})));
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
