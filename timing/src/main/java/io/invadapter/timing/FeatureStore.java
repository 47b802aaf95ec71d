package io.invadapter.timing;

import io.invadapter.engine.adapter.eaa.IdentityFeatures;
import io.invadapter.engine.adapter.eaa.People;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.HashMap;
import java.util.Map;

/** One identity's keys and values of every step in device memory, as the engine's own cache keeps them. */
final class FeatureStore implements AutoCloseable {
    private final Device device;
    private final Map<Integer, Tensor> steps = new HashMap<>();

    FeatureStore(Device device) {
        this.device = device;
    }

    /** Whether nothing was written since it was made or closed. */
    boolean isEmpty() {
        return steps.isEmpty();
    }

    People.Keeper writer() {
        return (step, features) -> features.copyTo(steps.computeIfAbsent(step, s -> allocate(features)), 0);
    }

    People.Keeper reader() {
        return (step, features) -> features.copyFrom(steps.get(step), 0);
    }

    private Tensor allocate(IdentityFeatures features) {
        return device.keep(device.allocate(device.precision().type(), features.elements()));
    }

    @Override
    public void close() {
        steps.values().forEach(device::release);
        steps.clear();
    }
}
