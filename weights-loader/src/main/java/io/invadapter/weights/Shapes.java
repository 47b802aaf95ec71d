package io.invadapter.weights;

import java.util.Arrays;

/** Arithmetic on tensor shapes. */
public final class Shapes {

    private Shapes() {
    }

    /**
     * The number of elements of a shape.
     *
     * @throws ArithmeticException if a size is negative or the product does not fit a long
     */
    public static long elements(long[] shape) {
        long product = 1;
        for (long size : shape) {
            if (size < 0) {
                throw new ArithmeticException("negative size");
            }
            product = Math.multiplyExact(product, size);
        }
        return product;
    }

    /** A shape as messages show it: {@code [320, 4, 3, 3]}. */
    public static String text(long[] shape) {
        return Arrays.toString(shape);
    }
}
