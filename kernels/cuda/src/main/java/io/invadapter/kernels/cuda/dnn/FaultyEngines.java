package io.invadapter.kernels.cuda.dnn;

/**
 * Engines of cuDNN's forward convolution that do not keep their promises on some GPU, as PyTorch's developers found them; PyTorch
 * passes them over in Conv_v8.cpp. Engines are numbered for each kind of graph, and theirs is the convolution alone; here the
 * number is enough, whatever the graph: others are there.
 *
 * <ul>
 *   <li>compute capability 8.6, cuDNN 9.23: engine 5 gives another result every time (pytorch/pytorch#188288, pull requests
 *       188318 and 189207; 9.24 mends it: 189483)
 *   <li>compute capability 12.0, cuBLAS before 13.6.1: engines 58 and 63 may call a kernel of cublasLt that writes where it may
 *       not, and the device is lost (pull requests 190112 and 191701)
 * </ul>
 */
final class FaultyEngines {
    private static final int CUBLAS_13_6_1 = 130601;

    private final int capability;
    private final long cudnnVersion;
    private final int cublasVersion;

    /**
     * @param capability    of the GPU, as major * 10 + minor
     * @param cudnnVersion  as major * 10000 + minor * 100 + patch
     * @param cublasVersion likewise, of the cuBLAS that cuDNN calls
     */
    FaultyEngines(int capability, long cudnnVersion, int cublasVersion) {
        this.capability = capability;
        this.cudnnVersion = cudnnVersion;
        this.cublasVersion = cublasVersion;
    }

    /** Whether fused attention is wrong: NVIDIA's own cudnn-frontend refuses it for cuDNN 9.10.0 and 9.10.1. */
    boolean attention() {
        return cudnnVersion == 91000 || cudnnVersion == 91001;
    }

    boolean contains(long engine) {
        return switch (capability) {
            case 86 -> cudnnVersion / 100 == 923 && engine == 5;
            case 120 -> cublasVersion < CUBLAS_13_6_1 && (engine == 58 || engine == 63);
            default -> false;
        };
    }
}
