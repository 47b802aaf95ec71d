package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * A convolution over {@code [B, H, W, C]}, the residual fused into it.
 *
 * <p>Which layout of the weights is fast depends on the size of the feature map, and oneDNN falls back to a plain loop when
 * given another. The weights are packed for a middling size when they are loaded and again when a size needs it; a layout that
 * none of the last sizes needs is dropped. Large maps go by {@link Winograd} where it can be done.
 */
final class CpuConvolution implements CpuWeights, Device.Convolution {
    private static final int TYPICAL_SIZE = 64;
    /** Sizes whose layout of the weights is remembered. */
    private static final int MOST_SHAPES = 16;
    /** Bytes of input and output that are converted to float32 at a time, about. */
    private static final long CONVERTED_AT_ONCE = 32L << 20;

    private final CpuPacker packer;
    private final CpuDevice device;
    private final int inChannels;
    private final int outChannels;
    private final int height;
    private final int width;
    private final int stride;
    private final Device.Padding padding;
    private final DataType outputType;
    /** What is computed in; float32 too where oneDNN has nothing for the device's own type. */
    private final DataType type;
    private final long bias;
    private final List<PackedWeights> packed = new ArrayList<>();
    /** The weights for large maps, made when the first comes; {@code null} before. */
    private Winograd winograd;
    /** For each of the last sizes; that used longest ago comes first. */
    private final Map<Shape, Way> ways = new LinkedHashMap<>(16, 0.75f, true);

    /** Top and bottom are the rows of zeros around it: a strip from within a map has none. */
    private record Shape(int batch, int height, int width, int top, int bottom, boolean residual) {
    }

    /**
     * How a size is computed.
     *
     * @param weights in the layout for it
     * @param summed  whether the result is added to a copy of the residual: on 64-bit ARM oneDNN only has a plain loop that reads the
     *                residual itself
     */
    private record Way(PackedWeights weights, boolean summed) {
    }

    CpuConvolution(CpuPacker packer, HostTensor weight, HostTensor bias, int stride, Device.Padding padding, DataType outputType) {
        int[] s = weight.shape();
        this.packer = packer;
        this.device = packer.device();
        this.outChannels = s[0];
        this.inChannels = s[1];
        this.height = s[2];
        this.width = s[3];
        this.stride = stride;
        this.padding = padding;
        this.outputType = outputType;
        this.bias = packer.store(DataType.FLOAT32, bias != null ? bias : HostTensor.of(new float[s[0]], s[0]));
        long[] strides = {(long) s[1] * s[2] * s[3], (long) s[2] * s[3], s[3], 1};
        Shape typical = new Shape(1, TYPICAL_SIZE, TYPICAL_SIZE, padding.top(), padding.bottom(), false);
        this.type = device.oneDnn().computing(device.precision().type(), (d, t) -> descriptor(d, t, typical, false));
        try (Descriptors d = device.oneDnn().descriptors()) {
            packed.add(PackedWeights.pack(device, weight, new long[] {s[0], s[1], s[2], s[3]}, strides,
                    Descriptors.weightsOf(descriptor(d, type, typical, false)), converts()));
        }
    }

    /** Whether inputs, weights and results are kept as bfloat16 and computed in float32. */
    private boolean converts() {
        return type != device.precision().type();
    }

    @Override
    public CpuPacker packer() {
        return packer;
    }

    @Override
    public int inChannels() {
        return inChannels;
    }

    @Override
    public int outChannels() {
        return outChannels;
    }

    @Override
    public int kernelHeight() {
        return height;
    }

    @Override
    public int kernelWidth() {
        return width;
    }

    DataType outputType() {
        return outputType;
    }

    /** Address of {@code [out]} float32; zeros when the layer has none. */
    long bias() {
        return bias;
    }

    int outHeight(int inHeight) {
        return (inHeight + padding.top() + padding.bottom() - height) / stride + 1;
    }

    int outWidth(int inWidth) {
        return (inWidth + padding.left() + padding.right() - width) / stride + 1;
    }

