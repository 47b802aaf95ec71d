package io.invadapter.kernels.cuda.driver;

import io.invadapter.kernels.DeviceException;

/** A call of the CUDA driver failed, or there is no driver; the message says in one sentence what and why. */
public class CudaException extends DeviceException {
    private static final long serialVersionUID = 1L;

    /** With that sentence. */
    public CudaException(String message) {
        super(message);
    }

    /** With that sentence and what lies behind it. */
    public CudaException(String message, Throwable cause) {
        super(message, cause);
    }
}
