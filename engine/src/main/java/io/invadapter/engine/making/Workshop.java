package io.invadapter.engine.making;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.identity.Identities;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.vae.LatentPreview;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.util.function.Consumer;

/** What a pipeline makes pictures with. Used on the device's thread, which its close ends. */
public final class Workshop implements AutoCloseable {
    private final StableDiffusion model;
    private final EmbeddedAttentionAdapter adapter;
    private final Diffusion diffusion;
    private final Identities identities;
    private final LatentPreview preview;
    private final int picturesPerBatch;
    private final Consumer<String> notices;

    /** @param adapter {@code null} for a model that makes pictures of nobody */
    public Workshop(StableDiffusion model, EmbeddedAttentionAdapter adapter, Diffusion diffusion, Identities identities,
            int picturesPerBatch, Consumer<String> notices) {
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
