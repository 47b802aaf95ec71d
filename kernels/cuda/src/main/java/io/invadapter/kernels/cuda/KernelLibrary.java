package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadFactory;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.GZIPInputStream;

/**
 * The kernels as compiled for one type of activations and weights. A driver that does not know a module yet compiles it when it is
 * loaded, one after the other, up to half a second for each kernel. So each kernel is a module of its own, cut out of its .cu file's
 * PTX, and loaded when it is first used, or earlier, beside whatever else goes on, when it is known that it will be. Thread-safe; lives
 * as long as its driver.
 */
public final class KernelLibrary {
    /** What the kernels are compiled for. */
    static final List<DataType> TYPES = List.of(DataType.FLOAT16, DataType.BFLOAT16, DataType.FLOAT32);

    /** The names of all .cu files. */
    static final List<String> OPERATORS = List.of("add", "attention", "attention_any", "attention_scalar", "attention_wide", "blend",
            "combine", "concat", "convert", "eaa_attention", "eaa_attention_any", "geglu", "group_norm", "layer_norm", "match_deviation",
            "pad", "timestep_embedding", "token_embedding", "upsample");

    /** In PTX text, from a kernel's first line to its last. */
    private static final Pattern KERNEL = Pattern.compile("^\\.visible \\.entry (\\w+)\\(.*?^}\n", Pattern.MULTILINE | Pattern.DOTALL);
    private static final int DEFAULT_SHARED_BYTES = 48 * 1024;
    /** In one access of a thread. */
    private static final int CHUNK_BYTES = 16;
    /** With as much stack as a program's first thread has: the driver's compiler counts on no less. */
    private static final ThreadFactory LOADERS = Thread.ofPlatform().daemon().stackSize(8L << 20).factory();
    private static final System.Logger LOGGER = System.getLogger("io.invadapter");

    private final CudaDriver driver;
    private final DataType type;
    private final UnaryOperator<String> source;
    private final ThreadFactory loaders;
    private final Map<String, CompletableFuture<CudaDriver.Module>> modules = new ConcurrentHashMap<>();
    private final Map<String, Kernel> kernels = new ConcurrentHashMap<>();
    private final Map<String, Duration> loadTimes = new ConcurrentHashMap<>();

    /**
     * The kernels that come with this library, for arrays of that type.
     *
     * @throws IllegalArgumentException when they are not compiled for it
     */
    public KernelLibrary(CudaDriver driver, DataType type) {
        this(driver, type, operator -> ptx(type, operator), LOADERS);
        if (!TYPES.contains(type)) {
            throw Check.wrong("type", type, "one of " + TYPES);
        }
    }

    /** Kernels whose PTX {@code source} gives by the operator's name: for trying changed ones. */
    KernelLibrary(CudaDriver driver, DataType type, UnaryOperator<String> source) {
        this(driver, type, source, LOADERS);
    }

