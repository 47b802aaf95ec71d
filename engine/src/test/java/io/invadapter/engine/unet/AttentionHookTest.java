package io.invadapter.engine.unet;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.bundledmodel.BundledModel;
import io.invadapter.engine.Latents;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.model.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What hooks see of the attention layers, and what the layers do with the sources that hooks add. */
class AttentionHookTest {
    private final Device device = Devices.open("cpu", Precision.FP32, notice -> { });
    private final StableDiffusion model = load();

    private StableDiffusion load() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            return StableDiffusion.load(files, device, notice -> { });
        }
    }

    @AfterEach
    void close() {
        model.close();
        device.close();
    }

    private float[] pass(AttentionHook hook) {
        float[] text = model.textEncoder().encode(model.tokenizer().encode("a happy person").ids());
        Latents noise = SeededNoise.latents(1, model.vae().latentChannels(), 8, 8);
        return model.unet().predictNoise(noise, 500, new float[][] {text}, hook).values();
    }

    private Tensor scale(float value) {
        return device.upload(DataType.FLOAT32, new float[] {value}, 1);
    }

    @Test
    void everyLayerIsNamedAsItsWeights() {
        try (ModelFiles files = ModelFiles.open(BundledModel.directory())) {
            WeightSource weights = files.unet();
            for (Site site : model.unet().attentionLayers().keySet()) {
                assertTrue(weights.names().contains(site.name() + ".to_q.weight"), site.name());
            }
            assertEquals(weights.names().stream().filter(name -> name.matches(".*\\.attn[12]\\.to_q\\.weight")).count(),
                    model.unet().attentionLayers().size());
        }
    }

    @Test
    void aHookSeesEveryLayerOnceWithItsOwnSource() {
        List<Site> seen = new ArrayList<>();
        pass((site, input, into) -> {
            seen.add(site);
            assertEquals(1, into.size());
            assertEquals(site.isCross() ? 77 : input.size(1), into.getFirst().keys().size(1), site.name());
        });
        assertEquals(List.copyOf(model.unet().attentionLayers().keySet()), seen);
    }

    @Test
    void whatCountsForNothingChangesNothing() {
        float[] expected = pass(AttentionHook.NONE);
        assertArrayEquals(expected, pass((site, input, into) -> {
            Source own = into.getFirst();
            into.add(new Source(own.keys(), own.values(), null, scale(0)));
            into.add(new Source(own.values(), own.keys(), device.upload(new int[1]), scale(0)));
        }));
    }

    /** Keys and values that are looked at in two ways, or in parts, give what they give with the sum of the weights. */
    @Test
    void sourcesAddUp() {
        float[] twice = pass((site, input, into) -> into.add(into.getFirst()));
        assertArrayEquals(twice, parts(0.5f, 0.75f, -0.25f), 1e-4f);
        assertArrayEquals(pass(AttentionHook.NONE), parts(0.75f, -1, 0.25f), 1e-4f);
        assertFalse(Arrays.equals(twice, pass(AttentionHook.NONE)));
    }

    /** A pass in which each layer looks at its own keys and values, and with these weights at them again. */
    private float[] parts(float... scales) {
        return pass((site, input, into) -> {
            Source own = into.getFirst();
            for (float scale : scales) {
                into.add(new Source(own.keys(), own.values(), null, scale(scale)));
            }
        });
    }

    @Test
    void layersOfAnIdentity() {
        for (Site site : model.unet().attentionLayers().keySet()) {
            assertTrue(IdentityLayers.BOTH.include(site));
            assertEquals(site.name().endsWith(".attn1"), IdentityLayers.SELF_ONLY.include(site));
            assertEquals(site.name().endsWith(".attn2"), IdentityLayers.CROSS_ONLY.include(site));
        }
    }
}
