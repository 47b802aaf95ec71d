package io.invadapter.kernels;

/** What the large operators of a device compute with; norms, softmax and sums are float32 everywhere. */
public enum Precision {
    /** float32 activations and weights. */
    FP32("fp32", DataType.FLOAT32),
    /** float16 activations and weights, float32 accumulation. */
    FP16("fp16", DataType.FLOAT16),
    /** bfloat16 activations and weights, float32 accumulation. */
    BF16("bf16", DataType.BFLOAT16);

    private final String label;
    private final DataType type;

    Precision(String label, DataType type) {
        this.label = label;
        this.type = type;
    }

    /** Element type of activations. */
    public DataType type() {
        return type;
    }

    /** As written on the command line. */
    @Override
    public String toString() {
        return label;
    }
}
