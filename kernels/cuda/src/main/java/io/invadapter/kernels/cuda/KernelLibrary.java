package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The compiled kernels, loaded into a driver as they are first used. Thread-safe; lives as long as its driver.
 */
public final class KernelLibrary {
    private static final int DEFAULT_SHARED_BYTES = 48 * 1024;

    private final CudaDriver driver;
    private final UnaryOperator<String> source;
    private final Map<String, CudaDriver.Module> modules = new HashMap<>();
    private final Map<String, CudaDriver.Function> functions = new HashMap<>();

    /** The kernels that come with this library. */
    public KernelLibrary(CudaDriver driver) {
        this(driver, KernelLibrary::ptx);
    }

    /** Kernels whose PTX {@code source} gives by the operator's name: for trying changed ones. */
    KernelLibrary(CudaDriver driver, UnaryOperator<String> source) {
        this.driver = driver;
        this.source = source;
    }

    /** The driver they are loaded into. */
    public CudaDriver driver() {
        return driver;
    }

    /** The PTX text that was compiled from {@code <operator>.cu}. */
    static String ptx(String operator) {
        try (InputStream in = KernelLibrary.class.getResourceAsStream(operator + ".ptx")) {
            if (in == null) {
                throw new IllegalStateException("the kernel file " + operator + ".ptx is missing from the library");
            }
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The kernel {@code name} of {@code <operator>.cu}, ready to be launched with that much dynamic shared memory. */
    synchronized CudaDriver.Function function(String operator, String name, int sharedBytes) {
        CudaDriver.Function function = functions.get(name);
        if (function == null) {
            function = modules.computeIfAbsent(operator, o -> driver.load(source.apply(o))).function(name);
            functions.put(name, function);
        }
        if (sharedBytes > DEFAULT_SHARED_BYTES) {
            function.allowSharedBytes(sharedBytes);
        }
        return function;
    }
}
