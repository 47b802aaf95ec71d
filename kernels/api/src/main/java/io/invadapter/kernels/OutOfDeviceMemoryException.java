package io.invadapter.kernels;

/** The device has not enough memory left. The message is one sentence for the user. */
public final class OutOfDeviceMemoryException extends DeviceException {
    private static final long serialVersionUID = 1L;

    public OutOfDeviceMemoryException(String message) {
        super(message);
    }
}
