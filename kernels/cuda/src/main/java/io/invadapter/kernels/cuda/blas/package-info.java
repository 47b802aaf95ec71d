/** Matrix products on the GPU: {@link io.invadapter.kernels.cuda.blas.Blas}, and cuBLAS behind it. */
package io.invadapter.kernels.cuda.blas;

