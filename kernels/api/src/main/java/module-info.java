/** Tensors, devices and the operators a diffusion model is made of. Depends on nothing. */
module io.invadapter.kernels {
    exports io.invadapter.kernels;

    uses io.invadapter.kernels.DeviceProvider;
}
