package io.invadapter.kernels.cuda;

/** Products of float32 matrices, in loops that the compiler turns into vector instructions. */
final class EmulatedProduct {
    private EmulatedProduct() {
    }

    /**
     * {@code C += A B}, column-major and dense.
     *
     * @param a {@code [k][m]}: column after column
     * @param b {@code [n][k]}
     * @param c {@code [n][m]}
     */
    static void add(int m, int n, int k, float[] a, float[] b, float[] c) {
        for (int column = 0; column < n; column++) {
            int to = column * m;
            int from = column * k;
            int l = 0;
            // Four columns of A at a time: a sum is loaded and stored a quarter as often.
            for (; l + 4 <= k; l += 4) {
                add4(m, a, l * m, b[from + l], b[from + l + 1], b[from + l + 2], b[from + l + 3], c, to);
            }
            for (; l < k; l++) {
                add1(m, a, l * m, b[from + l], c, to);
            }
        }
    }

    private static void add4(int m, float[] a, int offset, float b0, float b1, float b2, float b3, float[] c, int to) {
        for (int i = 0; i < m; i++) {
            c[to + i] += a[offset + i] * b0 + a[offset + m + i] * b1 + (a[offset + 2 * m + i] * b2
                    + a[offset + 3 * m + i] * b3);
        }
    }

    private static void add1(int m, float[] a, int offset, float b, float[] c, int to) {
        for (int i = 0; i < m; i++) {
            c[to + i] += a[offset + i] * b;
        }
    }
}
