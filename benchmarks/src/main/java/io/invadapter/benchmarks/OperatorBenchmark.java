package io.invadapter.benchmarks;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.Devices;
import io.invadapter.kernels.HostTensor;
import io.invadapter.kernels.Precision;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import io.invadapter.weights.model.SyntheticWeights;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Every operator of the UNet of Stable Diffusion 1.5 at 512 x 512, two rows, at each level. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
public class OperatorBenchmark {
    private static final int ROWS = 2;
    private static final int HEADS = 8;
    private static final int GROUPS = 32;
    private static final int TEXT_TOKENS = 77;
    private static final int AGGREGATED_TOKENS = 256;

    @Param("auto")
    public String deviceName;
    @Param({"fp32", "bf16"})
    public String precision;
    /** 0: 320 channels at 64 x 64; 1: 640 at 32 x 32; 2: 1280 at 16 x 16. */
    @Param({"0", "1", "2"})
    public int level;

    /** Smaller for the test. */
    int channels = 320;
    int size = 64;

    private Device device;
    private Tensor map;
    private Tensor queries;
    private Tensor queryKeyValue;
    private Tensor text;
    private Source selfIdentity;
    private Source crossIdentity;
    private Device.Linear linear;
    private Device.GatedLinear gated;
    private Device.Convolution convolution;
    private Device.Norm norm;
    private Device.TokenMixer mixer;
    private Tensor marker;

    @Setup
    public void open() {
        device = Devices.open(deviceName, Precision.valueOf(precision.toUpperCase(Locale.ROOT)), System.err::println);
        int c = channels << level;
        int side = size >> level;
        int tokens = side * side;
        int aggregated = Math.min(AGGREGATED_TOKENS, tokens);
        map = activations(ROWS, side, side, c);
        queries = map.tokens();
        queryKeyValue = activations(ROWS, tokens, 3 * c);
        text = activations(ROWS, TEXT_TOKENS, 2 * c);
        Tensor people = device.keep(device.upload(new int[ROWS]));
        Tensor scales = device.keep(device.upload(DataType.FLOAT32, new float[] {0, 1}, ROWS));
        Tensor own = activations(1, tokens, 2 * c);
        Tensor ownAggregated = activations(1, aggregated, 2 * c);
        selfIdentity = new Source(own.columns(0, c), own.columns(c, c), people, scales);
        crossIdentity = new Source(ownAggregated.columns(0, c), ownAggregated.columns(c, c), people, scales);
        linear = device.packer().linear(weights(c, c), weights(c));
        gated = device.packer().gatedLinear(weights(8 * c, c), weights(8 * c), null);
        convolution = device.packer().convolution(weights(c, c, 3, 3), weights(c), 1, Device.Padding.same(1), device.precision().type());
        norm = device.packer().norm(weights(c), weights(c));
        mixer = device.packer().tokenMixer(weights(aggregated, tokens));
        marker = device.keep(device.upload(DataType.FLOAT32, new float[1], 1));
    }

    private static HostTensor weights(int... shape) {
        long[] extents = new long[shape.length];
        for (int i = 0; i < shape.length; i++) {
            extents[i] = shape[i];
        }
        return HostTensor.of(SyntheticWeights.onDemand().tensor("values", extents).toFloats(), shape);
    }

    private Tensor activations(int... shape) {
        return device.keep(device.upload(device.precision().type(), weights(shape).toFloats(), shape));
    }

    /** A device works in the order of the calls: reading anything waits for all before it. */
    private void run(Supplier<Tensor> operator) {
        try (var scope = device.scope()) {
            operator.get();
            device.download(marker);
        }
    }

    @Benchmark
    public void linear() {
        run(() -> device.linear(queries, linear, Activation.NONE, queries));
    }

    @Benchmark
    public void gatedLinear() {
        run(() -> device.gatedLinear(queries, gated));
    }

    @Benchmark
    public void mixTokens() {
        run(() -> device.mixTokens(queries, mixer));
    }

    @Benchmark
    public void convolution() {
        run(() -> device.conv2d(map, convolution, null, map));
    }

    @Benchmark
    public void groupNorm() {
        run(() -> device.groupNorm(map, norm, GROUPS, 1e-5f, true));
    }

    @Benchmark
    public void layerNorm() {
        run(() -> device.layerNorm(queries, norm, 1e-5f));
    }

    @Benchmark
    public void selfAttention() {
        run(this::selfAttentionOver);
    }

    @Benchmark
    public void selfAttentionWithIdentity() {
        run(() -> selfAttentionOver(selfIdentity));
    }

    private Tensor selfAttentionOver(Source... others) {
        int c = map.channels();
        return attention(queryKeyValue.columns(0, c), Source.of(queryKeyValue.columns(c, c), queryKeyValue.columns(2 * c, c)), others);
    }

    @Benchmark
    public void crossAttention() {
        run(this::crossAttentionOver);
    }

    @Benchmark
    public void crossAttentionWithIdentity() {
        run(() -> crossAttentionOver(crossIdentity));
    }

    private Tensor crossAttentionOver(Source... others) {
        int c = map.channels();
        return attention(queries, Source.of(text.columns(0, c), text.columns(c, c)), others);
    }

    private Tensor attention(Tensor query, Source own, Source... others) {
        return device.attention(query, Stream.concat(Stream.of(own), Stream.of(others)).toList(), HEADS, false);
    }

    @Benchmark
    public void concat() {
        run(() -> device.concat(-1, map, map));
    }

    @Benchmark
    public void upsample2x() {
        run(() -> device.upsample2x(map, 2 * map.size(1), 2 * map.size(2)));
    }

    @TearDown
    public void close() {
        device.close();
    }
}
