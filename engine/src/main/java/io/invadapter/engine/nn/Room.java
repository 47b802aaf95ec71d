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

    /** @param notices told once that parts are loaded again and again */
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
            tight(() -> makeFor(use));
            return making.get();
        }
    }

    public boolean isTight() {
        return tight;
    }

    void makeFor(Part.Use use) {
        if (!tight) {
            return;
        }
        List<Part<?>> leaving = parts.stream().filter(part -> part.isHere() && part.purpose() != use).toList();
        if (!leaving.isEmpty()) {
            leaving.forEach(Part::leave);
            device.trim();
            if (!told) {
                told = true;
                notices.accept(device.name() + ": there is no memory for all of the model beside what is asked for, so each of its parts "
                        + "is loaded again for each request that is as large; a smaller picture or a lower precision is faster");
            }
        }
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
