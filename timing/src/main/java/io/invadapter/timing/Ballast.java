package io.invadapter.timing;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.model.SyntheticWeights;

/**
 * Products that keep a device busy while the host hands over what is measured next, so that marks around single operators tell
 * the device's time and not the host's. A device that is done when a call returns gets none.
 */
final class Ballast {
    private static final int PRODUCTS = 300;

    private final Device device;
    private final Tensor rows;
    private final Device.Linear square;
    private final boolean useful;

    /** @param operations of what is to be measured; all products together take several times as many */
    Ballast(Device device, double operations) {
        this.device = device;
        int side = Math.max(64, (int) Math.cbrt(operations / 80) / 64 * 64);
        float[] values = SyntheticWeights.make("ballast", 1 / Math.sqrt(side), 0, side, side).toFloats();
        rows = device.keep(device.upload(device.precision().type(), values, side, side));
        square = device.packer().linear(HostTensor.of(values, side, side), null);
        product();
        device.download(rows.rows(0, 1));
        try (Device.Mark before = device.mark()) {
            long start = System.nanoTime();
            product();
            double call = (System.nanoTime() - start) / 1e6;
            try (Device.Mark after = device.mark()) {
                useful = after.millisecondsSince(before) > 2 * call;
            }
        }
    }

    private void product() {
        try (Scope scope = device.scope()) {
            device.linear(rows, square, Device.Activation.NONE, null);
        }
    }

    void load() {
        for (int i = 0; useful && i < PRODUCTS; i++) {
            product();
        }
    }
}
