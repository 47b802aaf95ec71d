package io.invadapter.kernels.cuda.choice;

import java.util.List;

/**
 * A way that a library proposes; whether it works is known when it is prepared and has run.
 *
 * @param <W> what it is prepared into
 */
public interface Candidate<W extends Way> {
    /** Engine and settings. The same in every process with the same library, and no other candidate's: no tabs, one line. */
    String name();

    /** For people: what the library says of it, if anything. */
    default List<String> notes() {
        return List.of();
    }

    /** Whether preparing it compiles a kernel, which takes from a tenth of a second to several. */
    default boolean compiledAtRunTime() {
        return false;
    }

    /** Whether it is worth a try only where no other works. */
    default boolean isLastResort() {
        return false;
    }

    /**
     * May take long.
     *
     * @throws io.invadapter.kernels.DeviceException when it cannot be used here, in the library's words
     */
    W prepare();
}
