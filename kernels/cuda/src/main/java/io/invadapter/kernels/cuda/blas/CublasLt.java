package io.invadapter.kernels.cuda.blas;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * cublasLt's products with bias and residual: {@code D = alpha op(A) op(B) + beta C + bias}, where D is y, A is W, B is x and C
 * the residual, each seen as column-major. Numbers are those of cublasLt.h.
 */
final class CublasLt {
    /** What the heuristics are asked for. */
    private static final int PROPOSALS = 5;

    /** {@code cublasLtMatmulHeuristicResult_t}: algorithm, bytes of scratch memory, status, waves, reserved. */
    private static final long RESULT_BYTES = 96;
    private static final long ALGORITHM_BYTES = 64;
    private static final long RESULT_WORKSPACE = 64;
    private static final long RESULT_STATUS = 72;
    private static final long RESULT_WAVES = 76;

    private static final int TRANSPOSE_A = 3;
    private static final int EPILOGUE = 7;
    private static final int BIAS_POINTER = 8;
    private static final int EPILOGUE_BIAS = 4;

    private static final int PREFER_WORKSPACE_BYTES = 1;
    private static final int PREFER_REDUCTIONS = 3;
    /** Of A; those of B, C and D follow. */
    private static final int PREFER_ALIGNMENT = 5;
    /** Parts of a sum are kept in float32 and added in order; in the result's type, or in its place, they are not. */
    private static final int REDUCTION_COMPUTE_TYPE = 2;

    private static final int NUMERICAL_FLAGS = 15;
    private static final long ACCUMULATOR_16F = 1L << 8;
    private static final long INPUT_TF32 = 4L << 16;

    /** An attribute of an algorithm's configuration. */
    private record Setting(String name, int number, int bytes) {
    }

    private static final List<Setting> SETTINGS = List.of(new Setting("", 0, 4), new Setting("tile ", 1, 4),
            new Setting("stages ", 6, 4), new Setting("split ", 2, 4), new Setting("reduction ", 3, 4),
            new Setting("swizzle ", 4, 4), new Setting("option ", 5, 4), new Setting("inner ", 7, 2), new Setting("cluster ", 8, 2));

    private final CudaDriver driver;
    private final CublasLtCalls calls;
    private final Arena arena = Arena.ofShared();
    /** Factors in host memory, where cublasLt looks for them unless told otherwise. */
    private final MemorySegment zero = arena.allocateFrom(JAVA_FLOAT, 0);
    private final MemorySegment one = arena.allocateFrom(JAVA_FLOAT, 1);

    CublasLt(CudaDriver driver, CublasLtCalls calls) {
        this.driver = driver;
        this.calls = calls;
    }

    /** Once the driver's GPU is current. */
    static CublasLt start(CudaDriver driver, SharedLibrary library) {
        CublasLtCalls calls = new CublasLtCalls(library);
        Cublas.check(driver, "cublasLtCreate", calls.create());
        return new CublasLt(driver, calls);
    }

    /** E.g. {@code cuBLASLt 13.1.1 (java.lang.foreign, /usr/local/cuda/lib64/libcublasLt.so.13)}. */
    String description() {
        return "cuBLASLt " + calls.description();
    }

    /** What the heuristics propose; where they refuse, one candidate that says so. */
    List<Candidate<Blas.ProductWay>> candidates(Blas.Product product) {
        driver.makeCurrent();
        Map<String, Candidate<Blas.ProductWay>> byName = new LinkedHashMap<>();
        try (Descriptors descriptors = new Descriptors(product); Arena temporary = Arena.ofConfined()) {
            // Its alignment is all that they look at.
            descriptors.bias(product.alignment());
            MemorySegment results = temporary.allocate(PROPOSALS * RESULT_BYTES, Long.BYTES);
            MemorySegment count = temporary.allocate(JAVA_INT);
            check("cublasLtMatmulAlgoGetHeuristic", descriptors.heuristics(temporary, results, count));
            for (int i = 0; i < count.get(JAVA_INT, 0); i++) {
                MemorySegment result = results.asSlice(i * RESULT_BYTES, RESULT_BYTES);
                if (result.get(JAVA_INT, RESULT_STATUS) == 0) {
                    Algorithm algorithm = algorithm(product, result, temporary);
                    byName.putIfAbsent(algorithm.name(), algorithm);
                }
            }
        } catch (DeviceException e) {
            return List.of(new Refused(e));
        }
        return List.copyOf(byName.values());
    }

