package io.invadapter.engine.making;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.identity.Identities;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.nn.Room;
import io.invadapter.engine.request.LoraUse;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.vae.LatentPreview;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.util.List;
import java.util.function.Consumer;

/** What a pipeline makes pictures with. Used on the device's thread, which its close ends. */
public final class Workshop implements AutoCloseable {
    private final LoraShelf shelf;
    private final Room room;
    private final StableDiffusion model;
    private final Part<EmbeddedAttentionAdapter> adapter;
    private final Diffusion diffusion;
    private final Identities identities;
    private final LatentPreview preview;
    private final int picturesPerBatch;
    private final Consumer<String> notices;
    private boolean toldOfSmallerBatches;

    /**
     * @param shelf   that parts of {@code model} are made of again
     * @param room    of all parts
     * @param adapter {@code null} for a model that makes pictures of nobody
     */
    public Workshop(LoraShelf shelf, Room room, StableDiffusion model, Part<EmbeddedAttentionAdapter> adapter, Diffusion diffusion,
            Identities identities, int picturesPerBatch, Consumer<String> notices) {
        this.shelf = shelf;
        this.room = room;
        this.model = model;
        this.adapter = adapter;
        this.diffusion = diffusion;
        this.identities = identities;
        this.preview = new LatentPreview(model.vaePart());
        this.picturesPerBatch = picturesPerBatch;
        this.notices = notices;
    }

    /** Its numbers, and those of its networks, can be read on any thread. */
    public StableDiffusion model() {
        return model;
    }

    /** For its numbers, on any thread; {@code null} for a model that makes pictures of nobody. */
    public EmbeddedAttentionAdapter adapter() {
        return adapter == null ? null : adapter.network();
    }

    public Device device() {
        return model.device();
    }

    Diffusion diffusion() {
        return diffusion;
    }

    Identities identities() {
        return identities;
    }

    LatentPreview preview() {
        return preview;
    }

    /** Pictures that go through the network together, at most. */
    public int picturesPerBatch() {
        return picturesPerBatch;
    }

    /** For whoever runs the program, in one sentence. */
    void notice(String sentence) {
        notices.accept(sentence);
    }

    /** Said once, whatever the size. */
    void noticeSmallerBatches(String sentence) {
        if (!toldOfSmallerBatches) {
            toldOfSmallerBatches = true;
            notice(sentence);
        }
    }

    /** Those that lie over the model whatever the request. */
    public List<LoraUse> ownLoras() {
        return shelf.own();
    }

    /**
     * Lays a request's LoRAs over the model, in place of those of the one before. The parts that they change are loaded when they are
     * used next.
     *
     * @throws io.invadapter.weights.WeightException when one cannot be read or was made for another model; the model stays as it is
     */
    public void layOver(List<LoraUse> loras) {
        model.leave(shelf.layOver(loras));
    }

    // --- memory -----------------------------------------------------------------------------------------------------

    /** @param work that can be done again: once more, when memory runs out, without what is kept for later requests */
    void withRoom(Runnable work) {
        try {
            work.run();
        } catch (OutOfDeviceMemoryException e) {
            keepNothing();
            identities.offDevice(work);
        }
    }

    /**
     * As {@link #withRoom}, and when that does not help, or cannot, with the memory of those parts of the model that are not in use.
     *
     * @param needed bytes of the work's tensors, at least
     */
    public void withWholeRoom(long needed, Runnable work) {
        if (!hasRoom(needed)) {
            keepNothing();
        }
        if (!hasRoom(needed)) {
            tight(work);
            return;
        }
        try {
            withRoom(work);
        } catch (OutOfDeviceMemoryException e) {
            keepNothing();
            tight(work);
        }
    }

    private void tight(Runnable work) {
        identities.offDevice(() -> room.tight(work));
    }

    /** Whether that many bytes can be had beside all of the model. */
    boolean hasRoom(long needed) {
        return needed + room.away() <= device().reachableMemory();
    }

    /** Whether the parts of the model make room for each other. */
    boolean isTight() {
        return room.isTight();
    }

    /** What the steps take. @param identity whether they are those of pictures of people */
    List<Part<?>> steps(boolean identity) {
        return identity ? List.of(model.unetPart(), adapter) : List.of(model.unetPart());
    }

    /** Frees what is kept for later requests: it is worth less than the one under way. */
    void keepNothing() {
        diffusion.trim();
        identities.leaveDevice();
        device().trim();
    }

    /**
     * Finds out before all else what the work itself would: that there is not enough memory for it, whatever makes room.
     *
     * @param what   is made
     * @param needed bytes of its tensors, at least
     * @param parts  of the model that it takes together
     */
    void requireRoom(String what, long needed, List<? extends Part<?>> parts) {
        if (needed > device().reachableMemory()) {
            keepNothing();
        }
        long gain = room.gain(parts);
        long reachable = device().reachableMemory();
        if (needed - gain > reachable) {
            throw new OutOfDeviceMemoryException("out of memory: " + what + " needs more than " + (needed >> 20) + " MiB, and "
                    + device().name() + " has " + (Math.max(0, reachable + gain) >> 20) + " MiB left");
        }
    }

    /** Saves what is kept of faces when there is a folder for it, and frees the device's memory. */
    @Override
    public void close() {
        try {
            identities.close();
            diffusion.close();
            if (adapter != null) {
                adapter.close();
            }
            model.close();
        } finally {
            device().close();
        }
    }
}
