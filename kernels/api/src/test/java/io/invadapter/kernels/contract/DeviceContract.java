package io.invadapter.kernels.contract;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Precision;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.TestInstance;

/**
 * What the engine relies on from every {@link Device}: each operator against {@link Reference}, memory and recordings. A device's
 * tests extend this once for each precision; one device serves all of them.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class DeviceContract {
    final Precision precision;
    final double tolerance;
    Device device;

    /** @param tolerance of a result, relative to its root mean square, or to the value itself where that is larger */
    protected DeviceContract(Precision precision, double tolerance) {
        this.precision = precision;
        this.tolerance = tolerance;
    }

    /** Opens the device that is tested. */
    protected abstract Device open(Precision precision);

    @BeforeAll
    void openDevice() {
        device = open(precision);
    }

    @AfterAll
    void closeDevice() {
        if (device != null) {
            device.close();
        }
    }

    @Nested
    class Products extends ProductContract {
        Products() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Convolutions extends ConvolutionContract {
        Convolutions() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Norms extends NormContract {
        Norms() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Attention extends AttentionContract {
        Attention() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Maps extends MapContract {
        Maps() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Sampling extends SamplingContract {
        Sampling() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Weights extends WeightContract {
        Weights() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Packers extends PackerContract {
        Packers() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Precisions extends PrecisionContract {
        Precisions() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class EveryOperator extends EveryOperatorContract {
        EveryOperator() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Memory extends MemoryContract {
        Memory() {
            super(DeviceContract.this);
        }
    }

    @Nested
    class Recordings extends RecordingContract {
        Recordings() {
            super(DeviceContract.this);
        }
    }
}
