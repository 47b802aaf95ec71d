package io.invadapter.kernels;

import java.util.Objects;

/**
 * Keys and values that {@link Operators#attention} looks at: the layer's own tokens, a text, an identity (Inv-Adapter, equations 3
 * and 5), a picture's tokens (IP-Adapter). Each source has a softmax of its own.
 *
 * @param keys   {@code K [I, S, D]}; may be a {@link Tensor#columns} view
 * @param values {@code V [I, S, D]}; may be a {@link Tensor#columns} view
 * @param rows   int32 {@code [B]}: the row of the keys, 0 to I - 1, that each batch row of the query looks at; {@code null}: each
 *               at its own, I = B
 * @param scales float32 {@code [B]}: what the source counts for in each batch row; a row with 0 does none of the work, whatever
 *               its keys hold; {@code null}: 1
 */
public record Source(Tensor keys, Tensor values, Tensor rows, Tensor scales) {
    public Source {
        Objects.requireNonNull(keys, "keys");
        Objects.requireNonNull(values, "values");
    }

    /** Each batch row's own keys and values, as they are. */
    public static Source of(Tensor keys, Tensor values) {
        return new Source(keys, values, null, null);
    }

    /** Whether each batch row looks at its own keys, as they are. */
    public boolean isPlain() {
        return rows == null && scales == null;
    }
}
