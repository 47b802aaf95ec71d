package io.invadapter.engine.unet;

import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Network;
import io.invadapter.engine.nn.ResnetBlock;
import io.invadapter.engine.nn.TimeProjections;
import io.invadapter.engine.nn.Weights;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.WeightSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The network of Stable Diffusion 1.x and 2.x that predicts noise, velocity or picture (Rombach et al. 2022; diffusers'
 * {@code UNet2DConditionModel}): down, middle and up blocks of ResNet blocks and spatial transformers, joined by skip connections.
 */
public final class UNet implements Network {
    private final UNetConfig config;
    private final Device device;
    private final Packer packer;
    private final Device.Linear time1;
    private final Device.Linear time2;
    /** {@code null} where the network takes no guidance. */
    private final Device.Linear guidanceProjection;
    private final TimeProjections timeProjections;
    private final Device.Convolution convIn;
    private final List<DownBlock> downBlocks = new ArrayList<>();
    private final ResnetBlock middle1;
    private final SpatialTransformer middleAttention;
    private final ResnetBlock middle2;
    private final List<UpBlock> upBlocks = new ArrayList<>();
    /** All of them, in their order. */
    private final List<SpatialTransformer> transformers = new ArrayList<>();
    private final Device.Norm normOut;
    private final Device.Convolution convOut;

    /**
     * Where an attention layer stands.
     *
     * @param channels D of its tokens
     * @param level    how often the latents were halved before it
     */
    public record AttentionLayer(int channels, int level) {
        /** Tokens of the layer for latents of that size. */
        public int tokens(int height, int width) {
            for (int i = 0; i < level; i++) {
                height = (height + 1) / 2;
                width = (width + 1) / 2;
            }
            return height * width;
        }
    }

    private record DownBlock(List<ResnetBlock> resnets, List<SpatialTransformer> attentions, Device.Convolution downsample) {
    }

    private record UpBlock(List<ResnetBlock> resnets, List<SpatialTransformer> attentions, Device.Convolution upsample) {
    }

    /**
     * Packs the weights for the device.
     *
     * @param source tensors under their diffusers names
     * @throws io.invadapter.weights.WeightException when one is missing or has another shape than {@code config} asks for
     */
    public static UNet load(UNetConfig config, WeightSource source, Device device) {
        return Weights.load(source, device, w -> new UNet(config, w));
    }

    private UNet(UNetConfig config, Weights w) {
        this.config = config;
        this.device = w.device();
        this.packer = w.packer();
        int[] channels = config.blockChannels();
        int levels = channels.length;
        int timeChannels = config.timeChannels();
        time1 = w.linear("time_embedding.linear_1", channels[0], timeChannels);
        time2 = w.linear("time_embedding.linear_2", timeChannels, timeChannels);
        guidanceProjection = config.guidanceChannels() == 0 ? null
                : w.in("time_embedding").fused(config.guidanceChannels(), channels[0], "cond_proj");
        timeProjections = new TimeProjections(timeChannels);
        convIn = w.convolution("conv_in", config.inChannels(), channels[0], 3);

        Deque<Integer> skips = new ArrayDeque<>(List.of(channels[0]));
        int c = channels[0];
        for (int level = 0; level < levels; level++) {
            Weights block = w.in("down_blocks").in("" + level);
            List<ResnetBlock> resnets = new ArrayList<>();
            List<SpatialTransformer> attentions = new ArrayList<>();
            for (int i = 0; i < config.layersPerBlock()[level]; i++) {
                resnets.add(resnet(block.in("resnets").in("" + i), c, channels[level]));
                c = channels[level];
                if (config.downAttention()[level]) {
                    attentions.add(transformer(block.in("attentions").in("" + i), level));
                }
                skips.push(c);
            }
            Device.Convolution downsample = null;
            if (level < levels - 1) {
                downsample = block.convolution("downsamplers.0.conv", c, c, 3, 2, Device.Padding.same(1), activations());
                skips.push(c);
            }
            downBlocks.add(new DownBlock(resnets, attentions, downsample));
        }

        Weights middle = w.in("mid_block");
        middle1 = resnet(middle.in("resnets.0"), c, c);
        middleAttention = transformer(middle.in("attentions.0"), levels - 1);
        middle2 = resnet(middle.in("resnets.1"), c, c);

        for (int up = 0; up < levels; up++) {
            int level = levels - 1 - up;
            Weights block = w.in("up_blocks").in("" + up);
            List<ResnetBlock> resnets = new ArrayList<>();
            List<SpatialTransformer> attentions = new ArrayList<>();
            for (int i = 0; i < config.layersPerBlock()[level] + 1; i++) {
                resnets.add(resnet(block.in("resnets").in("" + i), c + skips.pop(), channels[level]));
                c = channels[level];
                if (config.upAttention()[up]) {
                    attentions.add(transformer(block.in("attentions").in("" + i), level));
                }
            }
            Device.Convolution upsample = level == 0 ? null : block.convolution("upsamplers.0.conv", c, c, 3);
            upBlocks.add(new UpBlock(resnets, attentions, upsample));
        }
        timeProjections.pack(packer);
        normOut = w.norm("conv_norm_out", c);
        convOut = w.convolution("conv_out", c, config.outChannels(), 3, 1, Device.Padding.same(1), DataType.FLOAT32);
    }

