package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What stands at the ends of the network: embeddings, latents, the steps of samplers. */
abstract class SamplingContract extends DeviceFixture {

    SamplingContract(DeviceContract contract) {
        super(contract);
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
        Device.Table tokenTable = packer.table(host(tokens));
        Device.Table positionTable = packer.table(host(positions));
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
        assertExact(Reference.concat(0, a, b, b.rows(1, 1), b).rounded(type), all);
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1, 1", "3, 1, 2, 1", "3, 1, 2, 3", "2, 2, 3, 1", "2, 8, 16, 2"})
    void combine(int batch, int targets, int terms, int rows) {
        Values factors = floats(rows, targets, terms);
        Values[] values = Stream.generate(() -> floats(batch, 17, 7, 3)).limit(terms).toArray(Values[]::new);
        List<Tensor> results = Stream.generate(() -> device.allocate(DataType.FLOAT32, batch, 17, 7, 3)).limit(targets).toList();
        device.combine(results, put(DataType.FLOAT32, factors), put(values));
        assertClose(Reference.combine(targets, factors, values), results);
    }

    /** A sampler's memory moves on by one: each target is a term of others. */
    @Test
    void combineOverItsTerms() {
        Values factors = floats(2, 3, 4);
        Values[] values = Stream.generate(() -> floats(2, 64, 64, 4)).limit(4).toArray(Values[]::new);
        Tensor[] terms = put(values);
        List<Tensor> targets = List.of(terms[2], terms[0], terms[3]);
        device.combine(targets, put(DataType.FLOAT32, factors), terms);
        assertClose(Reference.combine(3, factors, values), targets);
        assertExact(values[1], terms[1]);
    }

    @Test
    void combineLeavesOutWhatHasNoFactor() {
        Values factors = new Values(new double[] {1, 0, 0, 0, -0.0, 2}, 1, 2, 3);
        Values x = floats(1, 5, 7, 3);
        Values y = floats(1, 5, 7, 3);
        List<Tensor> targets = List.of(device.allocate(DataType.FLOAT32, 1, 5, 7, 3), device.allocate(DataType.FLOAT32, 1, 5, 7, 3));
        Tensor undefined = put(DataType.FLOAT32, x.map(v -> v < 0 ? Double.NaN : Double.POSITIVE_INFINITY));
        device.combine(targets, put(DataType.FLOAT32, factors), put(DataType.FLOAT32, x), undefined, put(DataType.FLOAT32, y));
        assertExact(x, targets.get(0));
        assertExact(y.times(2), targets.get(1));
        // What was never written.
        device.combine(targets, put(DataType.FLOAT32, factors), put(DataType.FLOAT32, x), device.allocate(DataType.FLOAT32, 1, 5, 7, 3),
                put(DataType.FLOAT32, y));
        assertExact(x, targets.get(0));
    }

    private Tensor[] put(Values... values) {
        return Stream.of(values).map(v -> put(DataType.FLOAT32, v)).toArray(Tensor[]::new);
    }

    private void assertClose(List<Values> expected, List<Tensor> actual) {
        for (int i = 0; i < expected.size(); i++) {
            assertClose("target " + i, expected.get(i), actual.get(i), DataType.FLOAT32, FLOAT32_TOLERANCE);
        }
    }

    @Test
    void wrongCombinations() {
        Tensor x = put(DataType.FLOAT32, new Values(2, 5, 7, 3));
        Tensor otherSize = put(DataType.FLOAT32, new Values(2, 7, 5, 3));
        Tensor factors = put(DataType.FLOAT32, new Values(1, 1, 2));
        assertRefused(() -> device.combine(List.of(x), factors, x, otherSize), x.shape(), otherSize.shape());
        assertRefused(() -> device.combine(List.of(otherSize), factors, x, x), x.shape(), otherSize.shape());
        assertRefused(() -> device.combine(List.of(x), factors, x), x.shape(), factors.shape());
        assertRefused(() -> device.combine(List.of(x, x), factors, x, x), x.shape(), factors.shape());
        assertRefused(() -> device.combine(List.of(x), put(DataType.FLOAT32, new Values(3, 1, 2)), x, x), x.shape(), new int[] {3, 1, 2});
        assertRefused(() -> device.combine(List.of(x), put(DataType.FLOAT32, new Values(2)), x, x), new int[] {2});
        assertRefused(() -> device.combine(List.of(), factors, x, x));
        assertRefused(() -> device.combine(List.of(x), factors));
        assertRefused(() -> device.combine(Collections.nCopies(9, x), put(DataType.FLOAT32, new Values(1, 9, 1)), x));
        Tensor[] many = Collections.nCopies(17, x).toArray(Tensor[]::new);
        assertRefused(() -> device.combine(List.of(x), put(DataType.FLOAT32, new Values(1, 1, 17)), many));
    }

    /** Rows of 105 values around a mean that is large against their deviation. */
    @Test
    void matchDeviation() {
        Values target = floats(3, 5, 7, 3).map(v -> (float) (2 * v + 10));
        Values reference = floats(3, 5, 7, 3).map(v -> (float) (v - 7));
        float[] amounts = {0.7f, 0, 1};
        Tensor matched = put(DataType.FLOAT32, target);
        device.matchDeviation(matched, put(DataType.FLOAT32, reference), device.upload(DataType.FLOAT32, amounts, 3));
        assertClose("three rows", Reference.matchDeviation(target, reference, amounts), matched, DataType.FLOAT32, FLOAT32_TOLERANCE);
        assertExact(target.rows(1, 1), matched.rows(1, 1));
    }

    @Test
    void wrongDeviations() {
        Tensor x = put(DataType.FLOAT32, new Values(2, 5, 7, 3));
        Tensor otherSize = put(DataType.FLOAT32, new Values(2, 7, 5, 3));
        Tensor amounts = put(DataType.FLOAT32, new Values(2));
        assertRefused(() -> device.matchDeviation(x, otherSize, amounts), x.shape(), otherSize.shape());
        assertRefused(() -> device.matchDeviation(x, x, put(DataType.FLOAT32, new Values(3))), x.shape(), new int[] {3});
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "3, 1", "3, 3"})
    void blend(int batch, int masks) {
        Values target = floats(batch, 17, 7, 4);
        Values other = floats(batch, 17, 7, 4);
        Values mask = floats(masks, 17, 7, 1).map(v -> (float) Math.abs(v));
        Tensor blended = put(DataType.FLOAT32, target);
        device.blend(blended, put(DataType.FLOAT32, other), put(DataType.FLOAT32, mask));
        assertClose("target", Reference.blend(target, other, mask), blended, DataType.FLOAT32, FLOAT32_TOLERANCE);
    }

