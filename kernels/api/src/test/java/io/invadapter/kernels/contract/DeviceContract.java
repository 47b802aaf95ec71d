package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Device.Padding;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What the engine relies on from every {@link Device}: each operator against {@link Reference}, and what
 * {@link MemoryContract} says. A device's tests extend this once for each precision.
 */
public abstract class DeviceContract extends MemoryContract {
    private static final float EPSILON = 1e-5f;

    /** @param tolerance of a result, relative to its root mean square, or to the value itself where that is larger */
    protected DeviceContract(Precision precision, double tolerance) {
        super(precision, tolerance);
    }

    // --- linear layers ----------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "1, 320, 17", "7, 13, 9", "77, 33, 50", "131, 5, 3", "1, 1280, 7"})
    void linear(int rows, int in, int out) {
        Values x = activations(rows, in);
        Values weight = weights(out, in);
        Values bias = floats(out);
        Device.Linear layer = device.linear(host(weight), host(bias));
        assertEquals(in, layer.inFeatures());
        assertEquals(out, layer.outFeatures());
        assertClose(Reference.linear(x, weight, bias, Activation.NONE, null),
                device.linear(put(x), layer, Activation.NONE, null));
    }

    @ParameterizedTest
    @EnumSource
    void linearWithActivation(Activation activation) {
        Values x = activations(2, 7, 13).times(2);
        Values weight = weights(9, 13);
        Values residual = activations(2, 7, 9);
        for (Values bias : new Values[] {null, floats(9)}) {
            Device.Linear layer = device.linear(host(weight), host(bias));
            for (Values added : new Values[] {null, residual}) {
                assertClose((bias == null ? "no bias" : "bias") + (added == null ? "" : " and residual"),
                        Reference.linear(x, weight, bias, activation, added),
                        device.linear(put(x), layer, activation, added == null ? null : put(added)));
            }
        }
    }

