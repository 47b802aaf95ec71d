package io.invadapter.kernels.cuda;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;

/**
 * Failures of a GPU at moments that a test chooses: put around driver, cuBLAS and cuDNN, it counts their calls and lets some
 * fail. The n-th call is counted from the moment of asking, the next one being the first; each failure happens once.
 *
 * <p>A lost device behaves as {@link CudaDriver} says: every call throws one sentence, giving things back quietly succeeds (and
 * reaches what lies behind, so that leaks can still be counted).
 */
public final class Faults {
    private static final String LOSS = "CUDA_ERROR_ILLEGAL_ADDRESS";

    private long calls;
    private long allocations;
    private long launches;
    private long products;
    private long convolutions;
    private long failingAllocation;
    private long failingLaunch;
    private long failingProduct;
    private long failingConvolution;
    private long losingCall;
    private volatile String failingModule;
    private volatile boolean lost;

    /** Around a driver. */
    public CudaDriver around(CudaDriver driver) {
        return new FailingDriver(driver, this);
    }

    /** Around cuBLAS on a driver that these faults are around, too. */
    public Blas around(Blas blas) {
        return new FailingBlas(blas, this);
    }

    /** Around cuDNN on a driver that these faults are around, too. */
    public Dnn around(Dnn dnn) {
        return new FailingDnn(dnn, this);
    }

    // ---- what fails ----------------------------------------------------------------------------------------------

    /** The n-th allocation of device or page-locked memory finds none left; preparing a convolution is one, too. */
    public void failAllocation(long n) {
        failingAllocation = allocations + n;
    }

    /** The n-th launch of a kernel or a graph is refused; the device goes on. */
    public void failLaunch(long n) {
        failingLaunch = launches + n;
    }

    /** The n-th product of cuBLAS or cublasLt fails; the device goes on. */
    public void failProduct(long n) {
        failingProduct = products + n;
    }

    /** The n-th plan or run of cuDNN fails; the device goes on. */
    public void failConvolution(long n) {
        failingConvolution = convolutions + n;
    }

    /** The module of that name cannot be loaded, until {@link #none}. */
    public void failModule(String name) {
        failingModule = name;
    }

    /** The n-th call, whatever it is, finds the device lost. */
    public void loseAt(long n) {
        losingCall = calls + n;
    }

    /** The device is lost now. */
    public void lose() {
        lost = true;
    }

    /** Nothing that was asked for and has not happened happens any more; a lost device stays lost. */
    public void none() {
        failingAllocation = 0;
        failingLaunch = 0;
        failingProduct = 0;
        failingConvolution = 0;
        losingCall = 0;
        failingModule = null;
    }

    // ---- what was counted, failures included ---------------------------------------------------------------------

    public long calls() {
        return calls;
    }

    public long allocations() {
        return allocations;
    }

    public long launches() {
        return launches;
    }

    public long products() {
        return products;
    }

    public long convolutions() {
        return convolutions;
    }

    public boolean lost() {
        return lost;
    }

    // ---- for the classes around ----------------------------------------------------------------------------------

    private void throwIfLost() {
        if (lost) {
            throw new CudaException("GPU 0 (emulated) failed earlier (" + LOSS + ") and cannot be used any more;"
                    + " start the program again");
        }
    }

    /** Loading a module, which any thread does at any time: it is no call that is counted. */
    void load(String name) {
        throwIfLost();
        if (name.equals(failingModule)) {
            throw new CudaException("the kernels do not fit GPU 0 (emulated): cuModuleLoadDataEx of " + name
                    + " failed with CUDA_ERROR_INVALID_PTX");
        }
    }

    /** Any call that can fail. */
    void call(String name) {
        throwIfLost();
        if (++calls == losingCall) {
            lost = true;
            throw new CudaException("GPU 0 (emulated) failed: " + LOSS + ", noticed by " + name
                    + "; it cannot be used any more, start the program again");
        }
    }

    void allocation(String what) {
        call(what);
        if (++allocations == failingAllocation) {
            throw new OutOfDeviceMemoryException("The GPU (emulated) has not enough memory: allocation " + allocations + ", "
                    + what + ", was made to fail");
        }
    }

    void launch(String what) {
        call(what);
        if (++launches == failingLaunch) {
            throw new CudaException(what + " failed: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES (launch " + launches
                    + " was made to fail)");
        }
    }

    void product(String what) {
        call(what);
        if (++products == failingProduct) {
            throw new CudaException(what + " failed: CUBLAS_STATUS_EXECUTION_FAILED (product " + products
                    + " was made to fail)");
        }
    }

    void convolution(String what) {
        call(what);
        if (++convolutions == failingConvolution) {
            throw new CudaException(what + " failed: CUDNN_STATUS_EXECUTION_FAILED (call " + convolutions
                    + " was made to fail)");
        }
    }

    /** Gives something back; on a lost device whatever happens. */
    void release(Runnable give) {
        try {
            give.run();
        } catch (RuntimeException e) {
            if (!lost) {
                throw e;
            }
        }
    }
}