    /** What is not taken may hold anything. */
    @Test
    void blendTakesBits() {
        Values target = floats(2, 17, 7, 4);
        Values other = floats(2, 17, 7, 4);
        Values mask = new Values(2, 17, 7, 1);
        Values undefined = new Values(2, 17, 7, 4);
        for (int i = 0; i < mask.data().length; i++) {
            mask.data()[i] = i % 3 == 0 ? 1 : 0;
        }
        for (int i = 0; i < undefined.data().length; i++) {
            undefined.data()[i] = i % 12 < 4 ? Double.NaN : other.data()[i];
        }
        Tensor blended = put(DataType.FLOAT32, target);
        device.blend(blended, put(DataType.FLOAT32, undefined), put(DataType.FLOAT32, mask));
        assertExact(Reference.blend(target, other, mask), blended);
    }

    @Test
    void wrongBlends() {
        Tensor x = put(DataType.FLOAT32, new Values(2, 5, 7, 3));
        Tensor otherSize = put(DataType.FLOAT32, new Values(2, 7, 5, 3));
        Tensor mask = put(DataType.FLOAT32, new Values(2, 5, 7, 1));
        assertRefused(() -> device.blend(x, otherSize, mask), x.shape(), otherSize.shape());
        assertRefused(() -> device.blend(x, x, put(DataType.FLOAT32, new Values(3, 5, 7, 1))), x.shape(), new int[] {3, 5, 7, 1});
        assertRefused(() -> device.blend(x, x, put(DataType.FLOAT32, new Values(2, 7, 5, 1))), x.shape(), new int[] {2, 7, 5, 1});
        assertRefused(() -> device.blend(x, x, put(DataType.FLOAT32, new Values(2, 5, 7, 3))), x.shape(), new int[] {2, 5, 7, 3});
    }

    @Test
    void wrongShapesOfLatents() {
        Tensor latents = put(DataType.FLOAT32, new Values(2, 5, 7, 3));
        Tensor otherSize = put(DataType.FLOAT32, new Values(2, 7, 5, 3));
        assertRefused(() -> device.toActivations(latents, otherSize), otherSize.shape(), latents.shape());
        assertRefused(device::toActivations);
    }

    @Test
    void wrongIds() {
        Device.Table tokens = packer.table(host(weights(31, 6)));
        Device.Table positions = packer.table(host(weights(7, 6)));
        Device.Table otherChannels = packer.table(host(weights(7, 5)));
        assertRefused(() -> device.embed(tokens, positions, new int[][] {{31}}));
        assertRefused(() -> device.embed(tokens, positions, new int[][] {{-1}}));
        assertRefused(() -> device.embed(tokens, positions, new int[1][8]));
        assertRefused(() -> device.embed(tokens, positions, new int[][] {{1, 2}, {1}}));
        assertRefused(() -> device.embed(tokens, positions, new int[0][]));
        assertRefused(() -> device.embed(tokens, otherChannels, new int[][] {{1}}));
    }
}
