package io.invadapter.engine.nn;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A device's memory as the parts of a model share it: all of them are there as long as it suffices. While it is {@link #tight} only
 * those of one {@link Part.Use} are, whichever is asked for.
 */
public final class Room {
    private final Device device;
    private final Consumer<String> notices;
    private final List<Part<?>> parts = new ArrayList<>();
    private boolean tight;
    private boolean told;
    private boolean toldOfModel;

    /** @param notices told once that parts are loaded again and again: for the model alone is too large, or a request beside it */
    public Room(Device device, Consumer<String> notices) {
        this.device = device;
        this.notices = notices;
    }

    long bytes(long weights) {
        return weights * device.precision().type().bytes();
    }

    void add(Part<?> part) {
        parts.add(part);
    }

    /** Does {@code work} while parts make room for each other. */
    public void tight(Runnable work) {
        tight = true;
        try {
            work.run();
        } finally {
            tight = false;
        }
    }

    /** Makes a network for that use, without those for another when there is no memory for it beside them. */
    public <N extends Network> N make(Part.Use use, Supplier<N> making) {
        try {
            return making.get();
        } catch (OutOfDeviceMemoryException e) {
            if (!leaveBut(use)) {
                throw e;
            }
            N network = making.get();
            if (!toldOfModel) {
                toldOfModel = true;
                notices.accept(device.name() + ": there is no memory for all of the model at once, so each of its parts is loaded again "
                        + "for each request; a lower precision is faster");
            }
            return network;
        }
    }

    public boolean isTight() {
        return tight;
    }

    void makeFor(Part.Use use) {
        if (!tight) {
            return;
        }
        // Where parts are away already, it may be that all of them cannot be here, whatever is asked for.
        boolean whole = away() == 0;
        if (leaveBut(use) && whole && !told) {
            told = true;
            notices.accept(device.name() + ": there is no memory for all of the model beside what is asked for, so each of its parts "
                    + "is loaded again for each request that is as large; a smaller picture or a lower precision is faster");
        }
    }

    /** Whether any part had to. */
    private boolean leaveBut(Part.Use use) {
        List<Part<?>> leaving = parts.stream().filter(part -> part.isHere() && part.purpose() != use).toList();
        leaving.forEach(Part::leave);
        if (!leaving.isEmpty()) {
            device.trim();
        }
        return !leaving.isEmpty();
    }

    /** Bytes of the parts that have left. */
    public long away() {
        return parts.stream().filter(part -> !part.isHere()).mapToLong(Part::bytes).sum();
    }

    /** Bytes that there would be more, or less, with all of {@code needed} here, which are of one use, and none of another. */
    public long gain(List<? extends Part<?>> needed) {
        Part.Use use = needed.getFirst().purpose();
        long leaving = parts.stream().filter(part -> part.isHere() && part.purpose() != use).mapToLong(Part::bytes).sum();
        return leaving - needed.stream().filter(part -> !part.isHere()).mapToLong(Part::bytes).sum();
    }
}
