package io.invadapter.kernels.contract;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;

/** A row-major float64 array: what the reference computes with. */
record Values(double[] data, int... shape) {

    Values {
        if (data.length != product(shape)) {
            throw new IllegalArgumentException(data.length + " values");
        }
    }

    /** Zeros. */
    Values(int... shape) {
        this(new double[product(shape)], shape);
    }

    static Values of(float[] values, int... shape) {
        return new Values(IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray(), shape);
    }

    /** Normally distributed, each exact in float32. */
    static Values random(Random random, int... shape) {
        return new Values(shape).map(v -> (float) random.nextGaussian());
    }

    /** Normally distributed, each so coarse that every type holds it exactly. */
    static Values coarse(Random random, int... shape) {
        return new Values(shape).map(v -> Math.clamp(Math.round(random.nextGaussian() * 64), -255, 255) / 64.0);
    }

    private static int product(int[] shape) {
        return IntStream.of(shape).reduce(1, Math::multiplyExact);
    }

    int size(int axis) {
        return shape[axis];
    }

    int batch() {
        return shape[0];
    }

    int channels() {
        return shape[shape.length - 1];
    }

    /** Product of the axes between batch and channels. */
    int positions() {
        return data.length / batch() / channels();
    }

    Values map(DoubleUnaryOperator operator) {
        return new Values(IntStream.range(0, data.length).mapToDouble(i -> operator.applyAsDouble(data[i])).toArray(), shape);
    }

    Values times(double factor) {
        return map(v -> v * factor);
    }

    /** What is left of the values in memory of {@code type}. */
    Values rounded(DataType type) {
        return of(host(type).toFloats(), shape);
    }

    Values reshape(int... newShape) {
        return new Values(data, newShape);
    }

    /** Channels {@code from} to {@code from + count} of every position, copied. */
    Values columns(int from, int count) {
        int[] newShape = shape.clone();
        newShape[shape.length - 1] = count;
        Values result = new Values(newShape);
        for (int i = 0; i < result.data.length; i++) {
            result.data[i] = data[i / count * channels() + from + i % count];
        }
        return result;
    }

    /** Batch rows {@code from} to {@code from + count}, copied. */
    Values rows(int from, int count) {
        int[] newShape = shape.clone();
        newShape[0] = count;
        int row = data.length / batch();
        return new Values(Arrays.copyOfRange(data, from * row, (from + count) * row), newShape);
    }

    float[] floats() {
        float[] floats = new float[data.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) data[i];
        }
        return floats;
    }

    /** As a weight file would hold them. */
    HostTensor host(DataType type) {
        MemorySegment bytes = MemorySegment.ofArray(new byte[data.length * type.bytes()]);
        Floats.write(floats(), type, bytes);
        return new HostTensor(type, shape, bytes);
    }

    double rms() {
        double sum = 0;
        for (double v : data) {
            sum += v * v;
        }
        return Math.sqrt(sum / data.length);
    }
}
