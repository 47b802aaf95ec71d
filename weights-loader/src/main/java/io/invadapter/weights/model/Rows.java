package io.invadapter.weights.model;

import java.util.Arrays;
import java.util.stream.IntStream;

/** A matrix of which rows are computed as they are asked for, on any thread. */
interface Rows {

    /** Rows that are computed together: enough of them for what both sides of a product share to stay in the caches. */
    int TOGETHER = 32;
    /** Columns of a product that are computed before the next ones: that many of all rows of the right factor stay in a cache. */
    int STRIP = 512;

    /** Writes rows {@code first}, {@code first + 1}, … to {@code into}, as many as it has room for. */
    void read(int first, float[][] into);

    /** {@code target += scale * rows}, in parallel. @param target {@code [rows, columns]} */
    static void add(Rows rows, float scale, float[] target, int columns) {
        int count = target.length / columns;
        IntStream.range(0, (count + TOGETHER - 1) / TOGETHER).parallel().forEach(number -> {
            int first = number * TOGETHER;
            float[][] values = new float[Math.min(TOGETHER, count - first)][columns];
            rows.read(first, values);
            for (int row = 0; row < values.length; row++) {
                int start = (first + row) * columns;
                for (int i = 0; i < columns; i++) {
                    target[start + i] += scale * values[row][i];
                }
            }
        });
    }

    /** All rows. */
    static float[] all(Rows rows, int count, int columns) {
        float[] values = new float[Math.multiplyExact(count, columns)];
        add(rows, 1, values, columns);
        return values;
    }

    /** A matrix that is there. */
    static Rows of(float[] values, int columns) {
        return (first, into) -> {
            for (int row = 0; row < into.length; row++) {
                System.arraycopy(values, (first + row) * columns, into[row], 0, columns);
            }
        };
    }

    /** {@code left right}. @param left {@code [rows, rank]} @param right {@code [rank, columns]} */
    static Rows product(float[] left, float[] right, int rank, int columns) {
        // Arrays of their own, all read and written at the same index: only then are the loops made of vector instructions.
        float[][] rightRows = IntStream.range(0, rank).mapToObj(k -> Arrays.copyOfRange(right, k * columns, (k + 1) * columns))
                .toArray(float[][]::new);
        return (first, into) -> {
            for (float[] row : into) {
                Arrays.fill(row, 0);
            }
            for (int column = 0; column < columns; column += STRIP) {
                for (int row = 0; row < into.length; row++) {
                    multiply(left, (first + row) * rank, rightRows, into[row], column, Math.min(column + STRIP, columns));
                }
            }
        };
    }

    /** Four rows of the right factor at a time, so that a sum is loaded and stored once for four products. */
    private static void multiply(float[] left, int start, float[][] right, float[] sums, int from, int to) {
        int k = 0;
        for (; k + 4 <= right.length; k += 4) {
            float a = left[start + k];
            float b = left[start + k + 1];
            float c = left[start + k + 2];
            float d = left[start + k + 3];
            float[] first = right[k];
            float[] second = right[k + 1];
            float[] third = right[k + 2];
            float[] fourth = right[k + 3];
            for (int i = from; i < to; i++) {
                sums[i] += a * first[i] + b * second[i] + c * third[i] + d * fourth[i];
            }
        }
        for (; k < right.length; k++) {
            float a = left[start + k];
            float[] row = right[k];
            for (int i = from; i < to; i++) {
                sums[i] += a * row[i];
            }
        }
    }

    /** {@code one * other}, element by element. */
    static Rows hadamard(Rows one, Rows other) {
        return (first, into) -> {
            one.read(first, into);
            float[][] factors = new float[into.length][into[0].length];
            other.read(first, factors);
            for (int row = 0; row < into.length; row++) {
                for (int i = 0; i < factors[row].length; i++) {
                    into[row][i] *= factors[row][i];
                }
            }
        };
    }

    /** The Kronecker product. @param left {@code [any, leftColumns]} @param right {@code [rightRows, rightColumns]} */
    static Rows kronecker(float[] left, int leftColumns, float[] right, int rightColumns) {
        int rightRows = right.length / rightColumns;
        return (first, into) -> {
            for (int row = 0; row < into.length; row++) {
                int leftStart = (first + row) / rightRows * leftColumns;
                int rightStart = (first + row) % rightRows * rightColumns;
                for (int j = 0; j < leftColumns; j++) {
                    for (int i = 0; i < rightColumns; i++) {
                        into[row][j * rightColumns + i] = left[leftStart + j] * right[rightStart + i];
                    }
                }
            }
        };
    }
}
