package io.invadapter.kernels.cuda.ptx;

/** A size or a coordinate of a grid or a CTA. */
public record Dim(int x, int y, int z) {
    public Dim(int x) {
        this(x, 1, 1);
    }

    public Dim(int x, int y) {
        this(x, y, 1);
    }

    long count() {
        return (long) x * y * z;
    }

    /** The coordinate of element {@code index} in a box of this size, x running fastest. */
    Dim at(long index) {
        return new Dim((int) (index % x), (int) (index / x % y), (int) (index / x / y));
    }

    @Override
    public String toString() {
        return "(" + x + "," + y + "," + z + ")";
    }
}
