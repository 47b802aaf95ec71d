/**
 * An emulator of NVIDIA GPUs at the level of PTX, and the checker that a GPU is not.
 *
 * <p>It parses PTX text as nvcc writes it and runs grids of CTAs of warps on the CPU. Use:
 *
 * <pre>{@code
 * PtxModule module = PtxModule.parse(text);
 * Kernel kernel = module.kernel("add");
 * try (Emulator gpu = new Emulator()) {
 *     long x = gpu.allocate(bytes);
 *     gpu.write(x, MemorySegment.ofArray(values), bytes);
 *     Counters counters = gpu.launch(kernel, new Dim(blocks), new Dim(256), 0, parameters);
 *     gpu.read(MemorySegment.ofArray(values), x, bytes);
 * }
 * }</pre>
 *
 * The parameters are one little-endian block, each at the place that {@link
 * io.invadapter.kernels.cuda.ptx.Kernel#parameterLayout()} gives.
 *
 * <h2>What it models</h2>
 * <ul>
 *   <li>All register types; integer, f32, f64, f16, bf16 and tf32 arithmetic with exact results and every rounding mode.
 *       The approximations ({@code ex2.approx} and the like) are computed in double and rounded once, so they are closer
 *       to the truth than a GPU's; {@code .ftz} is honoured.
 *   <li>A program counter for each thread. Lanes at one place run together, the group that is furthest behind first.
 *       Instructions with a member mask wait for their members; matrix instructions and aligned barriers wait for the
 *       whole warp.
 *   <li>Global, constant, shared, local and parameter memory, generic addresses, atomics, named barriers.
 *   <li>{@code cp.async}: the bytes arrive when the thread that issued the copy waits for its group, never sooner.
 *   <li>{@code ldmatrix}, {@code stmatrix}, {@code movmatrix} and {@code mma.sync} m16n8k4/k8/k16 for f16, bf16 and tf32
 *       in the fragment layouts of the PTX ISA. As on a tensor core, eight products and what was there before are added
 *       up and cut to f32, toward zero (an A100 takes eight, an H100 sixteen; each cuts some of the addends' last bits, too).
 * </ul>
 *
 * <h2>What it does not</h2>
 * Calls of device functions, textures, clusters, {@code mbarrier}, bulk copies, wgmma and everything newer; carries
 * ({@code add.cc}); directed rounding in f64. An instruction that it does not know makes {@link
 * io.invadapter.kernels.cuda.ptx.PtxModule#parse} fail with the line and the text. CTAs are not all resident at once: one
 * that spins until a later CTA does something runs into the loop limit. Clocks stand still.
 *
 * <h2>What it checks</h2>
 * Each mistake is a {@link io.invadapter.kernels.cuda.ptx.PtxFault} with kernel, instruction, line, CTA and thread; its
 * {@link io.invadapter.kernels.cuda.ptx.PtxFault.Kind} says which:
 * <ul>
 *   <li>accesses outside a live allocation or array, misaligned ones, ones after {@code free}, reads of bytes never
 *       written (global, shared, local);
 *   <li>races in shared memory: two accesses to a byte by different threads, one of them a write, with no barrier in
 *       between, between warps and, without {@code bar.warp.sync}, within a warp. Lanes may store the same value to one
 *       place with one instruction. The order of the warps' execution does not matter for what is found;
 *   <li>any access to the target of a {@code cp.async} that was not waited for;
 *   <li>global memory that one CTA stores to and another one stores to or reads in the same launch, and {@code ld.global.nc}
 *       of what the launch wrote. A CTA that uses atomics or fences is trusted to read in order. Reads are checked
 *       against the stores that were executed before them, so a race of a read with a later store goes unseen;
 *   <li>barriers that not all threads reach (those that have exited included), barriers and matrix instructions in
 *       divergent code, shuffles from lanes that do not take part, lanes outside their own member mask, waits for ever,
 *       endless loops.
 * </ul>
 * Not checked: races between threads of one CTA in global memory, registers that were never written.
 *
 * <h2>What it counts</h2>
 * See {@link io.invadapter.kernels.cuda.ptx.Counters}, with every number for each instruction too. Shared memory has 32
 * banks of 4 bytes; 8-byte accesses go in two phases, 16-byte ones (and {@code ldmatrix}, {@code cp.async}) in four, each
 * with its own conflicts.
 */
package io.invadapter.kernels.cuda.ptx;

