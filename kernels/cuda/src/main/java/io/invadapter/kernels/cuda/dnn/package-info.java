/** Convolutions on the GPU: {@link io.invadapter.kernels.cuda.dnn.Dnn}, and cuDNN behind it. */
package io.invadapter.kernels.cuda.dnn;

