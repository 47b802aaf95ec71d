package io.invadapter.kernels.cuda.dnn;

/** The status codes of cuDNN 9 by name; JCudnn knows those of cuDNN 8, which were other numbers. */
final class CudnnStatus {
    static final int SUCCESS = 0;
    static final int HOST_ALLOCATION_FAILED = 4003;
    static final int DEVICE_ALLOCATION_FAILED = 4004;

    private CudnnStatus() {
    }

    static String name(int status) {
        String name = switch (status) {
            case SUCCESS -> "SUCCESS";
            case 1001 -> "NOT_INITIALIZED";
            case 1002 -> "SUBLIBRARY_VERSION_MISMATCH";
            case 1003 -> "SERIALIZATION_VERSION_MISMATCH";
            case 1004 -> "DEPRECATED";
            case 1005 -> "LICENSE_ERROR";
            case 1006 -> "RUNTIME_IN_PROGRESS";
            case 1007 -> "RUNTIME_FP_OVERFLOW";
            case 1008 -> "SUBLIBRARY_LOADING_FAILED";
            case 2000 -> "BAD_PARAM";
            case 2001 -> "INVALID_VALUE";
            case 2002 -> "BAD_PARAM_NULL_POINTER";
            case 2003 -> "BAD_PARAM_MISALIGNED_POINTER";
            case 2004 -> "BAD_PARAM_NOT_FINALIZED";
            case 2005 -> "BAD_PARAM_OUT_OF_BOUND";
            case 2006 -> "BAD_PARAM_SIZE_INSUFFICIENT";
            case 2007 -> "BAD_PARAM_STREAM_MISMATCH";
            case 2008 -> "BAD_PARAM_SHAPE_MISMATCH";
            case 2009 -> "BAD_PARAM_DUPLICATED_ENTRIES";
            case 2010 -> "BAD_PARAM_ATTRIBUTE_TYPE";
            case 2011 -> "BAD_PARAM_CUDA_GRAPH_MISMATCH";
            case 2012 -> "BAD_PARAM_DESCRIPTOR_TYPE";
            case 3000 -> "NOT_SUPPORTED";
            case 3001 -> "NOT_SUPPORTED_GRAPH_PATTERN";
            case 3002 -> "NOT_SUPPORTED_SHAPE";
            case 3003 -> "NOT_SUPPORTED_DATA_TYPE";
            case 3004 -> "NOT_SUPPORTED_LAYOUT";
            case 3005 -> "NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER";
            case 3006 -> "NOT_SUPPORTED_INCOMPATIBLE_CUDART";
            case 3007 -> "NOT_SUPPORTED_ARCH_MISMATCH";
            case 3008 -> "NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING";
            case 3009 -> "NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE";
            case 3010 -> "NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT";
            case 3011 -> "NOT_SUPPORTED_PADDING";
            case 3012 -> "NOT_SUPPORTED_BAD_LAUNCH_PARAM";
            case 3013 -> "NOT_SUPPORTED_CUDA_GRAPH_NATIVE_API";
            case 3014 -> "NOT_SUPPORTED_INVALID_DYNAMIC_SHAPE";
            case 4000 -> "INTERNAL_ERROR";
            case 4001 -> "INTERNAL_ERROR_COMPILATION_FAILED";
            case 4002 -> "INTERNAL_ERROR_UNEXPECTED_VALUE";
            case HOST_ALLOCATION_FAILED -> "INTERNAL_ERROR_HOST_ALLOCATION_FAILED";
            case DEVICE_ALLOCATION_FAILED -> "INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED";
            case 4005 -> "INTERNAL_ERROR_BAD_LAUNCH_PARAM";
            case 4006 -> "INTERNAL_ERROR_TEXTURE_CREATION_FAILED";
            case 5000 -> "EXECUTION_FAILED";
            case 5001 -> "EXECUTION_FAILED_CUDA_DRIVER";
            case 5002 -> "EXECUTION_FAILED_CUBLAS";
            case 5003 -> "EXECUTION_FAILED_CUDART";
            case 5004 -> "EXECUTION_FAILED_CURAND";
            default -> null;
        };
        return name == null ? "status " + status : "CUDNN_STATUS_" + name;
    }
}
