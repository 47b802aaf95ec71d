package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Operators;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Who owns weights; that those of a closed packer are refused by every operator is in {@link EveryOperatorContract}. */
abstract class PackerContract extends DeviceFixture {
    private final DeviceContract contract;

    PackerContract(DeviceContract contract) {
        super(contract);
        this.contract = contract;
    }

    @Test
    void aTableOfAClosedPackerIsRefused() {
        Device.Table stays = packer.table(host(weights(9, 6)));
        Packer other = device.packer();
        Device.Table goes = other.table(host(weights(9, 6)));
        int[][] ids = {{8, 0, 3}};
        device.embed(stays, goes, ids);
        other.close();
        assertThrows(IllegalStateException.class, () -> device.embed(goes, stays, ids));
        assertThrows(IllegalStateException.class, () -> device.embed(stays, goes, ids));
        device.embed(stays, stays, ids);
    }

    @Test
    void aClosedPackerPacksNothing() {
        Packer closed = device.packer();
        closed.close();
        closed.close();
        HostTensor matrix = host(weights(10, 6));
        HostTensor vector = host(floats(10));
        for (Executable use : List.<Executable>of(() -> closed.linear(matrix, vector), () -> closed.gatedLinear(matrix, vector, null),
                () -> closed.tokenMixer(matrix), () -> closed.norm(vector, vector), () -> closed.table(matrix),
                () -> closed.convolution(host(weights(10, 6, 3, 3)), null, 1, Operators.Padding.NONE, type))) {
            assertThrows(IllegalStateException.class, use);
        }
    }

    /** A network that comes and goes leaves room for the next, and what stays is not touched. */
    @Test
    void networksComeAndGo() {
        Values x = activations(3, 40);
        Values weight = weights(50, 40);
        Tensor input = put(x);
        Device.Linear stays = packer.linear(host(weight), null);
        for (int network = 0; network < 5; network++) {
            Values other = weights(50, 40);
            try (Packer comesAndGoes = device.packer()) {
                Device.Linear layer = comesAndGoes.linear(host(other), null);
                assertClose(Reference.linear(x, other, null, Activation.NONE, null),
                        device.linear(input, layer, Activation.NONE, null));
            }
            assertClose(Reference.linear(x, weight, null, Activation.NONE, null), device.linear(input, stays, Activation.NONE, null));
        }
    }

    @Test
    void weightsOfAnotherDeviceAreRefused() {
        Tensor x = put(activations(3, 6));
        try (Device another = contract.open(precision)) {
            Device.Linear layer = another.packer().linear(host(weights(9, 6)), null);
            assertThrows(IllegalArgumentException.class, () -> device.linear(x, layer, Activation.NONE, null));
        }
    }
}
