package io.invadapter.kernels.contract;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Attention, without and with the keys and values of an identity. */
abstract class AttentionContract extends DeviceFixture {

    AttentionContract(DeviceContract contract) {
        super(contract);
    }

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
}
