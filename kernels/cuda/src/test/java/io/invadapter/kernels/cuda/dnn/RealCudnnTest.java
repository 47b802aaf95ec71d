package io.invadapter.kernels.cuda.dnn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.CudaLibraries;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.util.List;
import jcuda.jcudnn.JCudnn;
import org.junit.jupiter.api.Test;

/**
 * NVIDIA's own cuBLAS and cuDNN, as far as they go without a GPU. Only where INVADAPTER_CUDA_LIBRARIES names a folder that has
 * them.
 */
class RealCudnnTest {
    @Test
    void operationsAreAcceptedByCudnn() throws Exception {
        assumeTrue(System.getenv("INVADAPTER_CUDA_LIBRARIES") != null, "INVADAPTER_CUDA_LIBRARIES names no libraries");
        List<String> report = CudaLibraries.report();
        assertTrue(report.stream().anyMatch(l -> l.matches("cuBLAS 1[23]\\.\\d+\\.\\d+: .*/libcublas\\.so\\.1[23]")),
                report::toString);
        String found = report.stream().filter(l -> l.matches("cuDNN 9\\.\\d+\\.\\d+ for CUDA 1[23]: .*/libcudnn\\.so\\.9"))
                .findFirst().orElseThrow(() -> new AssertionError(report));
        Cudnn cudnn = new Cudnn(SharedLibrary.load(found.substring(found.indexOf('/'))));
        assertEquals(9, JCudnn.cudnnGetVersion() / 10000);
        for (DataType type : List.of(DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32)) {
            for (boolean residual : new boolean[] {true, false}) {
                new ConvolutionGraph(cudnn, new Dnn.Shape(type, 2, 64, 64, 320, 640, 3, 3, 1, 1, residual)).close();
                new ConvolutionGraph(cudnn, new Dnn.Shape(type, 1, 65, 63, 4, 3, 1, 1, 1, 0, residual)).close();
                new ConvolutionGraph(cudnn, new Dnn.Shape(type, 3, 64, 48, 640, 640, 3, 3, 2, 1, residual)).close();
            }
        }
        // A kernel that is larger than the picture: cuDNN does look.
        Dnn.Shape impossible = new Dnn.Shape(DataType.FLOAT16, 1, 4, 4, 8, 8, 9, 9, 1, 0, false);
        String message = assertThrows(CudaException.class, () -> new ConvolutionGraph(cudnn, impossible)).getMessage();
        assertTrue(message.contains("CUDNN_STATUS_BAD_PARAM"), message);
    }
}
