package io.invadapter.kernels.cuda;

import io.invadapter.kernels.Device;

/** Rows to choose from. */
record CudaTable(CudaPacker packer, int rows, int channels, long address) implements CudaWeights, Device.Table {
}