    /** Writes the convolution of {@code x} to {@code y}; {@code shift} is the address of what is used as the bias. */
    void run(Tensor x, Tensor y, long shift, Tensor residual) {
        if (isThreeByThree() && Winograd.suits(x.size(1), x.size(2), inChannels, outChannels)) {
            winograd().run(x, y, shift, residual);
            return;
        }
        if (converts()) {
            for (int row = 0; row < x.batch(); row++) {
                runInFloat32(x.rows(row, 1), y.rows(row, 1), shift, residual == null ? null : residual.rows(row, 1));
            }
        } else {
            run(new Shape(x.batch(), x.size(1), x.size(2), padding.top(), padding.bottom(), residual != null), x.address(), y.address(),
                    shift, residual == null ? 0 : residual.address());
        }
    }

    private void run(Shape shape, long x, long y, long shift, long residual) {
        Way way = way(shape);
        long address = way.weights.address(device);
        Primitive primitive = primitive(shape, way);
        if (way.summed) {
            long bytes = (long) shape.batch * outRows(shape) * outWidth(shape.width) * outChannels * outputType(type).bytes();
            NativeMemory.view(y, bytes).copyFrom(NativeMemory.view(residual, bytes));
        }
        if (shape.residual && !way.summed) {
            primitive.run(x, address, shift, y, residual);
        } else {
            primitive.run(x, address, shift, y);
        }
    }

    /** One map in strips of rows, so that little of it is in float32 at a time. */
    private void runInFloat32(Tensor x, Tensor y, long shift, Tensor residual) {
        int inHeight = x.size(1);
        int outHeight = y.size(1);
        long inRow = (long) x.size(2) * inChannels;
        long outRow = (long) y.size(2) * outChannels;
        int stripRows = Math.clamp(CONVERTED_AT_ONCE / (Float.BYTES * (inRow * stride + outRow)), 1, outHeight);
        for (int first = 0; first < outHeight; first += stripRows) {
            int rows = Math.min(stripRows, outHeight - first);
            int start = first * stride - padding.top();
            int end = start + (rows - 1) * stride + height;
            int from = Math.max(0, start);
            int to = Math.min(inHeight, end);
            Shape strip = new Shape(1, to - from, x.size(2), from - start, end - to, residual != null);
            long wideX = device.workspace(CpuDevice.INPUT, (to - from) * inRow * Float.BYTES);
            Bfloat16.widen(device, x.address() + from * inRow * Short.BYTES, wideX, (to - from) * inRow);
            long at = first * outRow * outputType.bytes();
            if (outputType == DataType.FLOAT32) {
                run(strip, wideX, y.address() + at, shift, residual == null ? 0 : residual.address() + at);
                continue;
            }
            long wideResidual = 0;
            if (residual != null) {
                wideResidual = device.workspace(CpuDevice.OPERAND, rows * outRow * Float.BYTES);
                Bfloat16.widen(device, residual.address() + at, wideResidual, rows * outRow);
            }
            long wideY = device.workspace(CpuDevice.OUTPUT, rows * outRow * Float.BYTES);
            run(strip, wideX, wideY, shift, wideResidual);
            Bfloat16.round(device, wideY, y.address() + at, rows * outRow);
        }
    }

    /** In float32, of stride 1, the result as large as the map: what {@link Winograd} can do. */
    private boolean isThreeByThree() {
        return device.precision() == Precision.FP32 && outputType == DataType.FLOAT32 && height == 3 && width == 3 && stride == 1
                && padding.equals(Device.Padding.same(1));
    }

    private Winograd winograd() {
        if (winograd == null) {
            OneDnn oneDnn = device.oneDnn();
            try (Descriptors d = oneDnn.descriptors()) {
                long row = (long) inChannels * outChannels;
                PackedWeights plain = packed.getFirst().repack(device, d.strided(DataType.FLOAT32,
                        new long[] {outChannels, inChannels, 3, 3}, new long[] {1, outChannels, 3 * row, row}));
                try {
                    winograd = new Winograd(device, plain.stored(), inChannels, outChannels);
                } finally {
                    plain.free(oneDnn.memory());
                }
            }
        }
        return winograd;
    }

