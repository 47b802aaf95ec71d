package io.invadapter.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import org.junit.jupiter.api.Test;

/** Ordered failures come when they were ordered, once, and a lost device stays lost. */
class FaultsTest {
    private final EmulatedGpu gpu = new EmulatedGpu();
    private final CudaDriver driver = gpu.driver();
    private final Pointwise pointwise = new Pointwise(new KernelLibrary(driver, DataType.FLOAT16));
    private final Dnn.Shape shape = new Dnn.Shape(DataType.FLOAT32, 1, 1, 1, 1, 1, 1, 1, 1, 0, false);

    private void product(long address, CudaDriver.Stream stream) {
        Blas.Matrix a = new Blas.Matrix(address, 1, 0);
        gpu.blas().multiply(false, false, 1, 1, 1, 1, a, a, 0, new Blas.Matrix(address + 16, 1, 0), DataType.FLOAT32, 1, stream);
    }

    @Test
    void theOrderedCallFailsAndTheNextWorks() {
        CudaDriver.Stream stream = driver.newStream();
        gpu.faults().failAllocation(2);
        long address = driver.allocate(256);
        assertThrows(OutOfDeviceMemoryException.class, () -> driver.allocate(256));
        driver.free(driver.allocate(256));
        driver.fill(address, (byte) 0, 256);

        gpu.faults().failLaunch(1);
        Runnable silu = () -> pointwise.add(address, 0, Activation.SILU, 0, address, 1, 8, stream);
        assertThrows(CudaException.class, silu::run);
        silu.run();
        CudaDriver.Graph graph = driver.record(stream, silu);
        gpu.faults().failLaunch(1);
        assertThrows(CudaException.class, () -> graph.launch(stream));
        graph.launch(stream);

        gpu.faults().failProduct(2);
        product(address, stream);
        assertTrue(assertThrows(CudaException.class, () -> product(address, stream)).getMessage()
                .contains("CUBLAS_STATUS_EXECUTION_FAILED"));
        product(address, stream);

        gpu.faults().failConvolution(2);
        Dnn.Plan plan = gpu.dnn().propose(shape).candidates().getFirst().prepare();
        assertThrows(CudaException.class, () -> plan.run(address, address, address, 0, address + 16, 0, stream));
        plan.run(address, address, address, 0, address + 16, 0, stream);
        gpu.faults().failAllocation(1);
        assertThrows(OutOfDeviceMemoryException.class, () -> gpu.dnn().propose(shape).candidates().getFirst().prepare());
        driver.synchronize();

        driver.free(address);
        graph.close();
        stream.close();
        assertEquals(0, gpu.usedMemory());
        assertEquals(0, gpu.openHandles());
        driver.close();
    }

    private void says(String sentence, Runnable call) {
        assertEquals(sentence, assertThrows(DeviceException.class, call::run).getMessage());
    }

    @Test
    void aLostDeviceSaysSoAndLetsGo() {
        CudaDriver.Stream stream = driver.newStream();
        long address = driver.allocate(256);
        driver.fill(address, (byte) 0, 256);
        Dnn.Plan plan = gpu.dnn().propose(shape).candidates().getFirst().prepare();
        CudaDriver.HostBuffer buffer = driver.allocateHost(16);
        gpu.faults().loseAt(3);
        product(address, stream);
        stream.synchronize();
        says("GPU 0 (emulated) failed: CUDA_ERROR_ILLEGAL_ADDRESS, noticed by cuCtxSynchronize; it cannot be used any more,"
                + " start the program again", driver::synchronize);
        String lost = "GPU 0 (emulated) failed earlier (CUDA_ERROR_ILLEGAL_ADDRESS) and cannot be used any more;"
                + " start the program again";
        says(lost, driver::synchronize);
        says(lost, stream::synchronize);
        says(lost, () -> driver.allocate(1));
        says(lost, () -> product(address, stream));
        says(lost, () -> plan.run(address, address, address, 0, address + 16, 0, stream));
        says(lost, () -> driver.copyOut(buffer, 0, address, 1, stream));
        driver.free(address);
        buffer.close();
        stream.close();
        gpu.blas().close();
        gpu.dnn().close();
        driver.close();
        assertEquals(0, gpu.usedMemory());
        assertEquals(0, gpu.openHandles());
    }
}
