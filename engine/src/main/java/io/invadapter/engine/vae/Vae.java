package io.invadapter.engine.vae;

import io.invadapter.engine.Latents;
import io.invadapter.engine.nn.Network;
import io.invadapter.engine.nn.ResnetBlock;
import io.invadapter.engine.nn.Weights;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Packer;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Pictures to latents and back (Rombach et al. 2022; diffusers' {@code AutoencoderKL}). */
public final class Vae implements Network {
    private static final float NORM_EPSILON = 1e-6f;

    private static final int IMAGE_CHANNELS = 3;

    private final Device device;
    private final Packer packer;
    private final VaeConfig config;
    private final int groups;

    /** The finest first: each with what leads to the next, and the first with what leads from the picture. */
    private final List<Level> encoderLevels = new ArrayList<>();
    private final Middle encoderMiddle;
    private final Device.Norm encoderNorm;
    private final Device.Convolution encoderOut;
    private final Device.Convolution quantization;

    private final Device.Convolution postQuantization;
    private final Device.Convolution decoderIn;
    private final Middle decoderMiddle;
    /** The coarsest first: each with what leads from the one before, and the last with what leads to the picture. */
    private final List<Level> decoderLevels = new ArrayList<>();

    /**
     * The encoder's result: a normal distribution for each latent.
     *
     * @param mean   unscaled
     * @param logvar logarithm of the variance, clamped to [-30, 20]
     */
    public record Distribution(Latents mean, Latents logvar) {
        public Distribution {
            Objects.requireNonNull(mean, "mean");
            Objects.requireNonNull(logvar, "logvar");
        }
    }

    /**
     * Packs the weights for the device; for float32 where it computes in float16, which the configuration says it would overflow.
     *
     * @param source tensors under their diffusers names
     * @throws io.invadapter.weights.WeightException when one is missing or has another shape than {@code config} asks for
     */
    public static Vae load(VaeConfig config, WeightSource source, Device device) {
        boolean upcast = config.forceUpcast() && device.precision() == Precision.FP16;
        return Weights.load(source, upcast ? device.as(Precision.FP32) : device, w -> new Vae(config, w));
    }

    private Vae(VaeConfig config, Weights w) {
        this.config = config;
        this.device = w.device();
        this.packer = w.packer();
        this.groups = config.groups();
        int[] channels = config.channels();
        int latentChannels = config.latentChannels();
        int last = channels.length - 1;
        DataType type = device.precision().type();

        Weights encoder = w.in("encoder");
        int c = channels[0];
        for (int i = 0; i <= last; i++) {
            Level level = level();
            if (i == 0) {
                level.convolution(encoder.convolution("conv_in", IMAGE_CHANNELS, c, 3));
            }
            Weights block = encoder.in("down_blocks").in("" + i);
            resnets(level, block, c, channels[i], config.layers());
            c = channels[i];
            if (i < last) {
                // Padded on the right and below only, as the original implementation does.
                level.halving(block.convolution("downsamplers.0.conv", c, c, 3, 2, new Device.Padding(0, 0, 1, 1), type));
            }
            encoderLevels.add(level);
        }
        encoderMiddle = new Middle(encoder.in("mid_block"), c);
        encoderNorm = encoder.norm("conv_norm_out", c);
        encoderOut = encoder.convolution("conv_out", c, 2 * latentChannels, 3);
        quantization = config.quantization()
                ? w.convolution("quant_conv", 2 * latentChannels, 2 * latentChannels, 1, 1, Device.Padding.NONE, DataType.FLOAT32)
                : null;

        postQuantization = config.postQuantization()
                ? w.convolution("post_quant_conv", latentChannels, latentChannels, 1) : null;
        Weights decoder = w.in("decoder");
        decoderIn = decoder.convolution("conv_in", latentChannels, c, 3);
        decoderMiddle = new Middle(decoder.in("mid_block"), c);
        for (int i = 0; i <= last; i++) {
            Level level = level();
            if (i > 0) {
                level.doubling(decoder.in("up_blocks").in("" + (i - 1)).convolution("upsamplers.0.conv", c, c, 3));
            }
            int out = channels[last - i];
            resnets(level, decoder.in("up_blocks").in("" + i), c, out, config.layers() + 1);
            c = out;
            decoderLevels.add(level);
        }
        decoderLevels.getLast().norm(decoder.norm("conv_norm_out", c))
                .convolution(decoder.convolution("conv_out", c, IMAGE_CHANNELS, 3, 1, Device.Padding.same(1), DataType.FLOAT32));
    }

    private Level level() {
        return new Level(device, groups, NORM_EPSILON);
    }

    private void resnets(Level level, Weights block, int in, int out, int count) {
        for (int i = 0; i < count; i++) {
            level.resnet(new ResnetBlock(block.in("resnets").in("" + i), i == 0 ? in : out, out, null, groups, NORM_EPSILON));
        }
    }

    /** What the latents are multiplied by before the UNet sees them. */
    public double scalingFactor() {
        return config.scalingFactor();
    }

    public int latentChannels() {
        return config.latentChannels();
    }

    /** Pixels for each latent, in each direction. */
    public int factor() {
        return 1 << config.channels().length - 1;
    }

    /** @param image {@code [3, height, width]} in [-1, 1]; both extents multiples of {@link #factor()} */
    public Distribution encode(float[] image, int height, int width) {
        try (Scope scope = device.scope()) {
            Tensor h = new Latents(image, 1, IMAGE_CHANNELS, height, width).upload(device, device.precision().type());
            for (Level level : encoderLevels) {
                h = level.forward(scope, h);
            }
            h = encoderMiddle.forward(h);
            h = device.groupNorm(h, encoderNorm, groups, NORM_EPSILON, true);
            h = device.conv2d(h, encoderOut, null, null);
            if (quantization != null) {
                h = device.conv2d(h, quantization, null, null);
            }
            float[] moments = Latents.download(device, h).values();
            int half = moments.length / 2;
            float[] mean = java.util.Arrays.copyOf(moments, half);
            float[] logvar = new float[half];
            for (int i = 0; i < half; i++) {
                logvar[i] = Math.clamp(moments[half + i], -30f, 20f);
            }
            int latentHeight = h.size(1);
            int latentWidth = h.size(2);
            return new Distribution(new Latents(mean, 1, latentChannels(), latentHeight, latentWidth),
                    new Latents(logvar, 1, latentChannels(), latentHeight, latentWidth));
        }
    }

    /**
     * Bytes that {@link #decode} holds at least at once, in strips where that takes less: of its maps, not what the device needs to
     * compute them.
     */
    public long leastBytes(int width, int height) {
        int[] channels = config.channels();
        int last = channels.length - 1;
        // In the attention: its input, the normed one, three projections, the result.
        long most = config.middleAttention()
                ? 6L * channels[last] * (width / factor()) * (height / factor()) * device.precision().type().bytes() : 0;
        int in = channels[last];
        for (int i = 0; i <= last; i++) {
            int shrunk = 1 << last - Math.max(0, i - 1);
            most = Math.max(most, decoderLevels.get(i).leastBytes(height / shrunk, width / shrunk, in));
            in = channels[last - i];
        }
        return most;
    }

    /** @param latents unscaled, of any batch; @return {@code [B, 3, H, W]}, about [-1, 1] */
    public float[] decode(Latents latents) {
        int pixels = IMAGE_CHANNELS * latents.height() * latents.width() * factor() * factor();
        float[] pictures = new float[Math.multiplyExact(latents.batch(), pixels)];
        // One at a time: a picture's feature maps are the largest tensors there are.
        for (int i = 0; i < latents.batch(); i++) {
            System.arraycopy(decodeOne(latents.row(i)), 0, pictures, i * pixels, pixels);
        }
        return pictures;
    }

    private float[] decodeOne(Latents latents) {
        try (Scope scope = device.scope()) {
            Tensor h = latents.upload(device, device.precision().type());
            if (postQuantization != null) {
                h = device.conv2d(h, postQuantization, null, null);
            }
            h = device.conv2d(h, decoderIn, null, null);
            h = decoderMiddle.forward(h);
            for (Level level : decoderLevels.subList(0, decoderLevels.size() - 1)) {
                h = level.forward(scope, h);
            }
            int width = latents.width() * factor();
            int positions = latents.height() * factor() * width;
            float[] picture = new float[IMAGE_CHANNELS * positions];
            decoderLevels.getLast().forward(scope, h, (from, rows) -> {
                float[] part = Latents.download(device, rows).values();
                for (int c = 0; c < IMAGE_CHANNELS; c++) {
                    System.arraycopy(part, c * rows.positions(), picture, c * positions + from * width, rows.positions());
                }
            });
            return picture;
        }
    }

    /** Frees the weights. What was recorded with them is closed before. */
    @Override
    public void close() {
        packer.close();
    }

    /** ResNet block, self attention unless the model has none, ResNet block. */
    private final class Middle {
        private final ResnetBlock resnet1;
        private final Attention attention;
        private final ResnetBlock resnet2;

        Middle(Weights w, int width) {
            this.resnet1 = new ResnetBlock(w.in("resnets.0"), width, width, null, groups, NORM_EPSILON);
            this.attention = config.middleAttention() ? new Attention(w.in("attentions.0"), width) : null;
            this.resnet2 = new ResnetBlock(w.in("resnets.1"), width, width, null, groups, NORM_EPSILON);
        }

        Tensor forward(Tensor x) {
            try (Scope scope = device.scope()) {
                Tensor h = resnet1.forward(x, null);
                return scope.keep(resnet2.forward(attention == null ? h : attention.forward(h), null));
            }
        }
    }

    /** {@code x + attention(norm x)} with one head. */
    private final class Attention {
        private final int width;
        private final Device.Norm norm;
        private final Device.Linear queryKeyValue;
        private final Device.Linear out;

        Attention(Weights w, int width) {
            this.width = width;
            this.norm = w.norm("group_norm", width);
            this.queryKeyValue = w.fusedWithBias(width, width, "to_q", "to_k", "to_v");
            this.out = w.linear("to_out.0", width, width);
        }

        /** In the current scope. */
        Tensor forward(Tensor h) {
            Tensor tokens = device.groupNorm(h, norm, groups, NORM_EPSILON, false).tokens();
            Tensor qkv = device.linear(tokens, queryKeyValue, Activation.NONE, null);
            Tensor attended = device.attention(qkv.columns(0, width), List.of(Source.of(qkv.columns(width, width),
                    qkv.columns(2 * width, width))), 1, false);
            return device.linear(attended, out, Activation.NONE, h.tokens()).map(h.size(1), h.size(2));
        }
    }
}