    private ResnetBlock resnet(Weights w, int in, int out) {
        return new ResnetBlock(w, in, out, timeProjections, config.groups(), config.normEpsilon());
    }

    private SpatialTransformer transformer(Weights w, int level) {
        SpatialTransformer transformer = new SpatialTransformer(w, level, config.blockChannels()[level], config.heads()[level],
                config.transformerDepth()[level], config.contextChannels(), config.groups());
        transformers.add(transformer);
        return transformer;
    }

    private DataType activations() {
        return device.precision().type();
    }

    public UNetConfig config() {
        return config;
    }

    /** Every attention layer. */
    public Map<Site, AttentionLayer> attentionLayers() {
        Map<Site, AttentionLayer> layers = new LinkedHashMap<>();
        transformers.forEach(transformer -> transformer.addLayers(layers));
        return layers;
    }

    /** {@link #predictNoise(Latents, int, float[], float[][], AttentionHook)} without guidance as an input. */
    public Latents predictNoise(Latents latents, int timestep, float[][] contexts, AttentionHook hook) {
        return predictNoise(latents, timestep, null, contexts, hook);
    }

    /**
     * One pass from the host and back.
     *
     * @param latents  any batch
     * @param guidance its {@link GuidanceEmbedding}, or {@code null}
     * @param contexts the text of each row, {@code [S, contextChannels]}
     */
    public Latents predictNoise(Latents latents, double timestep, float[] guidance, float[][] contexts, AttentionHook hook) {
        try (Scope scope = device.scope()) {
            Tensor time = times(1);
            embed(device.upload(DataType.FLOAT32, new float[] {(float) timestep}, 1),
                    guidance == null ? null : device.upload(activations(), guidance, 1, guidance.length), time);
            TextFeatures text = textFeatures(contexts.length, tokens(contexts[0]));
            project(List.of(contexts), text);
            return Latents.download(device, forward(new UNetInput(latents.upload(device, activations()), time, text, List.of(hook))));
        }
    }

    /** Memory for what so many timesteps add in the ResNet blocks, in the current scope: a row for each. */
    public Tensor times(int timesteps) {
        return device.allocate(activations(), timesteps, timeProjections.channels());
    }

    /**
     * Makes what timesteps add in each ResNet block: a projection of the {@code silu} of their embedding.
     *
     * @param timesteps float32 {@code [N]}
     * @param guidance  the {@link GuidanceEmbedding} at each, {@code [N, guidanceChannels]} in the device's precision; {@code null}: the
     *                  network takes none, or is asked without
     * @param times     N rows of {@link #times}
     */
    public void embed(Tensor timesteps, Tensor guidance, Tensor times) {
        try (Scope scope = device.scope()) {
            Tensor t = device.timestepEmbedding(timesteps, config.blockChannels()[0], config.flipSinToCos(), config.frequencyShift());
            if (guidance != null) {
                t = device.linear(guidance, guidanceProjection, Activation.NONE, t);
            }
            t = device.linear(t, time1, Activation.SILU, null);
            timeProjections.forward(device, device.linear(t, time2, Activation.SILU, null), times);
        }
    }

    /** Of a text {@code [S, contextChannels]}: S. */
    public int tokens(float[] text) {
        return text.length / config.contextChannels();
    }

    /**
     * Memory for texts and their keys and values, in the current scope.
     *
     * @param rows   of the pass, a text each
     * @param tokens of each text
     */
    public TextFeatures textFeatures(int rows, int tokens) {
        Map<Site, Tensor> layers = new LinkedHashMap<>();
        transformers.forEach(transformer -> transformer.addTexts(rows, tokens, layers));
        return new TextFeatures(device.allocate(activations(), rows, tokens, config.contextChannels()), layers);
    }

    /**
     * Makes the keys and values of texts for every cross attention.
     *
     * @param texts of each row, {@code [S, contextChannels]}
     */
    public void project(List<float[]> texts, TextFeatures into) {
        device.write(into.contexts(), joined(texts.toArray(float[][]::new)));
        transformers.forEach(transformer -> transformer.project(into));
    }

    /** The texts of a batch, all of one length, below one another. */
    public static float[] joined(float[][] contexts) {
        float[] all = new float[contexts.length * contexts[0].length];
        for (int i = 0; i < contexts.length; i++) {
            System.arraycopy(contexts[i], 0, all, i * contexts[0].length, contexts[0].length);
        }
        return all;
    }

