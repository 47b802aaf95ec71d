package io.invadapter.gpucheck.first;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Starts child processes. */
@FunctionalInterface
public interface Children {

    /** One of them. */
    interface Child {
        boolean isAlive();

        /** Once it is not alive. */
        int exitCode();

        /** At once, and waits until it is gone, for some seconds: what hangs inside the driver cannot be killed. */
        void kill();
    }

    /**
     * @param arguments what {@link FirstChild#run} gets
     * @param folder    where temporary files go
     * @param log       where what it prints goes
     */
    Child start(List<String> arguments, Path folder, Path log) throws IOException;
}
