package io.invadapter.kernels;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * Hands everything on to another device: for whoever wants to see or change some of it. Every operator comes by
 * {@link #compute}. Weights, scopes and recordings are the other device's own.
 */
public class ForwardingDevice implements Device {
    private final Device target;

    /** Closed together with this one. */
    public ForwardingDevice(Device target) {
        this.target = Objects.requireNonNull(target, "target");
    }

    /** The device that does the work. */
    protected final Device target() {
        return target;
    }

    /**
     * Every call of an operator.
     *
     * @param operator the method's name
     * @param work     hands the call on
     * @param operands tensors, weights and what holds tensors, in the order of the method's parameters; {@code null} where there is none
     * @return what the operator returns; {@code null} of one that returns nothing
     */
    protected <T> T compute(String operator, Supplier<T> work, Object... operands) {
        return work.get();
    }

    @Override
    public String name() {
        return target.name();
    }

    @Override
    public String description() {
        return target.description();
    }

    @Override
    public Precision precision() {
        return target.precision();
    }

    /** The other device's own for another precision: what it is given does not come by here. */
    @Override
    public Device as(Precision precision) {
        return precision == precision() ? this : target.as(precision);
    }

    // --- memory -----------------------------------------------------------------------------------------------------

    @Override
    public Scope scope() {
        return target.scope();
    }

    @Override
    public Tensor allocate(DataType type, int... shape) {
        return target.allocate(type, shape);
    }

    @Override
    public Tensor keep(Tensor tensor) {
        return target.keep(tensor);
    }

    @Override
    public void release(Tensor tensor) {
        target.release(tensor);
    }

    @Override
    public void trim() {
        target.trim();
    }

    @Override
    public Tensor upload(DataType type, float[] values, int... shape) {
        return target.upload(type, values, shape);
    }

    @Override
    public Tensor upload(int[] values) {
        return target.upload(values);
    }

    @Override
    public void write(Tensor tensor, float[] values) {
        target.write(tensor, values);
    }

    @Override
    public void write(Tensor tensor, int[] values) {
        target.write(tensor, values);
    }

    @Override
    public void write(Tensor tensor, MemorySegment bytes) {
        target.write(tensor, bytes);
    }

    @Override
    public float[] download(Tensor tensor) {
        return target.download(tensor);
    }

    @Override
    public void read(Tensor source, MemorySegment bytes) {
        target.read(source, bytes);
    }

    @Override
    public void copy(Tensor source, Tensor to) {
        target.copy(source, to);
    }

    @Override
    public long freeMemory() {
        return target.freeMemory();
    }

    @Override
    public long reachableMemory() {
        return target.reachableMemory();
    }

    @Override
    public long usedMemory() {
        return target.usedMemory();
    }

    // --- timing and repetition --------------------------------------------------------------------------------------

    @Override
    public Mark mark() {
        return target.mark();
    }

    @Override
    public Recording record(Runnable work) {
        return target.record(work);
    }

    @Override
    public void checkWhileComputing(Runnable check) {
        target.checkWhileComputing(check);
    }

    @Override
    public boolean prefersLargeBatches() {
        return target.prefersLargeBatches();
    }

    // --- weights ----------------------------------------------------------------------------------------------------

    @Override
    public Packer packer() {
        return target.packer();
    }

    // --- operators --------------------------------------------------------------------------------------------------

    @Override
    public Tensor linear(Tensor x, Linear weights, Activation activation, Tensor residual) {
        return compute("linear", () -> target.linear(x, weights, activation, residual), x, weights, residual);
    }

    @Override
    public void linearInto(Tensor x, Linear weights, Tensor result) {
        computeInPlace("linearInto", () -> target.linearInto(x, weights, result), x, weights, result);
    }

    @Override
    public Tensor gatedLinear(Tensor x, GatedLinear weights) {
        return compute("gatedLinear", () -> target.gatedLinear(x, weights), x, weights);
    }

    @Override
    public Tensor mixTokens(Tensor x, TokenMixer a) {
        return compute("mixTokens", () -> target.mixTokens(x, a), x, a);
    }

    @Override
    public Tensor conv2d(Tensor x, Convolution weights, Tensor shift, Tensor residual) {
        return compute("conv2d", () -> target.conv2d(x, weights, shift, residual), x, weights, shift, residual);
    }

    @Override
    public Tensor groupNorm(Tensor x, Norm weights, int groups, float epsilon, boolean silu) {
        return compute("groupNorm", () -> target.groupNorm(x, weights, groups, epsilon, silu), x, weights);
    }

    @Override
    public Tensor groupStatistics(Tensor x, int groups, float epsilon) {
        return compute("groupStatistics", () -> target.groupStatistics(x, groups, epsilon), x);
    }

    @Override
    public Tensor groupNorm(Tensor x, Norm weights, Tensor statistics, boolean silu) {
        return compute("groupNorm", () -> target.groupNorm(x, weights, statistics, silu), x, weights, statistics);
    }

    @Override
    public Joined joinedGroupNorm(Tensor a, Tensor b, Norm weights, int groups, float epsilon, boolean silu) {
        return compute("joinedGroupNorm", () -> target.joinedGroupNorm(a, b, weights, groups, epsilon, silu), a, b, weights);
    }

    @Override
    public Tensor layerNorm(Tensor x, Norm weights, float epsilon) {
        return compute("layerNorm", () -> target.layerNorm(x, weights, epsilon), x, weights);
    }

    @Override
    public Tensor attention(Tensor query, List<Source> sources, int heads, boolean causal) {
        return compute("attention", () -> target.attention(query, sources, heads, causal),
                Stream.concat(Stream.of(query), sources.stream()).toArray());
    }

    @Override
    public Tensor upsample2x(Tensor x, int height, int width) {
        return compute("upsample2x", () -> target.upsample2x(x, height, width), x);
    }

    @Override
    public Tensor add(Tensor a, Tensor b) {
        return compute("add", () -> target.add(a, b), a, b);
    }

    @Override
    public Tensor concat(int axis, Tensor... parts) {
        return compute("concat", () -> target.concat(axis, parts), (Object[]) parts);
    }

    @Override
    public Tensor timestepEmbedding(Tensor timesteps, int channels, boolean flipSinToCos, float frequencyShift) {
        return compute("timestepEmbedding", () -> target.timestepEmbedding(timesteps, channels, flipSinToCos, frequencyShift), timesteps);
    }

    @Override
    public Tensor embed(Table tokens, Table positions, int[][] ids) {
        return compute("embed", () -> target.embed(tokens, positions, ids), tokens, positions);
    }

    @Override
    public Tensor toActivations(Tensor... latents) {
        return compute("toActivations", () -> target.toActivations(latents), (Object[]) latents);
    }

    @Override
    public void combine(List<Tensor> targets, Tensor factors, Tensor... terms) {
        computeInPlace("combine", () -> target.combine(targets, factors, terms), targets, factors, terms);
    }

    @Override
    public void matchDeviation(Tensor prediction, Tensor reference, Tensor amounts) {
        computeInPlace("matchDeviation", () -> target.matchDeviation(prediction, reference, amounts), prediction, reference, amounts);
    }

    @Override
    public void blend(Tensor latents, Tensor other, Tensor mask) {
        computeInPlace("blend", () -> target.blend(latents, other, mask), latents, other, mask);
    }

    private void computeInPlace(String operator, Runnable work, Object... operands) {
        compute(operator, () -> {
            work.run();
            return null;
        }, operands);
    }

    @Override
    public void close() {
        target.close();
    }
}
