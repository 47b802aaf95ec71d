package io.invadapter.kernels.cuda.ptx;

/** PTX that cannot be loaded, or a launch that cannot be started: the message names the line and the reason. */
public class PtxException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public PtxException(String message) {
        super(message);
    }
}
