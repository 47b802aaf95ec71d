/**
 * NVIDIA's libraries on this machine: where they lie, which there are, and what to do about those that are missing.
 * {@link io.invadapter.kernels.cuda.libraries.CudaLibraries} is the way in.
 */
package io.invadapter.kernels.cuda.libraries;

