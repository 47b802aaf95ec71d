package io.invadapter.kernels;

import java.util.Arrays;

/**
 * Activations in device memory. The last axis is contiguous; pictures and feature maps are {@code [B, H, W, C]}, token
 * sequences {@code [B, L, C]}, so that one is the other without moving a byte ({@link #tokens()}, {@link #map}).
 *
 * <p>A tensor lives until the {@link Scope} it was made in closes, or forever when made in none. Using it afterwards is
 * an {@link IllegalStateException}, and so is using it when its device is closed.
 */
public final class Tensor {
    private final Block block;
    private final DataType type;
    private final int[] shape;
    private final long offset;
    private final long rowStride;

    /** Device memory that one or more tensors look at. */
    static final class Block {
        final TensorPool pool;
        final long address;
        final long bytes;
        boolean released;

        Block(TensorPool pool, long address, long bytes) {
            this.pool = pool;
            this.address = address;
            this.bytes = bytes;
        }
    }

    Tensor(Block block, DataType type, int... shape) {
        this(block, type, shape, 0, shape[shape.length - 1]);
    }

    private Tensor(Block block, DataType type, int[] shape, long offset, long rowStride) {
        this.block = block;
        this.type = type;
        this.shape = shape;
        this.offset = offset;
        this.rowStride = rowStride;
    }

    public DataType type() {
        return type;
    }

    /** A copy of the extents. */
    public int[] shape() {
        return shape.clone();
    }

    /** Extent of {@code axis}; negative axes count from the last. */
    public int size(int axis) {
        return shape[axis < 0 ? shape.length + axis : axis];
    }

    public int rank() {
        return shape.length;
    }

    /** Extent of the first axis: rows of the batch. */
    public int batch() {
        return shape[0];
    }

    /** Extent of the last axis. */
    public int channels() {
        return shape[shape.length - 1];
    }

    /** Product of the axes between batch and channels: tokens of a sequence, positions of a feature map. */
    public int positions() {
        int n = 1;
        for (int i = 1; i < shape.length - 1; i++) {
            n = Math.multiplyExact(n, shape[i]);
        }
        return n;
    }

    /** Product of all axes but the last: rows of the tensor seen as a matrix. */
    public int vectors() {
        return Math.toIntExact(elements() / channels());
    }

    public long elements() {
        long n = 1;
        for (int d : shape) {
            n *= d;
        }
        return n;
    }

    /** Bytes of all elements. */
    public long bytes() {
        return elements() * type.bytes();
    }

    /** Distance, in elements, between two neighbours along the last but one axis; more than {@link #channels()} in a {@link #columns} view. */
    public long rowStride() {
        return rowStride;
    }

    /** Whether the elements lie side by side; those of a single row always do. */
    public boolean isContiguous() {
        return rowStride == channels() || elements() == channels();
    }

    /**
     * Address of the first element on the device.
     *
     * @throws IllegalStateException when the scope that held the tensor is closed, or its device
     */
    public long address() {
        block.pool.requireOpen();
        if (block.released) {
            throw new IllegalStateException("the scope of this tensor " + this + " is closed");
        }
        return block.address + offset * type.bytes();
    }

    /** The same elements under another shape. */
    public Tensor reshape(int... newShape) {
        Tensor view = new Tensor(block, type, newShape.clone(), offset, newShape[newShape.length - 1]);
        if (!isContiguous() || view.elements() != elements()) {
            throw new IllegalArgumentException("cannot see " + this + " as " + Arrays.toString(newShape));
        }
        return view;
    }

    /** The same elements as a matrix, whose rows are what comes from {@code axis} on; negative axes count from the last. */
    public Tensor flat(int axis) {
        int rows = 1;
        for (int i = 0; i < (axis < 0 ? axis + rank() : axis); i++) {
            rows = Math.multiplyExact(rows, shape[i]);
        }
        return reshape(rows, Math.toIntExact(elements() / rows));
    }

    /** {@code [B, H, W, C]} as {@code [B, H*W, C]}. */
    public Tensor tokens() {
        return reshape(batch(), positions(), channels());
    }

    /** {@code [B, H*W, C]} as {@code [B, H, W, C]}. */
    public Tensor map(int height, int width) {
        return reshape(batch(), height, width, channels());
    }

    /** Channels {@code from} to {@code from + count} of every position, without copying: one of Q, K and V in a fused projection. */
    public Tensor columns(int from, int count) {
        if (from < 0 || count < 1 || from + count > channels()) {
            throw new IllegalArgumentException("channels " + from + " to " + (from + count) + " of " + this);
        }
        int[] newShape = shape.clone();
        newShape[shape.length - 1] = count;
        return new Tensor(block, type, newShape, offset + from, rowStride);
    }

    /** Batch rows {@code from} to {@code from + count}, without copying. */
    public Tensor rows(int from, int count) {
        if (from < 0 || count < 1 || from + count > batch()) {
            throw new IllegalArgumentException("rows " + from + " to " + (from + count) + " of " + this);
        }
        int[] newShape = shape.clone();
        newShape[0] = count;
        return rank() == 1 ? new Tensor(block, type, newShape, offset + from, count)
                : new Tensor(block, type, newShape, offset + from * positions() * rowStride, rowStride);
    }

    /** {@code newShape} of the elements from number {@code from} on, without copying: a part of a block that holds several. */
    public Tensor part(long from, int... newShape) {
        Tensor view = new Tensor(block, type, newShape.clone(), offset + from, newShape[newShape.length - 1]);
        if (!isContiguous() || from < 0 || from + view.elements() > elements()) {
            throw new IllegalArgumentException(Arrays.toString(newShape) + " from " + from + " of " + this);
        }
        return view;
    }

    Block block() {
        return block;
    }

    @Override
    public String toString() {
        return type + Arrays.toString(shape);
    }
}
