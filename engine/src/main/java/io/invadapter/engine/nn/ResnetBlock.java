package io.invadapter.engine.nn;

import io.invadapter.kernels.Device;
import io.invadapter.kernels.Scope;
import io.invadapter.kernels.Tensor;

/**
 * {@code x + conv2(silu(norm2(conv1(silu(norm1(x))) + time)))}, with a 1x1 convolution on {@code x} where the channels
 * change. Used by the UNet and, without the time, by the VAE.
 */
public final class ResnetBlock {
    private final Device device;
    private final int groups;
    private final float epsilon;
    private final Device.Norm norm1;
    private final Device.Convolution conv1;
    private final TimeProjections.Part time;
    private final Device.Norm norm2;
    private final Device.Convolution conv2;
    private final Device.Linear shortcut;

    /** @param projections what the time adds, or {@code null} for nothing */
    public ResnetBlock(Weights w, int in, int out, TimeProjections projections, int groups, float epsilon) {
        this.device = w.device();
        this.groups = groups;
        this.epsilon = epsilon;
        this.norm1 = w.norm("norm1", in);
        if (projections == null) {
            this.conv1 = w.convolution("conv1", in, out, 3);
            this.time = null;
        } else {
            this.conv1 = w.convolutionWithoutBias("conv1", in, out, 3);
            this.time = projections.add(w, out, w.tensor("conv1.bias", out));
        }
        this.norm2 = w.norm("norm2", out);
        this.conv2 = w.convolution("conv2", out, out, 3);
        this.shortcut = in == out ? null : w.linear("conv_shortcut", in, out);
    }

    /**
     * @param x    {@code [B, H, W, in]}
     * @param projected a row of what {@link TimeProjections#forward} wrote, or one for each row of x, or {@code null}
     */
    public Tensor forward(Tensor x, Tensor projected) {
        try (Scope scope = device.scope()) {
            return scope.keep(forward(x, device.groupNorm(x, norm1, groups, epsilon, true), projected, scope));
        }
    }

    /** The same on two maps side by side. */
    public Tensor forward(Tensor x, Tensor skip, Tensor projected) {
        try (Scope scope = device.scope()) {
            Device.Joined both = device.joinedGroupNorm(x, skip, norm1, groups, epsilon, true);
            return scope.keep(forward(both.map(), both.normed(), projected, scope));
        }
    }

    private Tensor forward(Tensor x, Tensor normed, Tensor projected, Scope scope) {
        Tensor h = inner(normed, projected);
        scope.release(normed);
        Tensor normed2 = device.groupNorm(h, norm2, groups, epsilon, true);
        scope.release(h);
        return outer(normed2, x);
    }

    // --- in parts, for whoever computes the norms otherwise: outer(norm2(inner(norm1(x), ..)), x) --------------------

    public Device.Norm norm1() {
        return norm1;
    }

    public Device.Norm norm2() {
        return norm2;
    }

    /** {@code conv1(normed) + time}, in the current scope. */
    public Tensor inner(Tensor normed, Tensor projected) {
        return device.conv2d(normed, conv1, time == null ? null : time.of(device, projected), null);
    }

    /** {@code x + conv2(normed)}, in the current scope. */
    public Tensor outer(Tensor normed, Tensor x) {
        Tensor residual = shortcut == null ? x : device.linear(x, shortcut, Device.Activation.NONE, null);
        return device.conv2d(normed, conv2, null, residual);
    }
}
