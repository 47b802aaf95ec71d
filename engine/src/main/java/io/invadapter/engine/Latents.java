package io.invadapter.engine;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Latents on the host, in the order the reference implementation keeps them.
 *
 * @param values {@code [batch, channels, height, width]}, row-major
 */
public record Latents(float[] values, int batch, int channels, int height, int width) {

    public Latents {
        Objects.requireNonNull(values, "values");
        if (values.length != batch * channels * height * width) {
            throw new IllegalArgumentException(values.length + " values for latents of " + batch + " x " + channels + " x "
                    + height + " x " + width);
        }
    }

    /** Row {@code index} of the batch. */
    public Latents row(int index) {
        int size = values.length / batch;
        return new Latents(Arrays.copyOfRange(values, index * size, (index + 1) * size), 1, channels, height, width);
    }

    /** All rows of {@code parts}, which agree in everything else, below one another. */
    public static Latents stack(List<Latents> parts) {
        Latents first = parts.getFirst();
        int rows = parts.stream().mapToInt(Latents::batch).sum();
        float[] all = new float[first.values.length / first.batch * rows];
        int start = 0;
        for (Latents part : parts) {
            System.arraycopy(part.values, 0, all, start, part.values.length);
            start += part.values.length;
        }
        return new Latents(all, rows, first.channels, first.height, first.width);
    }

    /** The channels of {@code a}, then those of {@code b}, which agrees in everything else. */
    public static Latents joined(Latents a, Latents b) {
        int ofA = a.values.length / a.batch;
        int ofB = b.values.length / a.batch;
        float[] all = new float[a.values.length + b.values.length];
        for (int row = 0; row < a.batch; row++) {
            System.arraycopy(a.values, row * ofA, all, row * (ofA + ofB), ofA);
            System.arraycopy(b.values, row * ofB, all, row * (ofA + ofB) + ofA, ofB);
        }
        return new Latents(all, a.batch, a.channels + b.channels, a.height, a.width);
    }

    /** These clean latents with noise: {@code sqrt(alpha) x + sqrt(1 - alpha) noise}. */
    public Latents noised(Latents noise, double alpha) {
        float[] sums = times(Math.sqrt(alpha)).values;
        float[] scaled = noise.times(Math.sqrt(1 - alpha)).values;
        for (int i = 0; i < sums.length; i++) {
            sums[i] += scaled[i];
        }
        return new Latents(sums, batch, channels, height, width);
    }

    /** All values times {@code factor}. */
    public Latents times(double factor) {
        float[] scaled = new float[values.length];
        for (int i = 0; i < scaled.length; i++) {
            scaled[i] = (float) (values[i] * factor);
        }
        return new Latents(scaled, batch, channels, height, width);
    }

    /** On the device, {@code [B, h, w, C]}. */
    public Tensor upload(Device device, DataType type) {
        return device.upload(type, channelsLast(), batch, height, width, channels);
    }

    /** The values in the order of the device, {@code [batch, height, width, channels]}. */
    public float[] channelsLast() {
        float[] nhwc = new float[values.length];
        int positions = height * width;
        for (int b = 0; b < batch; b++) {
            for (int c = 0; c < channels; c++) {
                for (int p = 0; p < positions; p++) {
                    nhwc[(b * positions + p) * channels + c] = values[(b * channels + c) * positions + p];
                }
            }
        }
        return nhwc;
    }

    /** From the device, {@code [B, h, w, C]}. */
    public static Latents download(Device device, Tensor tensor) {
        float[] nhwc = device.download(tensor);
        int batch = tensor.batch();
        int channels = tensor.channels();
        int positions = tensor.positions();
        float[] values = new float[nhwc.length];
        for (int b = 0; b < batch; b++) {
            for (int p = 0; p < positions; p++) {
                for (int c = 0; c < channels; c++) {
                    values[(b * channels + c) * positions + p] = nhwc[(b * positions + p) * channels + c];
                }
            }
        }
        return new Latents(values, batch, channels, tensor.size(1), tensor.size(2));
    }
}
