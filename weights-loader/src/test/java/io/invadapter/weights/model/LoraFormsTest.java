package io.invadapter.weights.model;

import io.invadapter.weights.Shapes;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** LoRAs of every form, LoCon, LoHa, LoKr, DoRA and plain differences, change a weight by what plain loops in double precision say. */
class LoraFormsTest extends LoraFixture {
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
}
