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
 * A convolution over {@code [B, H, W, C]}, the residual fused into it.
 *
 * @param bias address of {@code [out]} float32; zeros when the layer has none
 */
record CpuConvolution(int inChannels, int outChannels, int height, int width, int stride, Device.Padding padding,
        DataType outputType, PackedWeights weights, long bias) implements Device.Convolution {
    /** Height and width of the feature map for which the weights' layout is chosen. */
    private static final int TYPICAL_SIZE = 64;

    static CpuConvolution pack(CpuDevice device, HostTensor weight, HostTensor bias, int stride, Device.Padding padding,
            DataType outputType) {
        int[] s = weight.shape();
        DataType type = device.precision().type();
        HostTensor shift = bias != null ? bias : HostTensor.of(new float[s[0]], s[0]);
        CpuConvolution unpacked = new CpuConvolution(s[1], s[0], s[2], s[3], stride, padding, outputType, null,
                device.store(DataType.FLOAT32, shift));
        dnnl_primitive_desc chosen = unpacked.descriptor(device.oneDnn(), type, 1, TYPICAL_SIZE, TYPICAL_SIZE,
                OneDnn.any(type, s[0], s[1], s[2], s[3]), false);
        dnnl_memory_desc layout = OneDnn.copyOf(dnnl_primitive_desc_query_md(chosen, dnnl_query_weights_md, 0));
        dnnl_primitive_desc_destroy(chosen);
        long[] shape = {s[0], s[1], s[2], s[3]};
        long[] strides = {(long) s[1] * s[2] * s[3], (long) s[2] * s[3], s[3], 1};
        PackedWeights packed = PackedWeights.pack(device.oneDnn(), weight, shape, strides, layout);
        device.own(packed.address());
        return new CpuConvolution(s[1], s[0], s[2], s[3], stride, padding, outputType, packed, unpacked.bias);
    }

    int outHeight(int inHeight) {
        return (inHeight + padding.top() + padding.bottom() - height) / stride + 1;
    }

    int outWidth(int inWidth) {
        return (inWidth + padding.left() + padding.right() - width) / stride + 1;
    }

    /** Writes the convolution of {@code x} to {@code y}; {@code shift} is the address of what is used as the bias. */
    void run(OneDnn oneDnn, Tensor x, Tensor y, long shift, Tensor residual) {
        int batch = x.batch();
        int h = x.size(1);
        int w = x.size(2);
        Primitive convolution = oneDnn.primitive(
                List.of("convolution", x.type(), outputType, batch, h, w, inChannels, outChannels,
                        List.of(height, width, stride, padding), residual != null),
                () -> primitive(oneDnn, x.type(), batch, h, w, residual != null));
        if (residual == null) {
            convolution.run(x.address(), weights.address(), shift, y.address());
        } else {
            convolution.run(x.address(), weights.address(), shift, y.address(), residual.address());
        }
    }

    private Primitive primitive(OneDnn oneDnn, DataType type, int batch, int h, int w, boolean residual) {
        dnnl_memory_desc output = OneDnn.featureMap(outputType, batch, outHeight(h), outWidth(w), outChannels);
        Primitive.Builder builder = new Primitive.Builder(oneDnn,
                descriptor(oneDnn, type, batch, h, w, weights.layout(), residual))
                .argument(DNNL_ARG_SRC, OneDnn.featureMap(type, batch, h, w, inChannels))
                .argument(DNNL_ARG_WEIGHTS, weights.layout())
                .argument(DNNL_ARG_BIAS, OneDnn.rowMajor(DataType.FLOAT32, outChannels))
                .argument(DNNL_ARG_DST, output);
        if (residual) {
            builder.postOpArgument(0, output);
        }
        return builder.build();
    }

    private dnnl_primitive_desc descriptor(OneDnn oneDnn, DataType type, int batch, int h, int w,
            dnnl_memory_desc layout, boolean residual) {
        dnnl_memory_desc output = OneDnn.featureMap(outputType, batch, outHeight(h), outWidth(w), outChannels);
        OneDnn.PostOps postOps = new OneDnn.PostOps();
        if (residual) {
            postOps.binary(dnnl_binary_add, output);
        }
        return OneDnn.descriptor("dnnl_convolution_forward_primitive_desc_create", postOps, (d, a) ->
                dnnl_convolution_forward_primitive_desc_create(d, oneDnn.engine, dnnl_forward_inference,
                        dnnl_convolution_direct, OneDnn.featureMap(type, batch, h, w, inChannels), layout,
                        OneDnn.rowMajor(DataType.FLOAT32, outChannels), output,
                        new long[] {stride, stride}, new long[] {0, 0}, new long[] {padding.top(), padding.left()},
                        new long[] {padding.bottom(), padding.right()}, a));
    }
}
