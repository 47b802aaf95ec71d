/** Tensors, devices and the operators a diffusion model is made of. */
module io.invadapter.kernels {
    requires transitive io.invadapter.base;

    exports io.invadapter.kernels;

    uses io.invadapter.kernels.DeviceProvider;
}
