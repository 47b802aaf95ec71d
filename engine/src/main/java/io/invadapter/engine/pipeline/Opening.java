package io.invadapter.engine.pipeline;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.identity.Fingerprint;
import io.invadapter.engine.identity.Identities;
import io.invadapter.engine.identity.IdentityCache;
import io.invadapter.engine.making.LoraShelf;
import io.invadapter.engine.making.OpenedFiles;
import io.invadapter.engine.making.Workshop;
import io.invadapter.engine.model.Loading;
import io.invadapter.engine.model.Loras;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.model.UsedWeights;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.nn.Room;
import io.invadapter.engine.request.IdentityBudget;
import io.invadapter.engine.request.ProgressListener;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.kernels.Device;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import io.invadapter.weights.safetensors.Safetensors;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Takes a model, its adapter, LoRAs and textual inversions to a device.
 *
 * @param said where they are; does not change meanwhile, and may be told of another pipeline's afterwards
 */
record Opening(Pipeline.Builder said) {
    /** On a device that prefers large batches; more take memory and save little. */
    private static final int LARGE_BATCH = 8;

    /** Files are opened before the device, which is closed when anything fails. */
    Workshop open(Supplier<Device> devices) {
        // LoRAs are opened again with every change of them.
        Set<String> told = new HashSet<>();
        Consumer<String> notices = said.notices;
        Consumer<String> ofLoras = notice -> {
            if (told.add(notice)) {
                notices.accept(notice);
            }
        };
        try (ModelFiles files = ModelFiles.open(said.model); Loras own = Loras.open(said.loras, ofLoras)) {
            Device device = devices.get();
            try {
                return open(files, own, ofLoras, device);
            } catch (RuntimeException | Error e) {
                device.close();
                throw e;
            }
        }
    }

    private Workshop open(ModelFiles files, Loras own, Consumer<String> ofLoras, Device device) {
        IdentityBudget given = said.identityBudget;
        String weights = given == null ? "" : weights(files, own, given);
        LoraShelf shelf = new LoraShelf(said.model, files, own, weights, ofLoras);
        Room room = new Room(device, said.notices);
        StableDiffusion loaded = StableDiffusion.load(files, own, said.embeddings, room, shelf, device, said.notices, said.loading);
        Diffusion diffusion = loaded.diffusion();
        Part<EmbeddedAttentionAdapter> loadedAdapter = said.adapter == null ? null : adapter(loaded, room, diffusion);
        IdentityBudget budget = given == null ? IdentityBudget.defaultFor(device) : given;
        Identities identities = new Identities(loaded, loadedAdapter, diffusion, new IdentityCache(device, budget, said.notices),
                shelf::fingerprint);
        int together = said.picturesPerBatch != 0 ? said.picturesPerBatch : device.prefersLargeBatches() ? LARGE_BATCH : 1;
        return new Workshop(shelf, room, loaded, loadedAdapter, diffusion, identities, together, said.notices);
    }

    /** Only identities that outlive the process must know which weights they belong to. */
    private String weights(ModelFiles files, Loras own, IdentityBudget budget) {
        if (said.adapter == null || budget.folder() == null) {
            return "";
        }
        try (WeightSource source = Safetensors.open(said.adapter)) {
            return new Fingerprint().add(files).add(source).add(own).value();
        }
    }

    private Part<EmbeddedAttentionAdapter> adapter(StableDiffusion loaded, Room room, Diffusion diffusion) {
        Path path = said.adapter;
        try (UsedWeights source = new UsedWeights(Safetensors.open(path), new Loading(ProgressListener.NONE, 0))) {
            OpenedFiles file = new OpenedFiles(source.paths());
            EmbeddedAttentionAdapter adapter = room.make(Part.Use.STEPS,
                    () -> EmbeddedAttentionAdapter.load(source, loaded.unet(), loaded.device()));
            source.reportOthers(said.notices);
            Part<EmbeddedAttentionAdapter> part = Part.in(room, Part.Use.STEPS, source.usedElements(), adapter, () -> {
                file.requireUnchanged();
                try (WeightSource again = Safetensors.open(path)) {
                    return EmbeddedAttentionAdapter.load(again, loaded.unet(), loaded.device());
                }
            });
            // It is recorded with the UNet.
            part.beforeLeaving(diffusion::trim);
            return part;
        }
    }
}
