package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Tensor;
import java.util.List;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * {@code y = x W^T + b} as one oneDNN matmul, activation and residual fused into it.
 *
 * @param bias address of {@code [out]} float32, or 0
 */
record CpuLinear(CpuPacker packer, int inFeatures, int outFeatures, PackedWeights weights, long bias)
        implements CpuWeights, Device.Linear {
    /** Rows for which the weights' layout is chosen. */
    private static final int TYPICAL_ROWS = 1024;

    /** What happens to the product before it is stored. */
    enum Combine {
        NOTHING, ADD, MULTIPLY,
        /** It is added to what is there. */
        SUM
    }

    static CpuLinear pack(CpuPacker packer, HostTensor weight, HostTensor bias) {
        CpuDevice device = packer.device();
        int out = weight.shape()[0];
        int in = weight.shape()[1];
        DataType type = device.oneDnn().computing(device.precision().type(), (d, t) -> typical(d, t, in, out, bias != null));
        PackedWeights packed;
        try (Descriptors d = device.oneDnn().descriptors()) {
            packed = packer.own(PackedWeights.pack(device, weight, new long[] {in, out}, new long[] {1, in},
                    Descriptors.weightsOf(typical(d, type, in, out, bias != null)), type != device.precision().type()));
        }
        return new CpuLinear(packer, in, out, packed, bias == null ? 0 : packer.store(DataType.FLOAT32, bias));
    }

    /** What decides how a layer of these sizes is computed. */
    static dnnl_primitive_desc typical(Descriptors d, DataType type, int in, int out, boolean bias) {
        return descriptor(d, type, TYPICAL_ROWS, in, out, d.any(type, in, out), bias, Device.Activation.NONE, Combine.NOTHING);
    }

    /** Writes {@code combine(activation(x W^T + b), operand)} to {@code y}; all three are of one type. */
    void run(CpuDevice device, Tensor x, Tensor y, Device.Activation activation, Combine combine, Tensor operand) {
        int rows = x.vectors();
        // First of all: tensors of a closed device are refused here, and its weights are gone.
        long from = x.address();
        long to = y.address();
        long packed = weights.address(device);
        if (!weights.rounded()) {
            run(device.oneDnn(), x.type(), rows, packed, from, to, activation, combine,
                    operand == null ? 0 : operand.address());
            return;
        }
        int most = Math.min(rows, TYPICAL_ROWS);
        long wideX = device.workspace(CpuDevice.INPUT, (long) most * inFeatures * Float.BYTES);
        long wideY = device.workspace(CpuDevice.OUTPUT, (long) most * outFeatures * Float.BYTES);
        long wideOperand = operand == null ? 0 : device.workspace(CpuDevice.OPERAND, (long) most * outFeatures * Float.BYTES);
        for (int row = 0; row < rows; row += most) {
            int n = Math.min(most, rows - row);
            long at = (long) row * outFeatures * Short.BYTES;
            Bfloat16.widen(device, from + (long) row * inFeatures * Short.BYTES, wideX, (long) n * inFeatures);
            if (operand != null) {
                Bfloat16.widen(device, operand.address() + at, wideOperand, (long) n * outFeatures);
            }
            run(device.oneDnn(), DataType.FLOAT32, n, packed, wideX, wideY, activation, combine, wideOperand);
            Bfloat16.round(device, wideY, to + at, (long) n * outFeatures);
        }
    }

    private void run(OneDnn oneDnn, DataType type, int rows, long packed, long x, long y, Device.Activation activation,
            Combine combine, long operand) {
        if (combine == Combine.NOTHING || takesOperands(oneDnn, type)) {
            runFused(oneDnn, type, rows, packed, x, y, activation, combine, operand);
        } else {
            runApart(oneDnn, type, rows, packed, x, y, activation, combine, operand);
        }
    }

    /** Whether a product is fast with an operand: on 64-bit ARM with wide vectors oneDNN only has a plain loop that reads one. */
    private static boolean takesOperands(OneDnn oneDnn, DataType type) {
        return oneDnn.isFast("layer with an operand", type, (d, t) -> descriptor(d, t, TYPICAL_ROWS, 64, 64,
                Descriptors.weightsOf(typical(d, t, 64, 64, true)), true, Device.Activation.NONE, Combine.ADD));
    }

    /** The same without an operand in the product. */
    void runApart(OneDnn oneDnn, DataType type, int rows, long packed, long x, long y, Device.Activation activation, Combine combine,
            long operand) {
        if (combine == Combine.ADD) {
            long bytes = (long) rows * outFeatures * type.bytes();
            NativeMemory.view(y, bytes).copyFrom(NativeMemory.view(operand, bytes));
            runFused(oneDnn, type, rows, packed, x, y, activation, Combine.SUM, 0);
            return;
        }
        runFused(oneDnn, type, rows, packed, x, y, activation, Combine.NOTHING, 0);
        oneDnn.primitive(List.of("multiply", type, rows, outFeatures), d -> {
            dnnl_memory_desc matrix = d.rowMajor(type, rows, outFeatures);
            dnnl_primitive_desc product = d.primitive("multiplication", type, d.postOps(), (made, engine, attributes) ->
                    dnnl_binary_primitive_desc_create(made, engine, dnnl_binary_mul, matrix, matrix, matrix, attributes));
            return new Primitive.Builder(oneDnn, product).argument(DNNL_ARG_SRC_0, matrix).argument(DNNL_ARG_SRC_1, matrix)
                    .argument(DNNL_ARG_DST, matrix).build();
        }).run(y, operand, y);
    }

    private void runFused(OneDnn oneDnn, DataType type, int rows, long packed, long x, long y, Device.Activation activation,
            Combine combine, long operand) {
        Primitive matmul = oneDnn.primitive(
                List.of("linear", type, rows, inFeatures, outFeatures, bias != 0, activation, combine),
                d -> primitive(oneDnn, d, type, rows, activation, combine));
        boolean reads = readsOperand(combine);
        if (bias != 0 && reads) {
            matmul.run(x, packed, y, bias, operand);
        } else if (bias != 0) {
            matmul.run(x, packed, y, bias);
        } else if (reads) {
            matmul.run(x, packed, y, operand);
        } else {
            matmul.run(x, packed, y);
        }
    }

    private static boolean readsOperand(Combine combine) {
        return combine == Combine.ADD || combine == Combine.MULTIPLY;
    }

    private Primitive primitive(OneDnn oneDnn, Descriptors d, DataType type, int rows, Device.Activation activation, Combine combine) {
        dnnl_primitive_desc descriptor = descriptor(d, type, rows, inFeatures, outFeatures, weights.layout(),
                bias != 0, activation, combine);
        dnnl_memory_desc output = d.rowMajor(type, rows, outFeatures);
        Primitive.Builder builder = new Primitive.Builder(oneDnn, descriptor)
                .argument(DNNL_ARG_SRC, d.rowMajor(type, rows, inFeatures))
                .argument(DNNL_ARG_WEIGHTS, weights.layout())
                .argument(DNNL_ARG_DST, output);
        if (bias != 0) {
            builder.argument(DNNL_ARG_BIAS, d.rowMajor(DataType.FLOAT32, 1, outFeatures));
        }
        if (readsOperand(combine)) {
            builder.postOpArgument(activation == Device.Activation.NONE ? 0 : 1, output);
        }
        return builder.build();
    }

    private static dnnl_primitive_desc descriptor(Descriptors d, DataType type, int rows, int in, int out,
            dnnl_memory_desc layout, boolean bias, Device.Activation activation, Combine combine) {
        dnnl_memory_desc output = d.rowMajor(type, rows, out);
        Descriptors.PostOps postOps = d.postOps();
        switch (activation) {
            case NONE -> { }
            case SILU -> postOps.silu();
            case QUICK_GELU -> postOps.eltwise(dnnl_eltwise_swish, 1.702f, 0);
            case GELU -> postOps.eltwise(dnnl_eltwise_gelu_erf, 0, 0);
        }
        switch (combine) {
            case NOTHING -> { }
            case ADD -> postOps.binary(dnnl_binary_add, output);
            case MULTIPLY -> postOps.binary(dnnl_binary_mul, output);
            case SUM -> postOps.sum();
        }
        dnnl_memory_desc biasLayout = bias ? d.rowMajor(DataType.FLOAT32, 1, out) : null;
        return d.primitive("matrix product", type, postOps, (made, engine, attributes) ->
                dnnl_matmul_primitive_desc_create(made, engine, d.rowMajor(type, rows, in), layout, biasLayout,
                        output, attributes));
    }
}