    @Test
    void oneLayerTakesAnyNumberOfRows() {
        Values weight = weights(9, 13);
        Device.Linear layer = device.linear(host(weight), null);
        for (int rows : new int[] {3, 1, 40, 3}) {
            Values x = activations(rows, 13);
            assertClose(Reference.linear(x, weight, null, Activation.NONE, null),
                    device.linear(put(x), layer, Activation.NONE, null));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "7, 13, 9", "77, 20, 83"})
    void gatedLinear(int rows, int in, int out) {
        Values x = activations(2, rows, in);
        Values weight = weights(2 * out, in);
        Values bias = floats(2 * out);
        Device.GatedLinear layer = device.gatedLinear(host(weight), host(bias));
        assertEquals(in, layer.inFeatures());
        assertEquals(out, layer.outFeatures());
        assertClose(Reference.gatedLinear(x, weight, bias), device.gatedLinear(put(x), layer));
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1, 1", "2, 13, 5, 7", "3, 77, 4, 21", "1, 5, 77, 3"})
    void mixTokens(int batch, int inTokens, int outTokens, int channels) {
        Values x = activations(batch, inTokens, channels);
        Values weight = weights(outTokens, inTokens);
        Device.TokenMixer mixer = device.tokenMixer(host(weight));
        assertEquals(inTokens, mixer.inTokens());
        assertEquals(outTokens, mixer.outTokens());
        assertClose(Reference.mixTokens(x, weight), device.mixTokens(put(x), mixer));
    }

    // --- convolution ------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0",
        "2, 5, 7, 13, 9, 1, 1, 0, 0, 0, 0",
        "2, 5, 7, 13, 9, 3, 1, 1, 1, 1, 1",
        "1, 9, 11, 3, 21, 3, 1, 1, 1, 1, 1",
        "1, 9, 11, 21, 3, 3, 1, 1, 1, 1, 1",
        "3, 1, 1, 5, 6, 3, 1, 1, 1, 1, 1",
        "1, 3, 3, 5, 6, 3, 1, 0, 0, 0, 0",
        "2, 8, 10, 7, 5, 3, 2, 1, 1, 1, 1",
        "2, 7, 9, 7, 5, 3, 2, 1, 1, 1, 1",
        "1, 8, 10, 7, 5, 3, 2, 0, 0, 1, 1",
        "1, 7, 9, 7, 5, 3, 2, 0, 0, 1, 1",
        "1, 5, 6, 4, 3, 3, 1, 2, 0, 1, 3",
        "1, 17, 33, 40, 24, 3, 1, 1, 1, 1, 1"})
    void conv2d(int batch, int height, int width, int in, int out, int kernel, int stride, int top, int left, int bottom, int right) {
        Padding padding = new Padding(top, left, bottom, right);
        Values x = activations(batch, height, width, in);
        Values weight = weights(out, in, kernel, kernel);
        Values bias = floats(out);
        Device.Convolution layer = device.convolution(host(weight), host(bias), stride, padding, type);
        assertEquals(in, layer.inChannels());
        assertEquals(out, layer.outChannels());
        assertClose(Reference.conv2d(x, weight, bias, stride, padding, null, null), device.conv2d(put(x), layer, null, null));
    }

    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void conv2dWithShiftAndResidual(DataType outputType) {
        if (outputType != type && outputType != DataType.FLOAT32) {
            return;
        }
        Padding padding = Padding.same(1);
        Values x = activations(2, 5, 7, 13);
        Values weight = weights(9, 13, 3, 3);
        Values shift = activations(1, 9);
        Values residual = activations(2, 5, 7, 9);
        for (Values bias : new Values[] {null, floats(9)}) {
            Device.Convolution layer = device.convolution(host(weight), host(bias), 1, padding, outputType);
            for (Values shifted : new Values[] {null, shift}) {
                for (Values added : new Values[] {null, residual}) {
                    assertClose("bias " + (bias != null) + ", shift " + (shifted != null) + ", residual " + (added != null),
                            Reference.conv2d(x, weight, bias, 1, padding, shifted, added),
                            device.conv2d(put(x), layer, shifted == null ? null : put(shifted),
                                    added == null ? null : put(outputType, added)), outputType, tolerance);
                }
            }
        }
    }

    @Test
    void oneConvolutionTakesPicturesOfAnySize() {
        Values weight = weights(6, 5, 3, 3);
        Device.Convolution layer = device.convolution(host(weight), null, 1, Padding.same(1), type);
        for (int[] shape : new int[][] {{1, 5, 7, 5}, {2, 5, 7, 5}, {1, 70, 3, 5}, {1, 1, 1, 5}, {1, 5, 7, 5}}) {
            Values x = activations(shape);
            assertClose(Reference.conv2d(x, weight, null, 1, Padding.same(1), null, null),
                    device.conv2d(put(x), layer, null, null));
        }
    }

    // --- norms ------------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({
        "2, 3, 5, 12, 1", "2, 3, 5, 12, 2", "2, 3, 5, 12, 3", "2, 3, 5, 12, 6", "2, 3, 5, 12, 12",
        "1, 1, 1, 30, 5", "3, 1, 1, 14, 1", "1, 1, 2, 7, 7", "1, 37, 29, 10, 5", "2, 61, 67, 6, 2", "1, 9, 7, 352, 32"})
    void groupNorm(int batch, int height, int width, int channels, int groups) {
        Values x = activations(batch, height, width, channels).map(v -> v + 2).rounded(type);
        Values scale = floats(channels);
        Values shift = floats(channels);
        Device.Norm norm = device.norm(host(scale), host(shift));
        assertEquals(channels, norm.channels());
        assertClose(Reference.groupNorm(x, scale, shift, groups, EPSILON, false),
                device.groupNorm(put(x), norm, groups, EPSILON, false));
        assertClose("with SiLU", Reference.groupNorm(x, scale, shift, groups, EPSILON, true),
                device.groupNorm(put(x), norm, groups, EPSILON, true));
    }

    @Test
    void groupNormOfTokens() {
        Values x = activations(2, 15, 12);
        Values scale = floats(12);
        Values shift = floats(12);
        assertClose(Reference.groupNorm(x, scale, shift, 3, EPSILON, true),
                device.groupNorm(put(x), device.norm(host(scale), host(shift)), 3, EPSILON, true));
    }

    /** Where all values are equal the variance is zero and only the epsilon keeps the quotient finite. */
    @ParameterizedTest
    @ValueSource(floats = {1e-6f, 1e-5f, 0.5f})
    void normsOfEqualValues(float epsilon) {
        Values x = new Values(2, 3, 5, 12).map(v -> 3);
        Values scale = floats(12);
        Values shift = floats(12);
        Device.Norm norm = device.norm(host(scale), host(shift));
        assertClose(Reference.groupNorm(x, scale, shift, 4, epsilon, false), device.groupNorm(put(x), norm, 4, epsilon, false));
        assertClose(Reference.layerNorm(x, scale, shift, epsilon), device.layerNorm(put(x), norm, epsilon));
    }

    @Test
    void epsilonCounts() {
        Values x = activations(2, 3, 5, 12);
        Values scale = floats(12);
        Values shift = floats(12);
        Device.Norm norm = device.norm(host(scale), host(shift));
        for (float epsilon : new float[] {0.5f, 2, 0.5f}) {
            assertClose(Reference.groupNorm(x, scale, shift, 4, epsilon, false), device.groupNorm(put(x), norm, 4, epsilon, false));
            assertClose(Reference.layerNorm(x, scale, shift, epsilon), device.layerNorm(put(x), norm, epsilon));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 7", "2, 77, 13", "1, 3, 1281", "3, 5, 33"})
    void layerNorm(int batch, int length, int channels) {
        Values x = activations(batch, length, channels).map(v -> v + 2).rounded(type);
        Values scale = floats(channels);
        Values shift = floats(channels);
        assertClose(Reference.layerNorm(x, scale, shift, EPSILON),
                device.layerNorm(put(x), device.norm(host(scale), host(shift)), EPSILON));
    }

    // --- attention --------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 1, 4", "2, 1, 77, 3, 8", "2, 13, 1, 3, 8", "1, 35, 77, 2, 40", "2, 21, 21, 1, 64", "1, 17, 77, 3, 80",
        "1, 9, 77, 2, 160", "1, 11, 15, 1, 512", "2, 19, 23, 5, 20", "1, 7, 9, 3, 12", "1, 150, 2100, 8, 4", "1, 700, 333, 2, 8"})
    void attention(int batch, int length, int keyLength, int heads, int headSize) {
        int channels = heads * headSize;
        Values query = activations(batch, length, channels);
        Values keys = activations(batch, keyLength, channels);
        Values values = activations(batch, keyLength, channels);
        assertClose(Reference.attention(query, keys, values, heads, false, null),
                device.attention(put(query), put(keys), put(values), heads, false, null));
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 2, 4", "2, 77, 3, 8", "1, 77, 2, 64", "1, 13, 1, 160", "1, 130, 2, 20"})
    void causalAttention(int batch, int length, int heads, int headSize) {
        int channels = heads * headSize;
        Values query = activations(batch, length, channels);
        Values keys = activations(batch, length, channels);
        Values values = activations(batch, length, channels);
        assertClose(Reference.attention(query, keys, values, heads, true, null),
                device.attention(put(query), put(keys), put(values), heads, true, null));
    }

    /** Q, K and V as one projection leaves them; keys and values of another length as one projection of the text leaves them. */
    @ParameterizedTest
    @CsvSource({"2, 13, 3, 8, false", "2, 13, 3, 8, true", "1, 21, 2, 40, false", "2, 11, 1, 64, true"})
    void attentionOfFusedProjections(int batch, int length, int heads, int headSize, boolean causal) {
        int c = heads * headSize;
        Values qkv = activations(batch, length, 3 * c);
        Tensor fused = put(qkv);
        assertClose("self", Reference.attention(qkv.columns(0, c), qkv.columns(c, c), qkv.columns(2 * c, c), heads, causal, null),
                device.attention(fused.columns(0, c), fused.columns(c, c), fused.columns(2 * c, c), heads, causal, null));

        Values kv = activations(batch, 77, 2 * c);
        Values query = activations(batch, length, c);
        Tensor text = put(kv);
        assertClose("cross", Reference.attention(query, kv.columns(0, c), kv.columns(c, c), heads, false, null),
                device.attention(put(query), text.columns(0, c), text.columns(c, c), heads, false, null));
    }

    /** Batch rows of a larger batch, as the engine cuts them. */
    @Test
    void attentionOfSomeRows() {
        Values qkv = activations(3, 13, 3 * 16);
        Tensor fused = put(qkv).rows(1, 2);
        Values rows = qkv.rows(1, 2);
        assertClose(Reference.attention(rows.columns(0, 16), rows.columns(16, 16), rows.columns(32, 16), 2, false, null),
                device.attention(fused.columns(0, 16), fused.columns(16, 16), fused.columns(32, 16), 2, false, null));
    }

    /** Scores whose exponentials a float32 cannot hold. */
    @Test
    void attentionOfLargeScores() {
        Values query = activations(1, 13, 24).times(16);
        Values keys = activations(1, 77, 24).times(4);
        Values values = activations(1, 77, 24);
        assertClose("result", Reference.attention(query, keys, values, 3, false, null),
                device.attention(put(query), put(keys), put(values), 3, false, null), type, Math.max(tolerance, 1e-4));
    }

    private Device.Identity put(Reference.Identity identity) {
        return new Device.Identity(put(identity.keys()), put(identity.values()), device.upload(identity.rows()),
                device.upload(DataType.FLOAT32, identity.scales(), identity.scales().length));
    }

    @ParameterizedTest
    @CsvSource({"1, 13, 2, 8", "77, 9, 3, 20", "15, 15, 1, 64", "5, 21, 2, 40", "21, 1, 1, 160", "130, 700, 2, 8"})
    void attentionWithOneIdentity(int length, int identityLength, int heads, int headSize) {
        int c = heads * headSize;
        Values query = activations(2, length, c);
        Values keys = activations(2, 77, c);
        Values values = activations(2, 77, c);
        Reference.Identity identity = new Reference.Identity(activations(1, identityLength, c), activations(1, identityLength, c),
                new int[2], new float[] {1, 1});
        assertClose(Reference.attention(query, keys, values, heads, false, identity),
                device.attention(put(query), put(keys), put(values), heads, false, put(identity)));
    }

    @Test
    void eachRowHasItsIdentityAndScale() {
        Values qkv = activations(5, 13, 3 * 24);
        Reference.Identity identity = new Reference.Identity(activations(3, 9, 24), activations(3, 9, 24),
                new int[] {2, 0, 2, 1, 1}, new float[] {0.5f, 0, 1.25f, 1, -0.3f});
        Tensor fused = put(qkv);
        assertClose(Reference.attention(qkv.columns(0, 24), qkv.columns(24, 24), qkv.columns(48, 24), 3, false, identity),
                device.attention(fused.columns(0, 24), fused.columns(24, 24), fused.columns(48, 24), 3, false, put(identity)));
    }

    /** Rows of a larger block of them, as a plan for a batch cuts them. */
    @Test
    void identitiesOfSomeRows() {
        Values query = activations(2, 13, 24);
        Values keys = activations(3, 9, 24);
        Tensor rows = device.upload(new int[] {0, 0, 2, 1});
        Tensor scales = device.upload(DataType.FLOAT32, new float[] {0, 0, 0.5f, 1}, 4);
        assertClose(Reference.attention(query, query, query, 3, false,
                        new Reference.Identity(keys, keys, new int[] {2, 1}, new float[] {0.5f, 1})),
                device.attention(put(query), put(query), put(query), 3, false,
                        new Device.Identity(put(keys), put(keys), rows.rows(2, 2), scales.rows(2, 2))));
    }

    @Test
    void identitiesOfAFusedProjection() {
        Values query = activations(2, 13, 24);
        Values text = activations(2, 77, 48);
        Values kv = activations(2, 9, 48);
        int[] rows = {1, 0};
        float[] scales = {1, 0.5f};
        Tensor fusedText = put(text);
        Tensor fused = put(kv);
        assertClose(Reference.attention(query, text.columns(0, 24), text.columns(24, 24), 3, false,
                        new Reference.Identity(kv.columns(0, 24), kv.columns(24, 24), rows, scales)),
                device.attention(put(query), fusedText.columns(0, 24), fusedText.columns(24, 24), 3, false,
                        new Device.Identity(fused.columns(0, 24), fused.columns(24, 24), device.upload(rows),
                                device.upload(DataType.FLOAT32, scales, 2))));
    }

    /** What a row does not look at cannot spoil it. */
    @Test
    void anIdentityOfScaleZeroIsNotLookedAt() {
        Values query = activations(2, 13, 24);
        Values keys = activations(2, 21, 24);
        Values values = activations(2, 21, 24);
        Values unusable = new Values(1, 9, 24).map(v -> Double.NaN);
        Reference.Identity none = new Reference.Identity(unusable, unusable, new int[2], new float[2]);
        assertClose(Reference.attention(query, keys, values, 3, false, null),
                device.attention(put(query), put(keys), put(values), 3, false, put(none)));
    }

    // --- pictures, embeddings, sampling -----------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({"2, 3, 5, 7, 6, 10", "2, 3, 5, 7, 5, 10", "2, 3, 5, 7, 6, 9", "2, 3, 5, 7, 5, 9", "1, 1, 1, 3, 1, 1", "1, 1, 1, 1, 2, 2"})
    void upsample2x(int batch, int height, int width, int channels, int newHeight, int newWidth) {
        Values x = activations(batch, height, width, channels);
        assertExact(Reference.upsample2x(x, newHeight, newWidth), device.upsample2x(put(x), newHeight, newWidth));
    }

    @ParameterizedTest
    @CsvSource({"2, 3, 5, 7, 4", "1, 1, 1, 1, 1", "1, 5, 3, 33, 9"})
    void concatChannels(int batch, int height, int width, int first, int second) {
        Values a = activations(batch, height, width, first);
        Values b = activations(batch, height, width, second);
        assertExact(Reference.concatChannels(a, b), device.concatChannels(put(a), put(b)));
    }

    @ParameterizedTest
    @CsvSource({"2, true, 0", "26, true, 0", "26, false, 0", "26, true, 1", "26, false, 0.5", "320, true, 0"})
    void timestepEmbedding(int channels, boolean flipSinToCos, float frequencyShift) {
        float[] small = {0, 1, 13, 2.5f};
        assertClose("small", Reference.timestepEmbedding(new double[] {0, 1, 13, 2.5}, channels, flipSinToCos, frequencyShift),
                device.timestepEmbedding(device.upload(DataType.FLOAT32, small, 4), channels, flipSinToCos, frequencyShift));
        // The reference implementation's angles are float32: of a thousand radians the fourth digit is lost.
        assertClose("large", Reference.timestepEmbedding(new double[] {981}, channels, flipSinToCos, frequencyShift),
                device.timestepEmbedding(device.upload(DataType.FLOAT32, new float[] {981}, 1), channels, flipSinToCos,
                        frequencyShift), type, Math.max(tolerance, 4e-4));
    }

    @Test
    void embed() {
        Values tokens = activations(31, 13);
        Values positions = activations(7, 13);
        Device.Table tokenTable = device.table(host(tokens));
        Device.Table positionTable = device.table(host(positions));
        assertEquals(31, tokenTable.rows());
        assertEquals(13, tokenTable.channels());
        for (int[][] ids : new int[][][] {{{0}}, {{30, 5, 5, 0, 17, 1, 2}, {3, 3, 3, 3, 29, 30, 0}}, {{4, 2}, {1, 3}, {9, 8}}}) {
            assertClose(Reference.embed(tokens, positions, ids), device.embed(tokenTable, positionTable, ids));
        }
    }

    @Test
    void toActivations() {
        Values a = floats(1, 5, 7, 3);
        Values b = floats(3, 5, 7, 3);
        assertExact(a.rounded(type), device.toActivations(put(DataType.FLOAT32, a)));
        Tensor latents = put(DataType.FLOAT32, b);
        Tensor all = device.toActivations(put(DataType.FLOAT32, a), latents, latents.rows(1, 1), latents);
        assertEquals(type, all.type());
        assertExact(Reference.stack(a, b, b.rows(1, 1), b).rounded(type), all);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void ddimStep(int batch) {
        Values latents = floats(batch, 5, 7, 3);
        float[] factors = {1.25f, -0.4f};
        Tensor factorTensor = device.upload(DataType.FLOAT32, factors, 2);

        Values noise = floats(batch, 5, 7, 3);
        Tensor moved = put(DataType.FLOAT32, latents);
        device.ddimStep(moved, put(DataType.FLOAT32, noise), null, factorTensor);
        assertClose("without guidance", Reference.ddimStep(latents, noise, null, factors[0], factors[1]), moved,
                DataType.FLOAT32, FLOAT32_TOLERANCE);

        Values both = floats(2 * batch, 5, 7, 3);
        float[] guidance = {7.5f, 1, 3};
        Tensor guided = put(DataType.FLOAT32, latents);
        device.ddimStep(guided, put(DataType.FLOAT32, both), device.upload(DataType.FLOAT32,
                Arrays.copyOf(guidance, batch), batch), factorTensor);
        assertClose("with guidance", Reference.ddimStep(latents, both, guidance, factors[0], factors[1]), guided,
                DataType.FLOAT32, FLOAT32_TOLERANCE);
    }

    // --- weights of all types ---------------------------------------------------------------------------------------

    /** The same weights in float32 on the heap and in {@code as} elsewhere give the same bits. */
    @ParameterizedTest
    @EnumSource(names = "INT32", mode = EnumSource.Mode.EXCLUDE)
    void weightsOfEveryType(DataType as) {
        Tensor tokens = put(activations(2, 15, 6));
        Tensor map = tokens.map(3, 5);
        Values matrix = Values.coarse(random, 10, 6);
        Values vector = Values.coarse(random, 10);
        Values mixer = Values.coarse(random, 4, 15);
        Values kernel = Values.coarse(random, 10, 6, 3, 3);
        Values scale = Values.coarse(random, 6);
        Values table = Values.coarse(random, 9, 6);
        List<Function<Function<Values, HostTensor>, Tensor>> layers = List.of(
                w -> device.linear(tokens, device.linear(w.apply(matrix), w.apply(vector)), Activation.SILU, null),
                w -> device.gatedLinear(tokens, device.gatedLinear(w.apply(matrix), w.apply(vector))),
                w -> device.mixTokens(tokens, device.tokenMixer(w.apply(mixer))),
                w -> device.conv2d(map, device.convolution(w.apply(kernel), w.apply(vector), 1, Padding.same(1), type), null, null),
                w -> device.groupNorm(map, device.norm(w.apply(scale), w.apply(scale)), 2, EPSILON, false),
                w -> device.embed(device.table(w.apply(table)), device.table(w.apply(table)), new int[][] {{8, 0, 3}}));
        try (Arena arena = Arena.ofConfined()) {
            for (Function<Function<Values, HostTensor>, Tensor> layer : layers) {
                float[] expected = device.download(layer.apply(DeviceFixture::host));
                assertArrayEquals(expected, device.download(layer.apply(values -> values.host(as))), "on the heap");
                assertArrayEquals(expected, device.download(layer.apply(values -> outside(values.host(as), arena, 0))), "native");
                assertArrayEquals(expected, device.download(layer.apply(values -> outside(values.host(as), arena, 1))),
                        "native, at an odd address, as in a mapped file");
            }
        }
    }

    private static HostTensor outside(HostTensor weights, Arena arena, long offset) {
        MemorySegment memory = arena.allocate(weights.data().byteSize() + offset, 64).asSlice(offset);
        memory.copyFrom(weights.data());
        return new HostTensor(weights.type(), weights.shape(), memory);
    }

    // --- all operators ----------------------------------------------------------------------------------------------

    /** One use of an operator; its inputs are exact in every type. */
    private record Use(String name, Function<Tensor[], Tensor> operator, DataType[] types, Values... inputs) {
    }

    private Use use(String name, Function<Tensor[], Tensor> operator, Values... inputs) {
        return new Use(name, operator, Stream.of(inputs).map(i -> type).toArray(DataType[]::new), inputs);
    }

    private Use float32Use(String name, Function<Tensor[], Tensor> operator, Values... inputs) {
        return new Use(name, operator, Stream.of(inputs).map(i -> DataType.FLOAT32).toArray(DataType[]::new), inputs);
    }

    private Values input(int... shape) {
        return Values.coarse(random, shape);
    }

    private List<Use> everyOperator() {
        Device.Linear linear = device.linear(host(weights(9, 6)), host(floats(9)));
        Device.GatedLinear gated = device.gatedLinear(host(weights(10, 6)), host(floats(10)));
        Device.TokenMixer mixer = device.tokenMixer(host(weights(4, 15)));
        Device.Convolution convolution = device.convolution(host(weights(9, 6, 3, 3)), host(floats(9)), 1, Padding.same(1), type);
        Device.Norm norm = device.norm(host(floats(6)), host(floats(6)));
        Tensor rows = device.upload(new int[] {1, 0});
        Tensor scales = device.upload(DataType.FLOAT32, new float[] {0.5f, 1}, 2);
        return List.of(
                use("linear", t -> device.linear(t[0], linear, Activation.GELU, t[1]), input(2, 15, 6), input(2, 15, 9)),
                use("gatedLinear", t -> device.gatedLinear(t[0], gated), input(2, 15, 6)),
                use("mixTokens", t -> device.mixTokens(t[0], mixer), input(2, 15, 6)),
                use("conv2d", t -> device.conv2d(t[0], convolution, t[1], t[2]), input(2, 3, 5, 6), input(1, 9), input(2, 3, 5, 9)),
                use("groupNorm", t -> device.groupNorm(t[0], norm, 2, EPSILON, true), input(2, 3, 5, 6)),
                use("layerNorm", t -> device.layerNorm(t[0], norm, EPSILON), input(2, 15, 6)),
                use("attention", t -> device.attention(t[0], t[1], t[2], 3, false, new Device.Identity(t[3], t[4], rows, scales)),
                        input(2, 15, 24), input(2, 7, 24), input(2, 7, 24), input(2, 5, 24), input(2, 5, 24)),
                use("causal attention", t -> device.attention(t[0], t[1], t[2], 3, true, null),
                        input(2, 15, 24), input(2, 15, 24), input(2, 15, 24)),
                use("upsample2x", t -> device.upsample2x(t[0], 5, 10), input(2, 3, 5, 6)),
                use("concatChannels", t -> device.concatChannels(t[0], t[1]), input(2, 3, 5, 6), input(2, 3, 5, 4)),
                float32Use("timestepEmbedding", t -> device.timestepEmbedding(t[0], 26, true, 0), input(5)),
                float32Use("toActivations", t -> device.toActivations(t[0], t[1]), input(1, 5, 7, 3), input(2, 5, 7, 3)),
                float32Use("ddimStep", t -> {
                    device.ddimStep(t[0], t[1], t[2], t[3]);
                    return t[0];
                }, input(2, 5, 7, 3), input(4, 5, 7, 3), input(2), input(2)));
    }

    private Tensor[] put(Use use) {
        Tensor[] tensors = new Tensor[use.inputs.length];
        for (int i = 0; i < tensors.length; i++) {
            tensors[i] = put(use.types[i], use.inputs[i]);
        }
        return tensors;
    }

    private float[] run(Use use) {
        return device.download(use.operator.apply(put(use)));
    }

    @Test
    void theSameCallGivesTheSameBits() {
        List<Use> uses = everyOperator();
        List<float[]> first = uses.stream().map(this::run).toList();
        for (int i = 0; i < uses.size(); i++) {
            assertArrayEquals(first.get(i), run(uses.get(i)), uses.get(i).name);
        }
    }

    @Test
    void tensorsOfAClosedScopeAreRefused() {
        for (Use use : everyOperator()) {
            for (int i = 0; i < use.inputs.length; i++) {
                Tensor[] tensors = put(use);
                try (Scope inner = device.scope()) {
                    tensors[i] = put(use.types[i], use.inputs[i]);
                }
                assertThrows(IllegalStateException.class, () -> use.operator.apply(tensors), "argument " + i + " of " + use.name);
            }
        }
    }

    /** Silent garbage is the one thing an operator must not make of a view. */
    @Test
    void columnsAreUnderstoodOrRefused() {
        for (Use use : everyOperator()) {
            for (int i = 0; i < use.inputs.length; i++) {
                int channels = use.inputs[i].channels();
                Tensor[] tensors = put(use);
                tensors[i] = put(use.types[i], Reference.concatChannels(use.inputs[i], use.inputs[i].times(-2))).columns(0, channels);
                assertUnderstoodOrRefused(use, i, tensors);
            }
        }
    }

    @Test
    void otherTypesAreUnderstoodOrRefused() {
        for (Use use : everyOperator()) {
            for (int i = 0; i < use.inputs.length; i++) {
                for (DataType other : new DataType[] {DataType.FLOAT32, DataType.FLOAT16, DataType.BFLOAT16}) {
                    if (other != use.types[i]) {
                        Tensor[] tensors = put(use);
                        tensors[i] = put(other, use.inputs[i]);
                        assertUnderstoodOrRefused(use, i, tensors);
                    }
                }
            }
        }
    }

    private void assertUnderstoodOrRefused(Use use, int argument, Tensor[] tensors) {
        String what = use.name + " with " + tensors[argument] + " as argument " + argument;
        Tensor result;
        try {
            result = use.operator.apply(tensors);
        } catch (IllegalArgumentException e) {
            return;
        }
        assertClose(what, Values.of(run(use), result.shape()), result, result.type(), tolerance);
    }

    // --- wrong shapes -----------------------------------------------------------------------------------------------

    @Test
    void wrongShapesOfLinearLayers() {
        Device.Linear linear = device.linear(host(weights(9, 6)), null);
        Device.GatedLinear gated = device.gatedLinear(host(weights(10, 6)), host(floats(10)));
        Device.TokenMixer mixer = device.tokenMixer(host(weights(4, 15)));
        Tensor x = zeros(2, 15, 7);
        assertRefused(() -> device.linear(x, linear, Activation.NONE, null), x.shape());
        assertRefused(() -> device.linear(zeros(2, 15, 6), linear, Activation.NONE, zeros(2, 14, 9)), new int[] {2, 14, 9}, new int[] {2, 15, 9});
        assertRefused(() -> device.gatedLinear(x, gated), x.shape());
        assertRefused(() -> device.mixTokens(zeros(2, 14, 6), mixer), new int[] {2, 14, 6});
        assertRefused(() -> device.mixTokens(zeros(15, 6), mixer), new int[] {15, 6});
    }

    @Test
    void wrongShapesOfAConvolution() {
        Device.Convolution layer = device.convolution(host(weights(9, 6, 3, 3)), null, 1, Padding.NONE, type);
        Tensor x = zeros(2, 5, 7, 6);
        assertRefused(() -> device.conv2d(zeros(2, 5, 7, 5), layer, null, null), new int[] {2, 5, 7, 5});
        assertRefused(() -> device.conv2d(zeros(2, 35, 6), layer, null, null), new int[] {2, 35, 6});
        assertRefused(() -> device.conv2d(zeros(2, 5, 2, 6), layer, null, null), new int[] {2, 5, 2, 6});
        assertRefused(() -> device.conv2d(x, layer, zeros(1, 8), null), new int[] {1, 8});
        assertRefused(() -> device.conv2d(x, layer, zeros(2, 9), null), new int[] {2, 9});
        assertRefused(() -> device.conv2d(x, layer, null, zeros(2, 5, 7, 9)), new int[] {2, 5, 7, 9}, new int[] {2, 3, 5, 9});
    }

    @Test
    void wrongShapesOfNorms() {
        Device.Norm norm = device.norm(host(floats(12)), host(floats(12)));
        Tensor x = zeros(2, 3, 5, 11);
        Tensor right = zeros(2, 3, 5, 12);
        assertRefused(() -> device.groupNorm(x, norm, 4, EPSILON, false), x.shape());
        assertRefused(() -> device.groupNorm(right, norm, 5, EPSILON, false), right.shape());
        assertRefused(() -> device.groupNorm(right, norm, 0, EPSILON, false), right.shape());
        assertRefused(() -> device.layerNorm(x, norm, EPSILON), x.shape());
    }

    @Test
    void wrongShapesOfAttention() {
        Tensor q = zeros(2, 13, 24);
        Tensor k = zeros(2, 9, 24);
        assertRefused(() -> device.attention(q, k, k, 5, false, null), q.shape());
        assertRefused(() -> device.attention(q, k, k, 0, false, null), q.shape());
        assertRefused(() -> device.attention(zeros(2, 3, 5, 24), k, k, 3, false, null), new int[] {2, 3, 5, 24});
        assertRefused(() -> device.attention(q, zeros(1, 9, 24), zeros(1, 9, 24), 3, false, null), new int[] {1, 9, 24});
        assertRefused(() -> device.attention(q, zeros(2, 9, 23), zeros(2, 9, 23), 3, false, null), new int[] {2, 9, 23});
        assertRefused(() -> device.attention(q, k, zeros(2, 8, 24), 3, false, null), k.shape(), new int[] {2, 8, 24});
        assertRefused(() -> device.attention(q, k, k, 3, true, null), q.shape(), k.shape());
    }

    @Test
    void wrongShapesOfAnIdentity() {
        Tensor q = zeros(2, 13, 24);
        Tensor keys = zeros(3, 9, 24);
        Tensor rows = device.upload(new int[2]);
        Tensor scales = device.upload(DataType.FLOAT32, new float[2], 2);
        for (Device.Identity wrong : new Device.Identity[] {
            new Device.Identity(keys, zeros(3, 8, 24), rows, scales),
            new Device.Identity(zeros(3, 9, 16), zeros(3, 9, 16), rows, scales),
            new Device.Identity(zeros(9, 24), zeros(9, 24), rows, scales),
            new Device.Identity(keys, keys, device.upload(new int[3]), scales),
            new Device.Identity(keys, keys, rows, device.upload(DataType.FLOAT32, new float[3], 3))}) {
            assertRefused(() -> device.attention(q, q, q, 3, false, wrong), q.shape(), wrong.keys().shape(),
                    wrong.values().shape(), wrong.rows().shape(), wrong.scales().shape());
        }
    }

    @Test
    void wrongShapesOfPictures() {
        Tensor x = zeros(2, 3, 5, 7);
        for (int[] size : new int[][] {{4, 10}, {7, 10}, {6, 8}, {6, 11}, {0, 0}}) {
            assertRefused(() -> device.upsample2x(x, size[0], size[1]), x.shape());
        }
        assertRefused(() -> device.concatChannels(x, zeros(1, 3, 5, 7)), x.shape(), new int[] {1, 3, 5, 7});
        assertRefused(() -> device.concatChannels(x, zeros(2, 5, 3, 7)), x.shape(), new int[] {2, 5, 3, 7});
    }

    @Test
    void wrongShapesOfLatents() {
        Tensor latents = put(DataType.FLOAT32, new Values(2, 5, 7, 3));
        Tensor factors = put(DataType.FLOAT32, new Values(2));
        Tensor otherSize = put(DataType.FLOAT32, new Values(2, 7, 5, 3));
        Tensor threeRows = put(DataType.FLOAT32, new Values(3, 5, 7, 3));
        Tensor fourRows = put(DataType.FLOAT32, new Values(4, 5, 7, 3));
        Tensor three = put(DataType.FLOAT32, new Values(3));
        assertRefused(() -> device.toActivations(latents, otherSize), otherSize.shape(), latents.shape());
        assertRefused(device::toActivations);
        assertRefused(() -> device.ddimStep(latents, threeRows, null, factors), latents.shape(), threeRows.shape());
        assertRefused(() -> device.ddimStep(latents, fourRows, null, factors), latents.shape(), fourRows.shape());
        assertRefused(() -> device.ddimStep(latents, latents, factors, factors), latents.shape());
        assertRefused(() -> device.ddimStep(latents, fourRows, three, factors), three.shape());
        assertRefused(() -> device.ddimStep(latents, latents, null, three), three.shape());
    }

    @Test
    void wrongIds() {
        Device.Table tokens = device.table(host(weights(31, 6)));
        Device.Table positions = device.table(host(weights(7, 6)));
        Device.Table otherChannels = device.table(host(weights(7, 5)));
        assertRefused(() -> device.embed(tokens, positions, new int[][] {{31}}));
        assertRefused(() -> device.embed(tokens, positions, new int[][] {{-1}}));
        assertRefused(() -> device.embed(tokens, positions, new int[1][8]));
        assertRefused(() -> device.embed(tokens, positions, new int[][] {{1, 2}, {1}}));
        assertRefused(() -> device.embed(tokens, positions, new int[0][]));
        assertRefused(() -> device.embed(tokens, otherChannels, new int[][] {{1}}));
    }

    @Test
    void wrongShapesOfWeights() {
        HostTensor matrix = host(weights(10, 6));
        HostTensor kernel = host(weights(10, 6, 3, 3));
        HostTensor nine = host(floats(9));
        HostTensor odd = host(weights(9, 6));
        assertRefused(() -> device.linear(matrix, nine), matrix.shape(), nine.shape());
        assertRefused(() -> device.linear(kernel, null), kernel.shape());
        assertRefused(() -> device.gatedLinear(matrix, nine), matrix.shape(), nine.shape());
        assertRefused(() -> device.gatedLinear(odd, nine), odd.shape());
        assertRefused(() -> device.tokenMixer(nine), nine.shape());
        assertRefused(() -> device.convolution(kernel, nine, 1, Padding.NONE, type), kernel.shape(), nine.shape());
        assertRefused(() -> device.convolution(matrix, null, 1, Padding.NONE, type), matrix.shape());
        assertRefused(() -> device.norm(nine, host(floats(10))), nine.shape(), new int[] {10});
        assertRefused(() -> device.norm(matrix, matrix), matrix.shape());
        assertRefused(() -> device.table(nine), nine.shape());
    }
}