    private Primitive primitive(Shape shape, Way way) {
        OneDnn oneDnn = device.oneDnn();
        return oneDnn.primitive(
                List.of("convolution", device.precision(), outputType, shape, inChannels, outChannels, height, width, stride, padding),
                d -> {
                    Primitive.Builder builder = new Primitive.Builder(oneDnn, descriptor(d, type, shape, way.summed))
                            .argument(DNNL_ARG_SRC, input(d, type, shape))
                            .argument(DNNL_ARG_WEIGHTS, way.weights.layout())
                            .argument(DNNL_ARG_BIAS, d.rowMajor(DataType.FLOAT32, outChannels))
                            .argument(DNNL_ARG_DST, output(d, type, shape));
                    if (shape.residual && !way.summed) {
                        builder.postOpArgument(0, output(d, type, shape));
                    }
                    return builder.build();
                });
    }

    private Way way(Shape shape) {
        Way way = ways.get(shape);
        if (way == null) {
            try (Descriptors d = device.oneDnn().descriptors()) {
                dnnl_primitive_desc descriptor = descriptor(d, type, shape, false);
                boolean summed = shape.residual && Descriptors.isPlain(descriptor);
                way = new Way(packed(Descriptors.weightsOf(summed ? descriptor(d, type, shape, true) : descriptor)), summed);
            }
            if (ways.size() >= MOST_SHAPES) {
                ways.remove(ways.keySet().iterator().next());
            }
            ways.put(shape, way);
            dropUnused();
        }
        return way;
    }

    private PackedWeights packed(dnnl_memory_desc layout) {
        for (PackedWeights known : packed) {
            if (dnnl_memory_desc_equal(known.layout(), layout) != 0) {
                return known;
            }
        }
        PackedWeights added = packed.getFirst().repack(device, layout);
        packed.add(added);
        return added;
    }

    private void dropUnused() {
        packed.removeIf(weights -> {
            boolean unused = ways.values().stream().noneMatch(way -> way.weights == weights);
            if (unused) {
                weights.free(device.oneDnn().memory());
            }
            return unused;
        });
    }

    void free() {
        packed.forEach(weights -> weights.free(device.oneDnn().memory()));
        packed.clear();
        if (winograd != null) {
            winograd.free();
            winograd = null;
        }
    }

    private dnnl_memory_desc input(Descriptors d, DataType computed, Shape s) {
        return d.featureMap(computed, s.batch, s.height, s.width, inChannels);
    }

    private dnnl_memory_desc output(Descriptors d, DataType computed, Shape s) {
        return d.featureMap(outputType(computed), s.batch, outRows(s), outWidth(s.width), outChannels);
    }

    private int outRows(Shape s) {
        return (s.height + s.top + s.bottom - height) / stride + 1;
    }

    /** What comes out of the computation itself. */
    private DataType outputType(DataType computed) {
        return computed == DataType.FLOAT32 ? computed : outputType;
    }

    private dnnl_primitive_desc descriptor(Descriptors d, DataType computed, Shape shape, boolean summed) {
        Descriptors.PostOps postOps = d.postOps();
        if (summed) {
            postOps.sum();
        } else if (shape.residual) {
            postOps.binary(dnnl_binary_add, output(d, computed, shape));
        }
        return d.primitive("convolution", computed, postOps, (made, engine, attributes) ->
                dnnl_convolution_forward_primitive_desc_create(made, engine, dnnl_forward_inference,
                        dnnl_convolution_direct, input(d, computed, shape),
                        d.any(computed, outChannels, inChannels, height, width),
                        d.rowMajor(DataType.FLOAT32, outChannels), output(d, computed, shape),
                        new long[] {stride, stride}, new long[] {0, 0}, new long[] {shape.top, padding.left()},
                        new long[] {shape.bottom, padding.right()}, attributes));
    }
}
