package io.invadapter.engine.sampling;

import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Part;
import io.invadapter.engine.vae.PictureLatents;
import io.invadapter.engine.vae.Vae;
import io.invadapter.kernels.Device;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

/** Latents of pictures of which nothing is known, for a network that is trained for inpainting: those of the sizes used last. */
final class EmptyPictures {
    private static final int MOST = 6;

    private final Device device;
    private final Part<Vae> vae;
    /** By their height and width. */
    private final Map<List<Integer>, Latents> latents = new LinkedHashMap<>(16, 0.75f, true);

    EmptyPictures(Device device, Part<Vae> vae) {
        this.device = device;
        this.vae = vae;
    }

    /**
     * That all of so many pictures is to be repainted, over grey.
     *
     * @param wanted whether somebody still waits for them
     * @throws java.util.concurrent.CancellationException when nobody does
     */
    Inpainting of(int pictures, int height, int width, BooleanSupplier wanted) {
        Latents empty = latents.get(List.of(height, width));
        if (empty == null) {
            empty = Wanted.get(device, wanted, () -> PictureLatents.empty(height, width, vae.use()));
            latents.put(List.of(height, width), empty);
            if (latents.size() > MOST) {
                latents.remove(latents.keySet().iterator().next());
            }
        }
        return Inpainting.everything(empty, pictures);
    }
}
