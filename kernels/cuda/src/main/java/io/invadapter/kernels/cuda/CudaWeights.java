package io.invadapter.kernels.cuda;

/** Weights on the GPU. They are their packer's; addresses are of its memory. */
interface CudaWeights {
    CudaPacker packer();
}
