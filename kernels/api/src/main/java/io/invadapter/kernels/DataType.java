package io.invadapter.kernels;

/** Element type of a tensor in device memory or of weights on the host. */
public enum DataType {
    FLOAT32(4),
    FLOAT16(2),
    BFLOAT16(2),
    /** Indices; no operator computes with them. */
    INT32(4);

    private final int bytes;

    DataType(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element. */
    public int bytes() {
        return bytes;
    }
}
