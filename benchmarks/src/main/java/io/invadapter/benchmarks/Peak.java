package io.invadapter.benchmarks;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.model.SyntheticWeights;

/** The two products that show what a device can do at best: what a whole pass is measured against. */
final class Peak {
    private final Device device;
    private final Tensor rows;
    private final Device.Linear square;
    private final Tensor map;
    private final Device.Convolution convolution;
    private final Tensor marker;
    private final double productOperations;
    private final double convolutionOperations;

    /** @param features of the square matrix; @param channels of a 3x3 convolution; @param size of its map */
    Peak(Device device, int features, int channels, int size) {
        this.device = device;
        DataType type = device.precision().type();
        rows = device.keep(device.upload(type, values(features, features), features, features));
        square = device.packer().linear(HostTensor.of(values(features, features), features, features), null);
        map = device.keep(device.upload(type, values(size * size, channels), 1, size, size, channels));
        convolution = device.packer().convolution(HostTensor.of(values(channels, channels * 9), channels, channels, 3, 3), null, 1,
                Device.Padding.same(1), type);
        marker = device.keep(device.upload(DataType.FLOAT32, new float[1], 1));
        productOperations = 2 * Math.pow(features, 3);
        convolutionOperations = 2.0 * size * size * channels * channels * 9;
    }

    /** 2048^3, and 320 channels to 320 at 64 x 64. */
    Peak(Device device) {
        this(device, 2048, 320, 64);
    }

    private static float[] values(int rows, int columns) {
        return SyntheticWeights.onDemand().tensor("values", rows, columns).toFloats();
    }

    /** Returns the operations done. */
    double product() {
        try (Scope scope = device.scope()) {
            device.linear(rows, square, Device.Activation.NONE, null);
            finish();
            return productOperations;
        }
    }

    /** Returns the operations done. */
    double convolution() {
        try (Scope scope = device.scope()) {
            device.conv2d(map, convolution, null, null);
            finish();
            return convolutionOperations;
        }
    }

    /** A device works in the order of the calls: reading anything waits for all before it. */
    private void finish() {
        device.download(marker);
    }
}
