package io.invadapter.kernels.cpu;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.DeviceProvider;
import io.invadapter.kernels.Precision;
import java.util.List;

/** Opens the CPU device. */
public final class CpuDeviceProvider implements DeviceProvider {

    @Override
    public String kind() {
        return "cpu";
    }

    @Override
    public int priority() {
        return 0;
    }

    @Override
    public Precision defaultPrecision() {
        return Precision.FP32;
    }

    @Override
    public Device open(int index, Precision precision) {
        if (index != 0) {
            throw new DeviceException("there is no device cpu:" + index + ": all cores together are cpu");
        }
        NativeLibraries.load();
        return new CpuDevice(precision);
    }

    @Override
    public List<String> report() {
        try {
            NativeLibraries.load();
        } catch (DeviceException e) {
            return List.of(e.getMessage());
        }
        int threads = Threads.count();
        String found = "oneDNN with " + InstructionSet.name() + ", " + threads + (threads == 1 ? " thread" : " threads")
                + ", fp32 and bf16";
        try (OneDnn oneDnn = new OneDnn(Threads.count())) {
            return oneDnn.widensBfloat16()
                    ? List.of(found, "bf16 is computed in float32 here: it saves memory, not time") : List.of(found);
        }
    }
}