    private void check(String call, int status) {
        Cublas.check(driver, call, status);
    }

    private Algorithm algorithm(Blas.Product product, MemorySegment result, Arena temporary) {
        MemorySegment algorithm = result.asSlice(0, ALGORITHM_BYTES);
        MemorySegment value = temporary.allocate(JAVA_LONG);
        MemorySegment written = temporary.allocate(JAVA_LONG);
        StringBuilder name = new StringBuilder("cuBLASLt ");
        for (Setting setting : SETTINGS) {
            value.fill((byte) 0);
            if (calls.configuration(algorithm, setting.number, value.asSlice(0, setting.bytes), written) == 0) {
                name.append(setting.name).append(value.get(JAVA_LONG, 0)).append(' ');
            }
        }
        byte[] bytes = algorithm.toArray(JAVA_BYTE);
        // Two may differ in what no attribute tells.
        name.append('#').append(Integer.toHexString(Arrays.hashCode(bytes)));
        value.fill((byte) 0);
        calls.capability(algorithm, NUMERICAL_FLAGS, value, written);
        return new Algorithm(product, bytes, result.get(JAVA_LONG, RESULT_WORKSPACE), name.toString(),
                value.get(JAVA_LONG, 0), result.get(JAVA_FLOAT, RESULT_WAVES));
    }

    /** What cublasLt refused to propose anything for. */
    private record Refused(DeviceException reason) implements Candidate<Blas.ProductWay> {
        @Override
        public String name() {
            return "cuBLASLt";
        }

        @Override
        public Blas.ProductWay prepare() {
            throw reason;
        }
    }

    private final class Algorithm implements Candidate<Blas.ProductWay> {
        private final Blas.Product product;
        private final byte[] bytes;
        private final long workspaceBytes;
        private final String name;
        private final long numericalFlags;
        private final float waves;

        Algorithm(Blas.Product product, byte[] bytes, long workspaceBytes, String name, long numericalFlags, float waves) {
            this.product = product;
            this.bytes = bytes;
            this.workspaceBytes = workspaceBytes;
            this.name = name;
            this.numericalFlags = numericalFlags;
            this.waves = waves;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public List<String> notes() {
            return List.of(String.format(Locale.ROOT, "%.2f waves", waves), "numerical flags 0x" + Long.toHexString(numericalFlags));
        }

        @Override
        public Blas.ProductWay prepare() {
            if ((numericalFlags & (ACCUMULATOR_16F | INPUT_TF32)) != 0) {
                throw new CudaException(name + " computes in less than float32 (numerical flags 0x" + Long.toHexString(numericalFlags)
                        + ")");
            }
            return new LtWay(new Descriptors(product), bytes, workspaceBytes);
        }
    }

    private final class LtWay implements Blas.ProductWay {
        private final Descriptors descriptors;
        private final MemorySegment algorithm;
        private final long workspaceBytes;

        LtWay(Descriptors descriptors, byte[] algorithm, long workspaceBytes) {
            this.descriptors = descriptors;
            // Aligned as the struct is.
            this.algorithm = descriptors.memory.allocate(ALGORITHM_BYTES, Long.BYTES).copyFrom(MemorySegment.ofArray(algorithm));
            this.workspaceBytes = workspaceBytes;
        }

        @Override
        public long workspaceBytes() {
            return workspaceBytes;
        }

