package io.invadapter.engine.nn;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * A network of a model that is on the device while it is used: between two uses it may leave, to make {@link Room} for others or
 * because its weights have changed, and is then made again by the next. Used on the device's thread, {@link #network()} on any.
 */
public final class Part<N extends Network> implements AutoCloseable {

    /** What a network is used for: those of one use are on the device together. */
    public enum Use {
        /** Encoding texts. */
        TEXTS,
        /** The steps from noise to latents and back. */
        STEPS,
        /** Pictures to latents and back. */
        PICTURES
    }

    private final Room room;
    private final Use use;
    private final long bytes;
    private final Supplier<N> making;
    private final List<Runnable> beforeLeaving = new ArrayList<>();
    private volatile N network;
    private boolean here = true;

    private Part(Room room, Use use, long bytes, N network, Supplier<N> making) {
        this.room = room;
        this.use = use;
        this.bytes = bytes;
        this.making = making;
        this.network = Objects.requireNonNull(network, "network");
    }

    /** One that stays. */
    public static <N extends Network> Part<N> of(N network) {
        return new Part<>(null, null, 0, network, null);
    }

    /**
     * @param room    that it shares with the others of its model
     * @param weights how many numbers it consists of
     * @param making  the same network again, of the weights that there are then
     */
    public static <N extends Network> Part<N> in(Room room, Use use, long weights, N network, Supplier<N> making) {
        Part<N> part = new Part<>(Objects.requireNonNull(room, "room"), use, room.bytes(weights), network, Objects.requireNonNull(making, "making"));
        room.add(part);
        return part;
    }

    /**
     * The network on the device. While memory is short those of another use leave, so what is got here is used before any of them is
     * asked for.
     *
     * @throws io.invadapter.weights.WeightException              when it had left, and its files are gone or have changed
     * @throws io.invadapter.kernels.OutOfDeviceMemoryException when it had left, and there is no room for it
     */
    public N use() {
        if (room != null) {
            room.makeFor(use);
        }
        if (!here) {
            network = making.get();
            here = true;
        }
        return network;
    }

    /** For its numbers: its weights may have left the device. */
    public N network() {
        return network;
    }

    /** Run before its weights are freed: closes what was recorded with them. */
    public void beforeLeaving(Runnable closing) {
        beforeLeaving.add(closing);
    }

    /** Frees its weights until it is used next. */
    public void leave() {
        if (making == null) {
            throw new IllegalStateException("this network stays: there is nothing to make it of again");
        }
        close();
    }

    boolean isHere() {
        return here;
    }

    Use purpose() {
        return use;
    }

    /** Of its weights, about. */
    long bytes() {
        return bytes;
    }

    @Override
    public void close() {
        if (here) {
            here = false;
            beforeLeaving.forEach(Runnable::run);
            network.close();
        }
    }
}