    /**
     * What {@link #forward} takes of rows that lie in several tensors.
     *
     * @param latents  float32 {@code [.., h, w, out]}
     * @param canvases for a network that is trained for inpainting what it gets behind the latents of each row,
     *                 {@code [.., h, w, in - out]} in the device's precision; else empty
     */
    public Tensor input(List<Tensor> latents, List<Tensor> canvases) {
        Tensor noisy = device.toActivations(latents.toArray(Tensor[]::new));
        return config.inpainting() ? device.concat(-1, noisy, device.concat(0, canvases.toArray(Tensor[]::new))) : noisy;
    }

    /**
     * One pass.
     *
     * @return what the network predicts, float32 {@code [B, h, w, out]}, in the current scope
     */
    public Tensor forward(UNetInput input) {
        Tensor time = input.time();
        try (Scope scope = device.scope()) {
            Tensor h = device.conv2d(input.latents(), convIn, null, null);
            Deque<Tensor> skips = new ArrayDeque<>(List.of(h));
            for (DownBlock block : downBlocks) {
                for (int i = 0; i < block.resnets.size(); i++) {
                    h = block.resnets.get(i).forward(h, time);
                    if (!block.attentions.isEmpty()) {
                        h = block.attentions.get(i).forward(h, input);
                    }
                    skips.push(h);
                }
                if (block.downsample != null) {
                    h = device.conv2d(h, block.downsample, null, null);
                    skips.push(h);
                }
            }

            h = middle1.forward(h, time);
            h = middleAttention.forward(h, input);
            h = middle2.forward(h, time);

            for (UpBlock block : upBlocks) {
                for (int i = 0; i < block.resnets.size(); i++) {
                    h = block.resnets.get(i).forward(h, skips.pop(), time);
                    if (!block.attentions.isEmpty()) {
                        h = block.attentions.get(i).forward(h, input);
                    }
                }
                if (block.upsample != null) {
                    h = doubled(h, skips.peek(), block.upsample);
                }
            }
            h = device.groupNorm(h, normOut, config.groups(), config.normEpsilon(), true);
            return scope.keep(device.conv2d(h, convOut, null, null));
        }
    }

    /** Bytes that {@link #forward} holds at least at once: its maps, not what the device needs to compute them. */
    public long leastBytes(int rows, int height, int width) {
        long most = 0;
        Deque<int[]> sizes = new ArrayDeque<>();
        int h = height;
        int w = width;
        // In the scope of a pass every layer's result stays to its end; beside them there is what one layer needs meanwhile.
        long all = (long) h * w * convIn.outChannels();
        for (DownBlock block : downBlocks) {
            for (ResnetBlock resnet : block.resnets) {
                long in = (long) h * w * resnet.norm1().channels();
                long out = (long) h * w * resnet.norm2().channels();
                most = Math.max(most, all + Math.max(in + out, in == out ? 2 * out : 3 * out));
                all += out;
                if (!block.attentions.isEmpty()) {
                    most = Math.max(most, all + out * SpatialTransformer.LEAST_MAPS);
                    all += out;
                }
            }
            sizes.push(new int[] {h, w});
            if (block.downsample != null) {
                h = (h + 1) / 2;
                w = (w + 1) / 2;
                all += (long) h * w * block.downsample.outChannels();
            }
        }
        // Two ResNet blocks and a transformer.
        all += 3L * h * w * middle1.norm2().channels();
        for (UpBlock block : upBlocks) {
            int[] size = sizes.pop();
            for (ResnetBlock resnet : block.resnets) {
                long in = (long) size[0] * size[1] * resnet.norm1().channels();
                long out = (long) size[0] * size[1] * resnet.norm2().channels();
                most = Math.max(most, all + in + Math.max(in + out, 3 * out));
                all += out;
                if (!block.attentions.isEmpty()) {
                    most = Math.max(most, all + out * SpatialTransformer.LEAST_MAPS);
                    all += out;
                }
            }
            if (block.upsample != null) {
                long out = (long) sizes.peek()[0] * sizes.peek()[1] * block.upsample.outChannels();
                most = Math.max(most, all + 2 * out);
                all += out;
            }
        }
        return Math.max(most, all + (long) height * width * normOut.channels()) * rows * activations().bytes();
    }

    /** Twice the size, or one less where the way down had halved an odd size. */
    private Tensor doubled(Tensor h, Tensor skip, Device.Convolution convolution) {
        try (Scope scope = device.scope()) {
            return scope.keep(device.conv2d(device.upsample2x(h, skip.size(1), skip.size(2)), convolution, null, null));
        }
    }

    /** Frees the weights. What was recorded with them is closed before. */
    @Override
    public void close() {
        packer.close();
    }
}