        @Override
        public synchronized void run(long x, long weight, long bias, long residual, long y, long workspace, CudaDriver.Stream stream) {
            Blas.Product product = descriptors.product;
            driver.makeCurrent();
            descriptors.bias(bias);
            int status = calls.multiply(descriptors.operation, one, weight, descriptors.weight, x, descriptors.x,
                    product.residual() ? one : zero, product.residual() ? residual : y, descriptors.added, y, descriptors.y, algorithm,
                    workspace, workspaceBytes, stream == null ? 0 : stream.handle());
            if (status != 0) {
                check("the product " + product, status);
            }
        }

        @Override
        public void close() {
            descriptors.close();
        }
    }

    /** A product in cublasLt's own words, in host memory. */
    private final class Descriptors implements AutoCloseable {
        final Blas.Product product;
        final Arena memory = Arena.ofShared();
        private final MemorySegment pointer = memory.allocate(JAVA_LONG);
        long operation;
        long weight;
        long x;
        /** Of the residual; without one y's own, for C is D then. */
        long added;
        long y;

        Descriptors(Blas.Product product) {
            this.product = product;
            int type = Cublas.number(product.type());
            try {
                operation = created("cublasLtMatmulDescCreate", calls.createOperation(pointer, Cublas.COMPUTE_32F, Cublas.FLOAT_32));
                set(TRANSPOSE_A, Cublas.OPERATION_T);
                if (product.bias()) {
                    set(EPILOGUE, EPILOGUE_BIAS);
                }
                weight = layout(type, product.inFeatures(), product.outFeatures());
                x = layout(type, product.inFeatures(), product.rows());
                y = layout(type, product.outFeatures(), product.rows());
                added = product.residual() ? layout(type, product.outFeatures(), product.rows()) : y;
            } catch (RuntimeException e) {
                close();
                throw e;
            }
        }

        private long created(String call, int status) {
            check(call, status);
            return pointer.get(JAVA_LONG, 0);
        }

        private long layout(int type, int rows, int columns) {
            return created("cublasLtMatrixLayoutCreate", calls.createLayout(pointer, type, rows, columns, rows));
        }

        private void set(int attribute, int value) {
            check("cublasLtMatmulDescSetAttribute", calls.setOperation(operation, attribute, memory.allocateFrom(JAVA_INT, value)));
        }

        /** Where the next bias lies, if there is one. */
        void bias(long address) {
            if (product.bias()) {
                pointer.set(JAVA_LONG, 0, address);
                check("cublasLtMatmulDescSetAttribute", calls.setOperation(operation, BIAS_POINTER, pointer));
            }
        }

        int heuristics(Arena temporary, MemorySegment results, MemorySegment count) {
            long preference = created("cublasLtMatmulPreferenceCreate", calls.createPreference(pointer));
            try {
                prefer(preference, PREFER_WORKSPACE_BYTES, temporary.allocateFrom(JAVA_LONG, Blas.WORKSPACE_BYTES));
                prefer(preference, PREFER_REDUCTIONS, temporary.allocateFrom(JAVA_INT, REDUCTION_COMPUTE_TYPE));
                for (int operand = 0; operand < 4; operand++) {
                    prefer(preference, PREFER_ALIGNMENT + operand, temporary.allocateFrom(JAVA_INT, product.alignment()));
                }
                return calls.heuristics(operation, weight, x, added, y, preference, PROPOSALS, results, count);
            } finally {
                calls.destroyPreference(preference);
            }
        }

        private void prefer(long preference, int attribute, MemorySegment value) {
            check("cublasLtMatmulPreferenceSetAttribute", calls.setPreference(preference, attribute, value));
        }

        @Override
        public void close() {
            if (product.residual() && added != 0) {
                calls.destroyLayout(added);
            }
            for (long layout : new long[] {weight, x, y}) {
                if (layout != 0) {
                    calls.destroyLayout(layout);
                }
            }
            if (operation != 0) {
                calls.destroyOperation(operation);
            }
            memory.close();
        }
    }

    int close() {
        try {
            return calls.destroy();
        } finally {
            arena.close();
        }
    }
}
