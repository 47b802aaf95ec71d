package io.invadapter.kernels;

import io.invadapter.base.InvAdapterException;

/** A device cannot be used or failed. The message is one sentence for the user. */
public class DeviceException extends InvAdapterException {
    private static final long serialVersionUID = 1L;

    public DeviceException(String message) {
        super(message);
    }

    public DeviceException(String message, Throwable cause) {
        super(message, cause);
    }
}
