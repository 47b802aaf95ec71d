package io.invadapter.kernels.cuda.dnn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import io.invadapter.kernels.cuda.driver.JCudaNatives;
import io.invadapter.kernels.cuda.libraries.SharedLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import jcuda.Pointer;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnHandle;

/** A handle of cuDNN 9, and what every call needs: numbers, statuses by name, the stream. */
final class Cudnn {
    static final int DATA_FLOAT = 0;
    private static final int DATA_HALF = 2;
    private static final int DATA_BFLOAT16 = 9;

    private final Handle handle = new Handle();
    private final MethodHandle setStream;
    private final MethodHandle lastError;
    private long stream;
    private Descriptor described;

    /** JCuda keeps a handle's number to subclasses. */
    private static final class Handle extends cudnnHandle {
        long value() {
            return getNativePointer();
        }
    }

    /** Loads it, which needs no GPU. */
    Cudnn(SharedLibrary library) {
        // JCuda makes no stream from the driver's number, so this one call goes past it; the other it does not have.
        setStream = library.function("cudnnSetStream", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
        lastError = library.function("cudnnGetLastErrorString", FunctionDescriptor.ofVoid(ADDRESS, JAVA_LONG));
        try {
            JCudaNatives.load(() -> JCudnn.setExceptionsEnabled(false));
        } catch (LinkageError e) {
            throw new CudaException("cuDNN cannot be used: JCudnn does not load with " + library.path(), e);
        }
    }

    /** Starts it on the calling thread's current device. */
    void start() {
        check("cudnnCreate", JCudnn.cudnnCreate(handle));
    }

    /**
     * Instead of starting it: proposes and compiles for a device that is not there, whose properties are given as cuDNN writes
     * them. Nothing can be run. From cuDNN 9.11 on.
     */
    void describeDevice(String json) {
        described = new Descriptor(this, Descriptor.DEVICE_PROPERTIES).text(Attribute.DEVICEPROP_JSON_REPRESENTATION, json).finish();
    }

    /** Tells a descriptor which device it is for. An attribute of 0: it does not ask. */
    Descriptor aim(Descriptor descriptor, int handleAttribute, int propertiesAttribute) {
        if (described == null && handleAttribute != 0) {
            descriptor.longs(handleAttribute, Descriptor.TYPE_HANDLE, address());
        }
        if (described != null && propertiesAttribute != 0) {
            descriptor.descriptors(propertiesAttribute, described);
        }
        return descriptor;
    }

    cudnnHandle handle() {
        return handle;
    }

    /** The handle as a number. */
    long address() {
        return handle.value();
    }

    /** Throws when a status is not success. */
    void check(String call, int status) {
        if (status == CudnnStatus.SUCCESS) {
            return;
        }
        if (status == CudnnStatus.HOST_ALLOCATION_FAILED || status == CudnnStatus.DEVICE_ALLOCATION_FAILED) {
            throw new OutOfDeviceMemoryException("there is not enough memory left for cuDNN (" + call + ")");
        }
        String reason = lastError();
        throw new CudaException("cuDNN failed: " + call + " answered " + CudnnStatus.name(status)
                + (reason.isEmpty() ? "" : " (" + reason + ")"));
    }

    /** cuDNN's own words on the last failure. */
    private String lastError() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(1024);
            return SharedLibrary.call(() -> {
                lastError.invokeExact(text, text.byteSize());
                return text.getString(0).strip().replaceAll("\\s+", " ");
            });
        }
    }

    /** All work from now on goes to that stream. */
    void use(CudaDriver.Stream wanted) {
        long address = wanted == null ? 0 : wanted.handle();
        if (address != stream) {
            check("cudnnSetStream", SharedLibrary.call(() -> (int) setStream.invokeExact(handle.value(), address)));
            stream = address;
        }
    }

    void close() {
        check("cudnnDestroy", JCudnn.cudnnDestroy(handle));
    }

    /** {@code cudnnDataType_t}. */
    static int number(DataType type) {
        return switch (type) {
            case FLOAT32 -> DATA_FLOAT;
            case FLOAT16 -> DATA_HALF;
            case BFLOAT16 -> DATA_BFLOAT16;
            case INT32 -> throw new IllegalArgumentException("convolutions are of floating-point tensors, not of " + type);
        };
    }

    /** Device memory. JCuda makes no pointer from a number, but null plus an offset is one. */
    static Pointer at(long address) {
        return new Pointer().withByteOffset(address);
    }
}
