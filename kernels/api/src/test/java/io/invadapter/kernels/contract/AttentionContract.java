package io.invadapter.kernels.contract;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Attention over one, two, three and more sources of keys and values. */
abstract class AttentionContract extends DeviceFixture {

    AttentionContract(DeviceContract contract) {
        super(contract);
    }

    private Source put(Reference.Source source) {
        return new Source(put(source.keys()), put(source.values()), source.rows() == null ? null : device.upload(source.rows()),
                source.scales() == null ? null : device.upload(DataType.FLOAT32, source.scales(), source.scales().length));
    }

    private Tensor attention(Tensor query, int heads, Source... sources) {
        return device.attention(query, List.of(sources), heads, false);
    }

    private void assertAttention(Values query, int heads, Reference.Source... sources) {
        assertClose(Reference.attention(query, List.of(sources), heads, false),
                attention(put(query), heads, Stream.of(sources).map(this::put).toArray(Source[]::new)));
    }

    private Reference.Source plain(int batch, int keyLength, int channels) {
        return Reference.Source.of(activations(batch, keyLength, channels), activations(batch, keyLength, channels));
    }

    private Reference.Source source(int batch, int keyLength, int channels, int[] rows, float... scales) {
        return new Reference.Source(activations(batch, keyLength, channels), activations(batch, keyLength, channels), rows,
                scales.length == 0 ? null : scales);
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 1, 4", "2, 1, 77, 3, 8", "2, 13, 1, 3, 8", "1, 35, 77, 2, 40", "2, 21, 21, 1, 64", "1, 17, 77, 3, 80",
        "1, 9, 77, 2, 160", "1, 11, 15, 1, 512", "2, 19, 23, 5, 20", "1, 7, 9, 3, 12", "1, 150, 2100, 8, 4", "1, 700, 333, 2, 8"})
    void oneSource(int batch, int length, int keyLength, int heads, int headSize) {
        int channels = heads * headSize;
        assertAttention(activations(batch, length, channels), heads, plain(batch, keyLength, channels));
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 2, 4", "2, 77, 3, 8", "1, 77, 2, 64", "1, 13, 1, 160", "1, 130, 2, 20"})
    void causalAttention(int batch, int length, int heads, int headSize) {
        int channels = heads * headSize;
        Values query = activations(batch, length, channels);
        Reference.Source source = plain(batch, length, channels);
        assertClose(Reference.attention(query, List.of(source), heads, true),
                device.attention(put(query), List.of(put(source)), heads, true));
    }

    /** Q, K and V as one projection leaves them; keys and values of another length as one projection of the text leaves them. */
    @ParameterizedTest
    @CsvSource({"2, 13, 3, 8, false", "2, 13, 3, 8, true", "1, 21, 2, 40, false", "2, 11, 1, 64, true"})
    void attentionOfFusedProjections(int batch, int length, int heads, int headSize, boolean causal) {
        int c = heads * headSize;
        Values qkv = activations(batch, length, 3 * c);
        Tensor fused = put(qkv);
        assertClose("self", Reference.attention(qkv.columns(0, c),
                        List.of(Reference.Source.of(qkv.columns(c, c), qkv.columns(2 * c, c))), heads, causal),
                device.attention(fused.columns(0, c), List.of(Source.of(fused.columns(c, c), fused.columns(2 * c, c))), heads, causal));

        Values kv = activations(batch, 77, 2 * c);
        Values query = activations(batch, length, c);
        Tensor text = put(kv);
        assertClose("cross", Reference.attention(query, List.of(Reference.Source.of(kv.columns(0, c), kv.columns(c, c))), heads, false),
                attention(put(query), heads, Source.of(text.columns(0, c), text.columns(c, c))));
    }

    /** Batch rows of a larger batch, as the engine cuts them. */
    @Test
    void attentionOfSomeRows() {
        Values qkv = activations(3, 13, 3 * 16);
        Tensor fused = put(qkv).rows(1, 2);
        Values rows = qkv.rows(1, 2);
        assertClose(Reference.attention(rows.columns(0, 16),
                        List.of(Reference.Source.of(rows.columns(16, 16), rows.columns(32, 16))), 2, false),
                attention(fused.columns(0, 16), 2, Source.of(fused.columns(16, 16), fused.columns(32, 16))));
    }

    /** Scores whose exponentials a float32 cannot hold. */
    @Test
    void attentionOfLargeScores() {
        Values query = activations(1, 13, 24).times(16);
        Reference.Source source = Reference.Source.of(activations(1, 77, 24).times(4), activations(1, 77, 24));
        assertClose("result", Reference.attention(query, List.of(source), 3, false), attention(put(query), 3, put(source)), type,
                Math.max(tolerance, 1e-4));
    }

    @ParameterizedTest
    @CsvSource({"1, 13, 2, 8", "77, 9, 3, 20", "15, 15, 1, 64", "5, 21, 2, 40", "21, 1, 1, 160", "130, 700, 2, 8"})
    void twoSources(int length, int secondLength, int heads, int headSize) {
        int c = heads * headSize;
        assertAttention(activations(2, length, c), heads, plain(2, 77, c), source(1, secondLength, c, new int[2], 1, 1));
    }

    @Test
    void eachRowHasItsSourceAndScale() {
        Values qkv = activations(5, 13, 3 * 24);
        Reference.Source second = source(3, 9, 24, new int[] {2, 0, 2, 1, 1}, 0.5f, 0, 1.25f, 1, -0.3f);
        Tensor fused = put(qkv);
        assertClose(Reference.attention(qkv.columns(0, 24),
                        List.of(Reference.Source.of(qkv.columns(24, 24), qkv.columns(48, 24)), second), 3, false),
                attention(fused.columns(0, 24), 3, Source.of(fused.columns(24, 24), fused.columns(48, 24)), put(second)));
    }

    /** Rows of a larger block of them, as a plan for a batch cuts them. */
    @Test
    void sourcesOfSomeRows() {
        Values query = activations(2, 13, 24);
        Values keys = activations(3, 9, 24);
        Tensor rows = device.upload(new int[] {0, 0, 2, 1});
        Tensor scales = device.upload(DataType.FLOAT32, new float[] {0, 0, 0.5f, 1}, 4);
        assertClose(Reference.attention(query, List.of(Reference.Source.of(query, query),
                        new Reference.Source(keys, keys, new int[] {2, 1}, new float[] {0.5f, 1})), 3, false),
                attention(put(query), 3, Source.of(put(query), put(query)),
                        new Source(put(keys), put(keys), rows.rows(2, 2), scales.rows(2, 2))));
    }

    @Test
    void sourcesOfFusedProjections() {
        Values query = activations(2, 13, 24);
        Values text = activations(2, 77, 48);
        Values kv = activations(2, 9, 48);
        int[] rows = {1, 0};
        float[] scales = {1, 0.5f};
        Tensor fusedText = put(text);
        Tensor fused = put(kv);
        assertClose(Reference.attention(query, List.of(Reference.Source.of(text.columns(0, 24), text.columns(24, 24)),
                        new Reference.Source(kv.columns(0, 24), kv.columns(24, 24), rows, scales)), 3, false),
                attention(put(query), 3, Source.of(fusedText.columns(0, 24), fusedText.columns(24, 24)),
                        new Source(fused.columns(0, 24), fused.columns(24, 24), device.upload(rows),
                                device.upload(DataType.FLOAT32, scales, 2))));
    }

    /** Of other lengths each; the plain one not always first. */
    @ParameterizedTest
    @CsvSource({"1, 2, 4", "77, 3, 20", "33, 2, 40", "21, 1, 64", "19, 2, 80", "9, 1, 160", "7, 1, 168", "70, 2, 15"})
    void threeAndMoreSources(int length, int heads, int headSize) {
        int c = heads * headSize;
        Values query = activations(3, length, c);
        Reference.Source plain = plain(3, 77, c);
        Reference.Source picture = source(2, 4, c, new int[] {1, 0, 1}, 0.6f, 0, -1.5f);
        Reference.Source identity = source(1, 65, c, new int[3], 0, 0, 0.8f);
        Reference.Source own = source(3, 257, c, null, 0.3f, 1, 0);
        assertAttention(query, heads, plain, picture, identity);
        assertAttention(query, heads, own, plain, identity, picture);
        assertAttention(query, heads, plain, plain(3, 16, c), plain(3, 1, c));
    }

    /** Rows without scales, scales without rows, at the first source too; a row that no source counts for is zeros. */
    @ParameterizedTest
    @CsvSource({"2, 12", "1, 40", "2, 64", "1, 80", "1, 160", "1, 176"})
    void noSourceIsPlain(int heads, int headSize) {
        int c = heads * headSize;
        Values query = activations(3, 37, c);
        Reference.Source rows = source(2, 19, c, new int[] {1, 1, 0});
        Reference.Source scales = source(3, 35, c, null, 0, 1.5f, -0.5f);
        Reference.Source both = source(2, 66, c, new int[] {0, 1, 0}, 0, 0.25f, 1);
        assertAttention(query, heads, rows);
        assertAttention(query, heads, scales);
        assertAttention(query, heads, both);
        assertAttention(query, heads, scales, both);
        assertAttention(query, heads, scales, rows, both);
    }

    /** What a row does not look at cannot spoil it, whichever source it is. */
    @Test
    void aSourceOfScaleZeroIsNotLookedAt() {
        Values query = activations(2, 13, 24);
        Reference.Source plain = plain(2, 21, 24);
        Values unusable = new Values(1, 9, 24).map(v -> Double.NaN);
        Reference.Source none = new Reference.Source(unusable, unusable, new int[2], new float[2]);
        assertAttention(query, 3, plain, none);
        assertAttention(query, 3, none, plain);
        assertAttention(query, 3, plain, none, source(1, 5, 24, new int[2], 0.5f, 0.5f), none);
        assertAttention(query, 3, none, source(1, 5, 24, new int[2], 0.5f, 0.5f));
    }

    /** However many sources there are, a row that looks at one of them only is what that one alone gives. */
    @Test
    void aSourceOfScaleZeroChangesNoBit() {
        Values query = activations(2, 13, 24);
        Source plain = put(plain(2, 21, 24));
        Source none = put(source(1, 9, 24, new int[2], 0, 0));
        float[] alone = device.download(attention(put(query), 3, plain));
        assertExact(Values.of(alone, 2, 13, 24), attention(put(query), 3, plain, none));
        assertExact(Values.of(alone, 2, 13, 24), attention(put(query), 3, plain, none, none));
    }

    @Test
    void wrongShapesOfAttention() {
        Tensor q = zeros(2, 13, 24);
        Tensor k = zeros(2, 9, 24);
        assertRefused(() -> attention(q, 5, Source.of(k, k)), q.shape());
        assertRefused(() -> attention(q, 0, Source.of(k, k)), q.shape());
        assertRefused(() -> attention(q, 3), q.shape());
        assertRefused(() -> attention(zeros(2, 3, 5, 24), 3, Source.of(k, k)), new int[] {2, 3, 5, 24});
        assertRefused(() -> attention(q, 3, Source.of(zeros(1, 9, 24), zeros(1, 9, 24))), new int[] {1, 9, 24});
        assertRefused(() -> attention(q, 3, Source.of(zeros(2, 9, 23), zeros(2, 9, 23))), new int[] {2, 9, 23});
        assertRefused(() -> attention(q, 3, Source.of(k, zeros(2, 8, 24))), k.shape(), new int[] {2, 8, 24});
        assertRefused(() -> device.attention(q, List.of(Source.of(k, k)), 3, true), q.shape(), k.shape());
        assertRefused(() -> device.attention(q, List.of(Source.of(q, q), Source.of(k, k)), 3, true), q.shape(), k.shape());
    }

    @Test
    void wrongShapesOfASource() {
        Tensor q = zeros(2, 13, 24);
        Tensor keys = zeros(3, 9, 24);
        Tensor rows = device.upload(new int[2]);
        Tensor scales = device.upload(DataType.FLOAT32, new float[2], 2);
        for (Source wrong : new Source[] {
            new Source(keys, zeros(3, 8, 24), rows, scales),
            new Source(zeros(3, 9, 16), zeros(3, 9, 16), rows, scales),
            new Source(zeros(9, 24), zeros(9, 24), rows, scales),
            new Source(keys, keys, device.upload(new int[3]), scales),
            new Source(keys, keys, rows, device.upload(DataType.FLOAT32, new float[3], 3))}) {
            for (List<Source> sources : List.of(List.of(Source.of(q, q), wrong), List.of(wrong))) {
                assertRefused(() -> device.attention(q, sources, 3, false), q.shape(), wrong.keys().shape(), wrong.values().shape(),
                        wrong.rows().shape(), wrong.scales().shape());
            }
        }
        assertRefused(() -> attention(q, 3, new Source(keys, keys, null, scales)), q.shape(), keys.shape());
    }
}
