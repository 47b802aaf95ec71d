package io.invadapter.kernels.cuda.blas;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.lang.reflect.Proxy;
import java.util.List;
import org.junit.jupiter.api.Test;

/** NVIDIA's own cublasLt, as far as it goes without a GPU. Only where INVADAPTER_CUDA_LIBRARIES names a folder that has it. */
class RealCublasLtTest {
    private final CudaDriver noDevice = (CudaDriver) Proxy.newProxyInstance(CudaDriver.class.getClassLoader(),
            new Class<?>[] {CudaDriver.class}, (proxy, method, arguments) -> method.getName().equals("deviceName") ? "no GPU" : null);

    @Test
    void descriptorsAreAcceptedByCublasLt() throws Exception {
        assumeTrue(System.getenv("INVADAPTER_CUDA_LIBRARIES") != null, "INVADAPTER_CUDA_LIBRARIES names no libraries");
        List<String> report = CudaLibraries.report();
        String found = report.stream().filter(l -> l.matches("cuBLASLt 1[23]\\.\\d+\\.\\d+: .*/libcublasLt\\.so\\.1[23]"))
                .findFirst().orElseThrow(() -> new AssertionError(report));
        CublasLtCalls calls = new CublasLtCalls(SharedLibrary.load(found.substring(found.indexOf('/'))));
        assertTrue(calls.description().startsWith(found.substring("cuBLASLt ".length(), found.indexOf(':')) + " ("), calls.description());
        CublasLt lt = new CublasLt(noDevice, calls);
        for (DataType type : List.of(DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32)) {
            for (boolean added : new boolean[] {true, false}) {
                // Everything is described and preferred; then a handle would be needed, which needs a GPU.
                List<Candidate<Blas.ProductWay>> candidates = lt.candidates(new Blas.Product(type, 8192, 320, 1280, added, added, 16));
                assertEquals(1, candidates.size());
                assertEquals("cuBLAS failed on no GPU: cublasLtMatmulAlgoGetHeuristic answered CUBLAS_STATUS_NOT_INITIALIZED",
                        assertThrows(CudaException.class, candidates.getFirst()::prepare).getMessage());
            }
        }
    }
}
