package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Arguments;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import io.invadapter.kernels.cuda.dnn.Dnn;

/** What is done to feature maps and vectors without weights: moved, enlarged, added up. */
final class CudaMaps {
    private final CudaDevice device;
    private final Pointwise pointwise;
    private final Pointwise floats;

    /**
     * On the device's stream.
     *
     * @param pointwise for the device's type
     * @param floats    for float32
     */
    CudaMaps(CudaDevice device, Pointwise pointwise, Pointwise floats) {
        this.device = device;
        this.pointwise = pointwise;
        this.floats = floats;
    }

    Tensor upsample2x(Arguments arguments, Tensor x, int height, int width) {
        arguments.upsample2x(x, height, width);
        Tensor y = device.allocate(x.type(), x.batch(), height, width, x.channels());
        pointwise.upsample(x.address(), y.address(), x.batch(), x.size(1), x.size(2), height, width, x.channels(),
                device.stream());
        return y;
    }

    Tensor add(Arguments arguments, Tensor a, Tensor b) {
        arguments.add(a, b);
        Tensor y = device.allocate(a.type(), a.shape());
        pointwise.add(a.address(), 0, Device.Activation.NONE, b.address(), y.address(), a.vectors(), a.channels(), device.stream());
        return y;
    }

    Tensor concat(Arguments arguments, int axis, Tensor... parts) {
        int[] shape = arguments.concat(axis, parts);
        Tensor y = device.allocate(parts[0].type(), shape);
        Tensor rows = y.flat(axis);
        Pointwise kernels = y.type() == device.precision().type() ? pointwise : floats;
        int at = 0;
        for (Tensor part : parts) {
            Tensor own = part.flat(axis);
            kernels.concat(own.address(), rows.address(), rows.batch(), own.channels(), rows.channels(), at, device.stream());
            at += own.channels();
        }
        return y;
    }

    /** {@code x} with zeros around it. */
    Tensor padded(Tensor x, Device.Padding p) {
        Tensor y = device.allocate(x.type(), x.batch(), x.size(1) + p.top() + p.bottom(), x.size(2) + p.left() + p.right(),
                x.channels());
        pointwise.pad(x.address(), y.address(), x.batch(), x.size(1), x.size(2), x.channels(), p, device.stream());
        return y;
    }

    /** {@code y += bias} for the result of a convolution. */
    void addBias(Dnn.Shape shape, long bias, long y) {
        pointwise.add(y, bias, Device.Activation.NONE, 0, y, shape.batch() * shape.outHeight() * shape.outWidth(),
                shape.outChannels(), device.stream());
    }

    /** {@code y[b] += shift[b] + residual[b]} at every position of a map; the residual may be {@code null}. */
    void shift(Tensor y, Tensor shift, Tensor residual) {
        pointwise.addToEach(y.address(), shift.address(), residual == null ? 0 : residual.address(), y.address(), y.batch(),
                y.positions(), y.channels(), device.stream());
    }

    /** A vector and another of the same length. */
    Tensor sum(Tensor vector, long other) {
        Tensor sum = device.allocate(vector.type(), vector.channels());
        pointwise.add(vector.address(), other, Device.Activation.NONE, 0, sum.address(), 1, vector.channels(), device.stream());
        return sum;
    }

    /** {@code y = x + residual} in float32; the residual may be {@code null}. */
    void widen(Tensor x, Tensor residual, Tensor y) {
        pointwise.toFloat(x.address(), y.address(), x.elements(), device.stream());
        if (residual != null) {
            floats.add(y.address(), 0, Device.Activation.NONE, residual.address(), y.address(), y.vectors(), y.channels(),
                    device.stream());
        }
    }
}
