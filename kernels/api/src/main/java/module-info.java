/** Tensors, devices and the operators a diffusion model is made of. Nothing is {@code null} that does not say so. */
module io.invadapter.kernels {
    requires transitive io.invadapter.base;

    exports io.invadapter.kernels;

    uses io.invadapter.kernels.DeviceProvider;
}
