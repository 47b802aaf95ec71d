package io.invadapter.kernels.cuda.ptx;

/**
 * One launch of a kernel, the same for all workers.
 *
 * @param words the register file of a warp at its start: constants in their rows, zero elsewhere
 * @param longs the same for 64-bit registers, with the addresses of the module's variables
 * @param checked whether races are looked for and accesses counted
 */
record Launch(Kernel kernel, Dim grid, Dim block, int dynamicSharedBytes, byte[] parameters, GlobalMemory global,
              int[] words, long[] longs, long loopLimit, boolean checked) { }
