/**
 * Choosing among the ways that NVIDIA's libraries have for one piece of work: each way is timed as it will be used, in a
 * replayed graph on a warm chip, and the choice is kept on disk.
 */
package io.invadapter.kernels.cuda.choice;