    KernelLibrary(CudaDriver driver, DataType type, UnaryOperator<String> source, ThreadFactory loaders) {
        this.driver = driver;
        this.type = type;
        this.source = source;
        this.loaders = loaders;
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

    /**
     * The names of the .cu files that are compiled for a type: not all are for every type.
     *
     * @param type float16, bfloat16 or float32
     */
    public static List<String> operators(DataType type) {
        return OPERATORS.stream().filter(operator -> KernelLibrary.class.getResource(file(type, operator)) != null).toList();
    }

    /** Tells these kernels from those of another version of this library. */
    static String fingerprint() {
        CRC32 sum = new CRC32();
        for (DataType type : TYPES) {
            operators(type).forEach(operator -> sum.update(compressed(type, operator)));
        }
        return Long.toHexString(sum.getValue());
    }

    /** The PTX text that was compiled from {@code <operator>.cu}. */
    static String ptx(DataType type, String operator) {
        try (InputStream in = new GZIPInputStream(new ByteArrayInputStream(compressed(type, operator)))) {
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The names of the kernels of {@code <operator>.cu}, one of {@link #operators} of that type. */
    public static List<String> kernels(DataType type, String operator) {
        return KERNEL.matcher(ptx(type, operator)).results().map(kernel -> kernel.group(1)).toList();
    }

    /** PTX text with that kernel alone, and whatever stands outside kernels; its lines keep their numbers. */
    static String only(String kernel, String ptx) {
        if (KERNEL.matcher(ptx).results().noneMatch(found -> found.group(1).equals(kernel))) {
            throw new IllegalStateException("the kernel " + kernel + " is missing from its file");
        }
        return KERNEL.matcher(ptx).replaceAll(found -> found.group(1).equals(kernel)
                ? Matcher.quoteReplacement(found.group()) : "\n".repeat((int) found.group().lines().count()));
    }

    private static String file(DataType type, String operator) {
        return directory(type) + "/" + operator + ".ptx.gz";
    }

    private static byte[] compressed(DataType type, String operator) {
        try (InputStream in = KernelLibrary.class.getResourceAsStream(file(type, operator))) {
            if (in == null) {
                throw new IllegalStateException("the kernel file " + file(type, operator) + " is missing from the library");
            }
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static final class Kernel {
        private final CudaDriver.Function function;
        private int allowedBytes = DEFAULT_SHARED_BYTES;

        Kernel(CudaDriver.Function function) {
            this.function = function;
        }

        /** Never less than before: recorded graphs launch it with what they were recorded with. */
        synchronized CudaDriver.Function with(int sharedBytes) {
            if (sharedBytes > allowedBytes) {
                function.allowSharedBytes(sharedBytes);
                allowedBytes = sharedBytes;
            }
            return function;
        }
    }

    /** The kernel {@code name} of {@code <operator>.cu}, ready to be launched with that much dynamic shared memory. */
    CudaDriver.Function function(String operator, String name, int sharedBytes) {
        Kernel kernel = kernels.get(name);
        if (kernel == null) {
            Kernel fresh = new Kernel(module(operator, name).function(name));
            Kernel known = kernels.putIfAbsent(name, fresh);
            kernel = known == null ? fresh : known;
        }
        return kernel.with(sharedBytes);
    }

    /** Waits for the kernel's module if it is being loaded, for no other. */
    private CudaDriver.Module module(String operator, String kernel) {
        try {
            return loading(operator, kernel, Runnable::run).join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            throw e;
        }
    }

    /** The module, which {@code executor} loads if nobody does so far. One that could not be loaded is tried again the next time. */
    private CompletableFuture<CudaDriver.Module> loading(String operator, String kernel, Executor executor) {
        CompletableFuture<CudaDriver.Module> fresh = new CompletableFuture<>();
        CompletableFuture<CudaDriver.Module> known = modules.putIfAbsent(kernel, fresh);
        if (known != null) {
            return known;
        }
        executor.execute(() -> {
            try {
                fresh.complete(load(operator, kernel));
            } catch (RuntimeException | Error e) {
                modules.remove(kernel);
                fresh.completeExceptionally(e);
            }
        });
        return fresh;
    }

    private CudaDriver.Module load(String operator, String kernel) {
        String ptx = only(kernel, source.apply(operator));
        String name = directory(type) + "/" + kernel;
        long start = System.nanoTime();
        CudaDriver.Module module = driver.load(name, ptx);
        Duration time = Duration.ofNanos(System.nanoTime() - start);
        loadTimes.put(kernel, time);
        LOGGER.log(System.Logger.Level.DEBUG, () -> "kernel " + name + " loaded in " + time.toMillis() + " ms");
        return module;
    }

    /**
     * Loads kernels of {@code <operator>.cu} beside whatever else goes on, each in a thread of its own. Who uses one earlier waits for it,
     * and is told there when it could not be loaded.
     */
    public void prepare(String operator, String... names) {
        for (String name : names) {
            loading(operator, name, load -> loadBeside(name, load));
        }
    }

    private void loadBeside(String name, Runnable load) {
        Thread thread = loaders.newThread(load);
        thread.setName("loads " + name);
        try {
            thread.start();
        } catch (OutOfMemoryError e) {
            // The system gives no further thread. Somebody may wait for the module already.
            load.run();
        }
    }

    /**
     * Returns when the kernel {@code name} of {@code <operator>.cu} is loaded.
     *
     * @throws io.invadapter.kernels.cuda.driver.CudaException when it cannot be
     */
    public void require(String operator, String name) {
        module(operator, name);
    }

    /** Waits until nothing is being loaded any more: before the driver may be closed, or a graph be recorded. */
    void settle() {
        modules.values().forEach(loading -> loading.handle((module, failure) -> module).join());
    }

    /** How long the driver took for each kernel that it has loaded so far: milliseconds where it had it from an earlier process. */
    public Map<String, Duration> loadTimes() {
        return new TreeMap<>(loadTimes);
    }
}
