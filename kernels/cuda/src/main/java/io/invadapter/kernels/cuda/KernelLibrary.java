package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.zip.GZIPInputStream;

/**
 * The kernels as compiled for one type of activations and weights, loaded into a driver as they are first used. Thread-safe;
 * lives as long as its driver.
 */
public final class KernelLibrary {
    /** What the kernels are compiled for. */
    static final List<DataType> TYPES = List.of(DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32);

    private static final int DEFAULT_SHARED_BYTES = 48 * 1024;
    /** In one access of a thread. */
    private static final int CHUNK_BYTES = 16;

    private final CudaDriver driver;
    private final DataType type;
    private final UnaryOperator<String> source;
    private final Map<String, CudaDriver.Module> modules = new HashMap<>();
    private final Map<String, CudaDriver.Function> functions = new HashMap<>();

    /**
     * The kernels that come with this library, for arrays of that type.
     *
     * @throws IllegalArgumentException when they are not compiled for it
     */
    public KernelLibrary(CudaDriver driver, DataType type) {
        this(driver, type, operator -> ptx(type, operator));
        if (!TYPES.contains(type)) {
            throw Check.wrong("type", type, "one of " + TYPES);
        }
    }

    /** Kernels whose PTX {@code source} gives by the operator's name: for trying changed ones. */
    KernelLibrary(CudaDriver driver, DataType type, UnaryOperator<String> source) {
        this.driver = driver;
        this.type = type;
        this.source = source;
    }

    /** The driver they are loaded into. */
    public CudaDriver driver() {
        return driver;
    }

    /** The type of activations and weights. */
    public DataType type() {
        return type;
    }

    /** Bytes of a value. */
    int bytes() {
        return type.bytes();
    }

    /** Values in 16 bytes, as value.cuh has it. */
    int chunk() {
        return CHUNK_BYTES / type.bytes();
    }

    /** Where the PTX for a type lies, as build-ptx puts it. */
    static String directory(DataType type) {
        return switch (type) {
            case FLOAT16 -> "f16";
            case BFLOAT16 -> "bf16";
            case FLOAT32 -> "f32";
            case INT32 -> throw new IllegalArgumentException("no kernels for " + type);
        };
    }

    /** The PTX text that was compiled from {@code <operator>.cu}. */
    static String ptx(DataType type, String operator) {
        String name = directory(type) + "/" + operator + ".ptx.gz";
        try (InputStream in = KernelLibrary.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IllegalStateException("the kernel file " + name + " is missing from the library");
            }
            return new String(new GZIPInputStream(in).readAllBytes(), StandardCharsets.US_ASCII);
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
