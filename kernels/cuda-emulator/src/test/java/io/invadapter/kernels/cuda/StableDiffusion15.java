package io.invadapter.kernels.cuda;

import io.invadapter.engine.adapter.eaa.EmbeddedAttentionAdapter;
import io.invadapter.engine.adapter.eaa.IdentityInfluence;
import io.invadapter.engine.model.StableDiffusion;
import io.invadapter.engine.Latents;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.sampling.Ddim;
import io.invadapter.engine.sampling.Diffusion;
import io.invadapter.engine.sampling.NoiseSchedule;
import io.invadapter.engine.sampling.Sampling;
import io.invadapter.engine.sampling.SeededNoise;
import io.invadapter.engine.sampling.Walk;
import io.invadapter.engine.text.ClipTextConfig;
import io.invadapter.engine.text.ClipTextEncoder;
import io.invadapter.engine.text.ClipTokenizer;
import io.invadapter.engine.unet.UNet;
import io.invadapter.engine.unet.UNetConfig;
import io.invadapter.engine.vae.Vae;
import io.invadapter.engine.vae.VaeConfig;
import io.invadapter.kernels.Device;
import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightSource;
import io.invadapter.weights.WeightTensor;
import io.invadapter.weights.json.Json;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;

/**
 * The UNet of Stable Diffusion 1.5 with an adapter for 512 x 512 pixels, for devices that only count: all weights are zero, and all the
 * same zeros. What stands around the UNet is as small as it can be.
 */
final class StableDiffusion15 implements AutoCloseable {
    static final int LATENT_SIZE = 64;
    static final int TOKENS = 77;
    static final int CONTEXT_CHANNELS = 768;
    /** L' of Inv-Adapter. */
    private static final int AGGREGATION_TOKENS = 256;
    private static final UNetConfig UNET = new UNetConfig(4, 4, LATENT_SIZE, LATENT_SIZE, new int[] {320, 640, 1280, 1280},
            new int[] {2, 2, 2, 2}, new boolean[] {true, true, true, false}, new boolean[] {false, true, true, true},
            new int[] {8, 8, 8, 8}, new int[] {1, 1, 1, 1}, CONTEXT_CHANNELS, 32, 1e-5f, true, 0);
    private static final ClipTextConfig TEXT_ENCODER =
            new ClipTextConfig(8, 16, 1, 1, TOKENS, 49408, Device.Activation.QUICK_GELU, 1e-5f);
    private static final VaeConfig VAE = new VaeConfig(4, new int[] {8, 8, 8, 8}, 1, 4, 0.18215, true, true, true, false);
    private static final String SCHEDULE = """
            {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "set_alpha_to_one": false}""";

    private final EmbeddedAttentionAdapter adapter;
    private final Diffusion diffusion;

    /** Any tensor that is asked for. */
    private static final class Zeros implements WeightSource {
        /** The most in one tensor: a convolution of 2560 channels to 1280. */
        private static final MemorySegment ALL = Arena.ofAuto().allocate(2L * 1280 * 2560 * 9, 64);

        private final Map<String, long[]> shapes = new LinkedHashMap<>();

        @Override
        public Set<String> names() {
            return shapes.keySet();
        }

        @Override
        public WeightTensor tensor(String name, long... shape) {
            shapes.put(name, shape);
            return tensor(name);
        }

        @Override
        public WeightTensor tensor(String name) {
            long[] shape = shapes.get(name);
            if (shape == null) {
                throw new WeightException("nobody has said what shape '" + name + "' has");
            }
            long values = LongStream.of(shape).reduce(1, (a, b) -> a * b);
            return WeightTensor.of(name, DType.F16, values * 2 <= ALL.byteSize() ? ALL.asSlice(0, values * 2)
                    : MemorySegment.ofArray(new short[Math.toIntExact(values)]), shape);
        }

        @Override
        public Map<String, String> metadata() {
            return Map.of();
        }

        @Override
        public String description() {
            return "zeros";
        }

        @Override
        public void close() {
            // The zeros are everybody's.
        }
    }

    StableDiffusion15(Device device) {
        UNet unet = UNet.load(UNET, new Zeros(), device);
        StableDiffusion model = new StableDiffusion(device, ClipTokenizer.bundled(),
                ClipTextEncoder.load(TEXT_ENCODER, new Zeros(), device), unet, Vae.load(VAE, new Zeros(), device),
                new NoiseSchedule(Json.parse(SCHEDULE), notice -> { }), new Ddim());
        Zeros weights = new Zeros();
        unet.attentionLayers().forEach((site, layer) -> {
            weights.tensor(site.name() + ".eaa.to_k.weight", layer.channels(), layer.channels());
            weights.tensor(site.name() + ".eaa.to_v.weight", layer.channels(), layer.channels());
            if (site.isCross()) {
                int tokens = layer.tokens(LATENT_SIZE, LATENT_SIZE);
                weights.tensor(site.name() + ".eaa.aggregate.weight", Math.min(AGGREGATION_TOKENS, tokens), tokens);
            }
        });
        adapter = EmbeddedAttentionAdapter.load(weights, unet, device);
        diffusion = model.diffusion();
    }

    /**
     * One picture with guidance, in three steps: the first runs the operators, the second records them, the last replays that.
     *
     * @param face whether there is one, whose noise is known and whose keys and values are not
     * @param step called before the first step and after each
     */
    void generate(boolean face, Runnable step) {
        float[] text = new float[TOKENS * CONTEXT_CHANNELS];
        Diffusion.Guidance guidance = new Diffusion.Guidance(text, text, 7.5);
        Latents noise = SeededNoise.latents(1, 4, LATENT_SIZE, LATENT_SIZE);
        Walk walk = diffusion.ddim(3);
        Sampling plain = new Sampling(noise, List.of(guidance), walk);
        Diffusion.StepListener listener = (done, all, latents) -> step.run();
        step.run();
        diffusion.generate(face ? plain.withInfluences(IdentityInfluence.of(adapter, diffusion.beside(noise, List.of(text), walk, listener), 0.6,
                IdentityLayers.BOTH, IdentityRows.BOTH)) : plain, listener);
    }

    @Override
    public void close() {
        diffusion.close();
    }
}
