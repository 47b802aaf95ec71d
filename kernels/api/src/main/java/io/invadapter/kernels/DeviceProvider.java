package io.invadapter.kernels;

import java.util.List;

/** Finds one kind of device; looked up with {@link java.util.ServiceLoader} by {@link Devices}. */
public interface DeviceProvider {

    /** The name before the colon: {@code cpu}, {@code cuda}. */
    String kind();

    /** Of the kinds present, {@code auto} takes the highest that opens. */
    int priority();

    /**
     * Whether this computer has a device of this kind, usable or not: {@code auto} says why it passes over one that is there, and
     * nothing of what is not.
     */
    default boolean isPresent() {
        return true;
    }

    /** The precision used when none is asked for. */
    Precision defaultPrecision();

    /**
     * @param index which one, for {@code cuda:1}; 0 otherwise
     * @throws DeviceException when there is none, or it lacks the precision; the message says what to do
     */
    Device open(int index, Precision precision);

    /**
     * What there is of this kind, for people: one line for each device and for each thing it needs, and one sentence for each
     * thing that is missing, with what to do. Opens no device.
     */
    List<String> report();
}
