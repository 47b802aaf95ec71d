package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import io.invadapter.kernels.cuda.ptx.Emulator;
import java.util.List;

/**
 * A whole GPU without one: driver, cuBLAS and cuDNN on one emulated device, with failures to order.
 *
 * <pre>{@code
 * EmulatedGpu gpu = new EmulatedGpu();
 * new CudaDevice(gpu.driver(), gpu.blas(), gpu.dnn(), ...);
 * gpu.faults().failAllocation(3);
 * }</pre>
 */
public final class EmulatedGpu {
    private final EmulatorDriver emulated;
    private final Faults faults = new Faults();
    private final CudaDriver driver;
    private final EmulatedBlas emulatedBlas;
    private final EmulatedDnn emulatedDnn;
    private final Blas blas;
    private final Dnn dnn;

    /** A new device that checks everything that can be checked. */
    public EmulatedGpu() {
        this(new Emulator());
    }

    /** A new device that looks for no races between threads and counts no accesses: for whole models, which take long. */
    public static EmulatedGpu fast() {
        return new EmulatedGpu(Emulator.unchecked());
    }

    /**
     * A new device with any amount of memory that does nothing of what it is given and counts it: for whole models in their real
     * sizes.
     */
    public static EmulatedGpu counting() {
        EmulatedGpu gpu = new EmulatedGpu(Emulator.blank());
        gpu.totalMemory(80L << 30);
        return gpu;
    }

    private EmulatedGpu(Emulator emulator) {
        emulated = new EmulatorDriver(emulator, true);
        emulatedBlas = new EmulatedBlas(emulated);
        emulatedDnn = new EmulatedDnn(emulated);
        driver = faults.around(emulated);
        blas = faults.around(emulatedBlas);
        dnn = faults.around(emulatedDnn);
    }

    /** What a device works with; closing it ends the emulator. */
    public CudaDriver driver() {
        return driver;
    }

    public Blas blas() {
        return blas;
    }

    public Dnn dnn() {
        return dnn;
    }

    /** Both together. */
    public CudaLibraries libraries() {
        return new CudaLibraries(blas, dnn);
    }

    /** What fails, and when. */
    public Faults faults() {
        return faults;
    }

    /** Pretends to have that much memory. */
    public void totalMemory(long bytes) {
        emulated.totalMemory(bytes);
    }

    /** Pretends to have that many multiprocessors, on each of which a block may have that much shared memory. */
    void chip(int multiprocessors, int sharedBytesPerBlock) {
        emulated.chip(multiprocessors, sharedBytesPerBlock);
    }

    /** Device memory that is allocated now. */
    public long usedMemory() {
        return emulated.usedMemory();
    }

    /** Page-locked buffers, streams, events and graphs that are open now. */
    public int openHandles() {
        return emulated.openHandles();
    }

    /** Kernels of ours that have run so far. */
    public long launched() {
        return emulated.launched();
    }

    /** The names of all kernels, products, convolutions and copies that a counting device was to start so far, in order. */
    public List<String> started() {
        return emulated.started();
    }

    /** From now on kernels and copies pretend to take that long. */
    public void kernelsTake(long microseconds) {
        emulated.kernelsTake(microseconds);
    }

    /** From now on a product of cublasLt pretends to take that many times what one of cuBLAS does. */
    public void fusedTakes(double times) {
        emulatedBlas.fusedTakes(times);
    }

    /** cuDNN's own side: what it proposes and what was prepared. */
    public EmulatedDnn emulatedDnn() {
        return emulatedDnn;
    }
}
