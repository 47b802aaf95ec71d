package io.invadapter.engine.making;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.identity.Identities;
import io.invadapter.engine.model.StableDiffusion;
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
    private final EmbeddedAttentionAdapter adapter;
    /** Written on the device's thread; its numbers, which LoRAs do not change, are read on any. */
    private volatile StableDiffusion model;
    private Diffusion diffusion;
    private Identities identities;
    private final LatentPreview preview;
    private final int picturesPerBatch;
    private final Consumer<String> notices;

    /**
     * @param shelf   knows which LoRAs lie over {@code model}
     * @param adapter {@code null} for a model that makes pictures of nobody
     */
    public Workshop(LoraShelf shelf, StableDiffusion model, EmbeddedAttentionAdapter adapter, Diffusion diffusion, Identities identities,
            int picturesPerBatch, Consumer<String> notices) {
        this.shelf = shelf;
        this.model = model;
        this.adapter = adapter;
        this.diffusion = diffusion;
        this.identities = identities;
        this.preview = new LatentPreview(model.vae());
        this.picturesPerBatch = picturesPerBatch;
        this.notices = notices;
    }

    public StableDiffusion model() {
        return model;
    }

    /** {@code null} for a model that makes pictures of nobody. */
    public EmbeddedAttentionAdapter adapter() {
        return adapter;
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

    /** Those that lie over the model whatever the request. */
    public List<LoraUse> ownLoras() {
        return shelf.own();
    }

    /**
     * Lays a request's LoRAs over the model, in place of those of the one before.
     *
     * @throws io.invadapter.weights.WeightException when one cannot be read or was made for another model; the model stays as it is
     */
    public void layOver(List<LoraUse> loras) {
        shelf.change(loras, (weights, fingerprint) -> {
            // Recorded with the weights that go.
            diffusion.trim();
            model = model.with(weights);
            diffusion = model.diffusion();
            identities = identities.with(model, diffusion, fingerprint);
        });
    }

    /** @param work that can be done again: once more, when memory runs out, with all of it for itself */
    public void withRoom(Runnable work) {
        try {
            work.run();
        } catch (OutOfDeviceMemoryException e) {
            // What is kept for later requests is worth less than this one.
            diffusion.trim();
            identities.leaveDevice();
            device().trim();
            work.run();
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
