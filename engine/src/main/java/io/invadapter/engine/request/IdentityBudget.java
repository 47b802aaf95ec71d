package io.invadapter.engine.request;

import io.invadapter.kernels.Device;
import java.nio.file.Path;

/**
 * How much memory the keys and values of identities may take, so that the next picture of the same face, caption and number
 * of steps needs neither its inversion nor its own rows. At 512x512 an identity takes about 58 MB a step in two bytes a value.
 * What was used longest ago moves on from the device to the host, from there to the folder, and is then dropped.
 *
 * @param deviceBytes in device memory
 * @param hostBytes   in the host's memory, outside the Java heap
 * @param diskBytes   in {@code folder}, where identities outlive the process and several processes may share them
 * @param folder      or {@code null} for none
 */
public record IdentityBudget(long deviceBytes, long hostBytes, long diskBytes, Path folder) {
    /** Nothing is kept. */
    public static final IdentityBudget NONE = new IdentityBudget(0, 0, 0, null);

    private static final long MOST_BY_DEFAULT = 4L << 30;

    /** @throws IllegalArgumentException when a number of bytes is negative */
    public IdentityBudget {
        if (deviceBytes < 0 || hostBytes < 0 || diskBytes < 0) {
            throw new IllegalArgumentException("a number of bytes cannot be negative: " + deviceBytes + " on the device, " + hostBytes
                    + " on the host, " + diskBytes + " on disk");
        }
    }

    /** What a pipeline takes when nothing is said: a quarter of the device's free memory, 4 GiB at most. */
    public static IdentityBudget defaultFor(Device device) {
        return new IdentityBudget(Math.min(device.freeMemory() / 4, MOST_BY_DEFAULT), 0, 0, null);
    }
}
