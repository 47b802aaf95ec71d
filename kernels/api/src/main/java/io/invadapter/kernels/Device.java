package io.invadapter.kernels;

/**
 * A place where tensors live ({@link Memory}) and the {@link Operators} of a diffusion model run, on weights that a
 * {@link Packer} took to it.
 *
 * <p>A device is used by one thread at a time; {@code Pipeline} of the engine sees to that.
 */
public interface Device extends Memory, Operators, AutoCloseable {

    /** What the epilogue of {@link #linear} does to its result. */
    enum Activation {
        NONE,
        /** {@code x * sigmoid(x)} */
        SILU,
        /** CLIP's {@code x * sigmoid(1.702 x)} */
        QUICK_GELU,
        /** exact {@code x * Phi(x)}, with erf */
        GELU
    }

    /** A fixed sequence of operators, made by {@link #record}. */
    interface Recording extends AutoCloseable {
        /** Does the work once more. May return before it is done; at most two runs ahead of the device. */
        void run();

        /** Frees the memory that the work's own tensors lie in. */
        @Override
        void close();
    }

    /** A point in the order of the device's work, made by {@link #mark}. */
    interface Mark extends AutoCloseable {
        /** How long the device took from {@code earlier} to here; waits until both are passed. */
        double millisecondsSince(Mark earlier);

        @Override
        void close();
    }

    /** Short name, as {@link Devices#open} takes it: {@code cpu}, {@code cuda:0}. */
    String name();

    /** One line for a user: model, instruction set or compute capability, threads, memory. */
    String description();

    Precision precision();

    /**
     * The same device with its memory, scopes and thread, computing in another precision: what its operators take and return, and what
     * its packers pack for. Tensors of both may be handed to both, for they know their type. Closing it does nothing; it is closed with
     * this device.
     *
     * @return this device when the precision is its own
     * @throws DeviceException when the device cannot compute in it
     */
    Device as(Precision precision);

    // --- timing -----------------------------------------------------------------------------------------------------

    /** Marks the end of the work given so far, without waiting for it. Not within {@link #record}. */
    Mark mark();

    // --- repetition -------------------------------------------------------------------------------------------------

    /**
     * Makes {@code work} repeatable. It may call operators and {@link #copy} only, on tensors that outlive the recording, and
     * must do the same each time: what differs from run to run is written into those tensors ({@link #write}). A device may
     * call it on every run, or only on the first and replay from then on.
     */
    Recording record(Runnable work);

    /**
     * From now on a device that computes during the calls of its operators, as a CPU does, runs {@code check} before each piece
     * of work; what it throws ends the call, and the results are lost with its {@link Scope}. Others need not.
     */
    default void checkWhileComputing(Runnable check) {
        // Work that is only handed over is soon over, too.
    }

    /**
     * Whether one pass over a large batch costs less than several over its parts. Elsewhere each picture goes through the
     * network by itself, and comes out the same whatever else is under way.
     */
    boolean prefersLargeBatches();

    // --- weights ----------------------------------------------------------------------------------------------------

    /** A new owner of weights, to be closed before the device, which frees what it still holds. */
    Packer packer();

    @Override
    void close();
}
