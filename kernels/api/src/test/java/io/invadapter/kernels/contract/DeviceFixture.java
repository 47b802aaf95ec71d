package io.invadapter.kernels.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.function.Executable;

/** For each test of a contract: the device that the contract has opened, a scope, and the same random numbers. */
abstract class DeviceFixture {
    /** Of results in float32 that no coarser type went into. */
    static final double FLOAT32_TOLERANCE = 1e-5;
    static final float EPSILON = 1e-5f;

    final Precision precision;
    final DataType type;
    final double tolerance;
    final Device device;
    /** Of the weights of this test. */
    final Packer packer;
    final Random random = new Random(42);
    private Scope scope;

    DeviceFixture(DeviceContract contract) {
        this(contract, contract.device);
    }

    /** For a device of the test's own, or a view in another precision. */
    DeviceFixture(DeviceContract contract, Device device) {
        this.precision = device.precision();
        this.type = precision.type();
        this.tolerance = contract.tolerance;
        this.device = device;
        this.packer = device.packer();
    }

    @BeforeEach
    void openScope() {
        scope = device.scope();
    }

    @AfterEach
    void closeScope() {
        scope.close();
        packer.close();
    }

    // --- inputs -----------------------------------------------------------------------------------------------------

    /** Random values that the device's type holds exactly. */
    Values activations(int... shape) {
        return Values.random(random, shape).rounded(type);
    }

    /** Random weights {@code [out, ..]} that the device's type holds exactly and that keep the size of what they are applied to. */
    Values weights(int... shape) {
        Values values = Values.random(random, shape);
        return values.times(Math.sqrt((double) shape[0] / values.data().length)).rounded(type);
    }

    /** Random float32 values. */
    Values floats(int... shape) {
        return Values.random(random, shape);
    }

    Tensor put(Values activations) {
        return put(type, activations);
    }

    Tensor put(DataType as, Values values) {
        return device.upload(as, values.floats(), values.shape());
    }

    Tensor zeros(int... shape) {
        return put(new Values(shape));
    }

    static HostTensor host(Values weights) {
        return weights == null ? null : HostTensor.of(weights.floats(), weights.shape());
    }

    // --- outcomes ---------------------------------------------------------------------------------------------------

    void assertClose(Values expected, Tensor actual) {
        assertClose("result", expected, actual, type, tolerance);
    }

    void assertClose(String what, Values expected, Tensor actual) {
        assertClose(what, expected, actual, type, tolerance);
    }

    void assertClose(String what, Values expected, Tensor actual, DataType resultType, double within) {
        assertEquals(resultType, actual.type(), what);
        assertArrayEquals(expected.shape(), actual.shape(), what);
        float[] got = device.download(actual);
        double rms = expected.rms();
        for (int i = 0; i < got.length; i++) {
            double want = expected.data()[i];
            double error = Math.abs(got[i] - want) / Math.max(rms, Math.abs(want));
            if (!(error <= within)) {
                fail(what + ": element " + i + " of " + actual + " is " + got[i] + ", not " + want + ": off by " + error
                        + " where " + within + " is allowed");
            }
        }
    }

    /** Values that are copied, not computed. */
    void assertExact(Values expected, Tensor actual) {
        assertArrayEquals(expected.shape(), actual.shape());
        assertArrayEquals(expected.floats(), device.download(actual));
    }

    /** Wrong arguments are refused, in a sentence that shows the shapes of {@code named}. */
    static void assertRefused(Executable call, int[]... named) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        for (int[] shape : named) {
            assertTrue(e.getMessage().contains(Arrays.toString(shape)),
                    () -> "'" + e.getMessage() + "' does not name " + Arrays.toString(shape));
        }
    }
}
