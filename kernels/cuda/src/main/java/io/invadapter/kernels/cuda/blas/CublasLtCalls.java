package io.invadapter.kernels.cuda.blas;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * The calls of cublasLt 12 and 13 that {@link CublasLt} makes, on one handle, by way of java.lang.foreign: JCublas has none of
 * them. Each gives cuBLAS's status. Descriptors, streams, memory of the host and of the device are numbers.
 */
final class CublasLtCalls {
    private final MethodHandle createOperation;
    private final MethodHandle setOperation;
    private final MethodHandle destroyOperation;
    private final MethodHandle createLayout;
    private final MethodHandle destroyLayout;
    private final MethodHandle createPreference;
    private final MethodHandle setPreference;
    private final MethodHandle destroyPreference;
    private final MethodHandle heuristics;
    private final MethodHandle configuration;
    private final MethodHandle capability;
    private final MethodHandle multiply;
    private final MethodHandle create;
    private final MethodHandle destroy;
    private final String description;
    private long handle;

    CublasLtCalls(SharedLibrary library) {
        createOperation = function(library, "cublasLtMatmulDescCreate", JAVA_LONG, JAVA_INT, JAVA_INT);
        setOperation = function(library, "cublasLtMatmulDescSetAttribute", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);
        destroyOperation = function(library, "cublasLtMatmulDescDestroy", JAVA_LONG);
        createLayout = function(library, "cublasLtMatrixLayoutCreate", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        destroyLayout = function(library, "cublasLtMatrixLayoutDestroy", JAVA_LONG);
        createPreference = function(library, "cublasLtMatmulPreferenceCreate", JAVA_LONG);
        setPreference = function(library, "cublasLtMatmulPreferenceSetAttribute", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);
        destroyPreference = function(library, "cublasLtMatmulPreferenceDestroy", JAVA_LONG);
        // handle, operation, A, B, C, D, preference, room, results, their number
        heuristics = function(library, "cublasLtMatmulAlgoGetHeuristic", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);
        configuration = function(library, "cublasLtMatmulAlgoConfigGetAttribute", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG,
                JAVA_LONG);
        capability = function(library, "cublasLtMatmulAlgoCapGetAttribute", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        // handle, operation, alpha, A and its layout, B, beta, C, D, algorithm, workspace, its bytes, stream
        multiply = function(library, "cublasLtMatmul", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
                JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        destroy = function(library, "cublasLtDestroy", JAVA_LONG);
        create = function(library, "cublasLtCreate", JAVA_LONG);
        MethodHandle version = library.function("cublasLtGetVersion", FunctionDescriptor.of(JAVA_LONG));
        long number = SharedLibrary.call(() -> (long) version.invokeExact());
        description = Cublas.version((int) number) + " (java.lang.foreign, " + library.path() + ")";
    }

    private static MethodHandle function(SharedLibrary library, String name, MemoryLayout... arguments) {
        return library.function(name, FunctionDescriptor.of(JAVA_INT, arguments));
    }

    /** Version, and how bound. */
    String description() {
        return description;
    }

    /** {@code cublasLtCreate}: the handle that the others use. */
    int create() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(JAVA_LONG);
            int status = SharedLibrary.call(() -> (int) create.invokeExact(out.address()));
            handle = out.get(JAVA_LONG, 0);
            return status;
        }
    }

    /** {@code cublasLtMatmulDescCreate}. */
    int createOperation(MemorySegment out, int computeType, int scaleType) {
        return SharedLibrary.call(() -> (int) createOperation.invokeExact(out.address(), computeType, scaleType));
    }

    /** {@code cublasLtMatmulDescSetAttribute}. */
    int setOperation(long operation, int attribute, MemorySegment value) {
        return SharedLibrary.call(() -> (int) setOperation.invokeExact(operation, attribute, value.address(), value.byteSize()));
    }

    /** {@code cublasLtMatmulDescDestroy}. */
    int destroyOperation(long operation) {
        return SharedLibrary.call(() -> (int) destroyOperation.invokeExact(operation));
    }

    /** {@code cublasLtMatrixLayoutCreate}: column-major. */
    int createLayout(MemorySegment out, int type, long rows, long columns, long leadingDimension) {
        return SharedLibrary.call(() -> (int) createLayout.invokeExact(out.address(), type, rows, columns, leadingDimension));
    }

    /** {@code cublasLtMatrixLayoutDestroy}. */
    int destroyLayout(long layout) {
        return SharedLibrary.call(() -> (int) destroyLayout.invokeExact(layout));
    }

    /** {@code cublasLtMatmulPreferenceCreate}. */
    int createPreference(MemorySegment out) {
        return SharedLibrary.call(() -> (int) createPreference.invokeExact(out.address()));
    }

    /** {@code cublasLtMatmulPreferenceSetAttribute}. */
    int setPreference(long preference, int attribute, MemorySegment value) {
        return SharedLibrary.call(() -> (int) setPreference.invokeExact(preference, attribute, value.address(), value.byteSize()));
    }

    /** {@code cublasLtMatmulPreferenceDestroy}. */
    int destroyPreference(long preference) {
        return SharedLibrary.call(() -> (int) destroyPreference.invokeExact(preference));
    }

    /**
     * {@code cublasLtMatmulAlgoGetHeuristic}.
     *
     * @param room  in results
     * @param count of results written
     */
    int heuristics(long operation, long a, long b, long c, long d, long preference, int room, MemorySegment results,
                   MemorySegment count) {
        return SharedLibrary.call(() -> (int) heuristics.invokeExact(handle, operation, a, b, c, d, preference, room,
                results.address(), count.address()));
    }

    /** {@code cublasLtMatmulAlgoConfigGetAttribute}. */
    int configuration(MemorySegment algorithm, int attribute, MemorySegment value, MemorySegment written) {
        return SharedLibrary.call(() -> (int) configuration.invokeExact(algorithm.address(), attribute, value.address(),
                value.byteSize(), written.address()));
    }

    /** {@code cublasLtMatmulAlgoCapGetAttribute}. */
    int capability(MemorySegment algorithm, int attribute, MemorySegment value, MemorySegment written) {
        return SharedLibrary.call(() -> (int) capability.invokeExact(algorithm.address(), attribute, value.address(),
                value.byteSize(), written.address()));
    }

    /** {@code cublasLtMatmul}: addresses of the operands, each with its layout. */
    int multiply(long operation, MemorySegment alpha, long a, long layoutA, long b, long layoutB, MemorySegment beta, long c,
                 long layoutC, long d, long layoutD, MemorySegment algorithm, long workspace, long workspaceBytes, long stream) {
        return SharedLibrary.call(() -> (int) multiply.invokeExact(handle, operation, alpha.address(), a, layoutA, b, layoutB,
                beta.address(), c, layoutC, d, layoutD, algorithm.address(), workspace, workspaceBytes, stream));
    }

    int destroy() {
        return SharedLibrary.call(() -> (int) destroy.invokeExact(handle));
    }
}
