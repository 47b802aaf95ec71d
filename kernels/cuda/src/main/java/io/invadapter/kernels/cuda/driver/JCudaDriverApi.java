package io.invadapter.kernels.cuda.driver;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * The driver of a real GPU, by way of JCuda. It needs NVIDIA's driver ({@code libcuda.so.1}) and nothing else of CUDA.
 *
 * <p>Works in the device's primary context, which other libraries in the process (cuBLAS, cuDNN) share. Any thread may call;
 * each call makes that context the thread's current one.
 */
public final class JCudaDriverApi implements CudaDriver {
    /** Copies go in pieces that a ByteBuffer can hold. */
    private static final long PIECE = 1L << 30;

    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final String name;
    private final int capability;

    private JCudaDriverApi(int ordinal) {
        check("cuDeviceGet", JCudaDriver.cuDeviceGet(device, ordinal));
        byte[] text = new byte[256];
        check("cuDeviceGetName", JCudaDriver.cuDeviceGetName(text, text.length, device));
        int length = 0;
        while (length < text.length && text[length] != 0) {
            length++;
        }
        name = new String(text, 0, length, StandardCharsets.US_ASCII);
        capability = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) * 10
                + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
        if (capability < 80) {
            throw new CudaException("GPU " + ordinal + " (" + name + ") has compute capability " + capability / 10 + "."
                    + capability % 10 + "; 8.0 or newer is needed");
        }
        check("cuDevicePrimaryCtxRetain", JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
    }

    /**
     * Opens the GPU with that number.
     *
     * @throws CudaException when there is no driver, no such GPU, or it is older than compute capability 8.0
     */
    public static JCudaDriverApi open(int ordinal) {
        int[] count = new int[1];
        try {
            JCudaDriver.setExceptionsEnabled(false);
            check("cuInit", JCudaDriver.cuInit(0));
            check("cuDeviceGetCount", JCudaDriver.cuDeviceGetCount(count));
        } catch (LinkageError e) {
            throw new CudaException("CUDA cannot be used: NVIDIA's driver (libcuda.so.1) or JCuda's native library could not"
                    + " be loaded", e);
        }
        if (ordinal < 0 || ordinal >= count[0]) {
            throw new CudaException("There is no GPU " + ordinal + ": the driver knows " + count[0]);
        }
        return new JCudaDriverApi(ordinal);
    }

    private int attribute(int which) {
        int[] value = new int[1];
        check("cuDeviceGetAttribute", JCudaDriver.cuDeviceGetAttribute(value, which, device));
        return value[0];
    }

    private static void check(String call, int result) {
        if (result != CUresult.CUDA_SUCCESS) {
            throw new CudaException(call + " failed: " + CUresult.stringFor(result));
        }
    }

    private void enter() {
        check("cuCtxSetCurrent", JCudaDriver.cuCtxSetCurrent(context));
    }

    @Override
    public String deviceName() {
        return name;
    }

    @Override
    public int computeCapability() {
        return capability;
    }

    /** JCuda keeps a pointer's number to subclasses. */
    private static final class Address extends CUdeviceptr {
        long value() {
            return getNativePointer() + getByteOffset();
        }
    }

    /** JCuda makes no pointer from a number, but null plus an offset is one. */
    private static CUdeviceptr at(long address) {
        return new CUdeviceptr().withByteOffset(address);
    }

    @Override
    public long allocate(long bytes) {
        enter();
        Address address = new Address();
        check("cuMemAlloc of " + bytes + " bytes", JCudaDriver.cuMemAlloc(address, bytes));
        return address.value();
    }

    @Override
    public void free(long address) {
        enter();
        check("cuMemFree", JCudaDriver.cuMemFree(at(address)));
    }

    /** A piece of host memory as JCuda wants it. */
    private static Pointer host(MemorySegment memory, long offset, long bytes) {
        ByteBuffer buffer = memory.asSlice(offset, bytes).asByteBuffer();
        if (!buffer.isDirect()) {
            throw new IllegalArgumentException("host memory is on the Java heap, expected a native segment");
        }
        return Pointer.to(buffer);
    }

    @Override
    public void copyIn(long address, MemorySegment source, long bytes) {
        enter();
        for (long done = 0; done < bytes; done += PIECE) {
            long piece = Math.min(PIECE, bytes - done);
            check("cuMemcpyHtoD", JCudaDriver.cuMemcpyHtoD(at(address + done), host(source, done, piece), piece));
        }
    }

    @Override
    public void copyOut(MemorySegment target, long address, long bytes) {
        synchronize();
        for (long done = 0; done < bytes; done += PIECE) {
            long piece = Math.min(PIECE, bytes - done);
            check("cuMemcpyDtoH", JCudaDriver.cuMemcpyDtoH(host(target, done, piece), at(address + done), piece));
        }
    }

    @Override
    public void fill(long address, byte value, long bytes) {
        enter();
        check("cuMemsetD8", JCudaDriver.cuMemsetD8(at(address), value, bytes));
        // Unlike copies, a fill returns before it is done.
        synchronize();
    }

    @Override
    public Module load(String ptx) {
        enter();
        CUmodule module = new CUmodule();
        check("cuModuleLoadData", JCudaDriver.cuModuleLoadData(module, ptx));
        return wanted -> {
            enter();
            CUfunction function = new CUfunction();
            check("cuModuleGetFunction of " + wanted, JCudaDriver.cuModuleGetFunction(function, module, wanted));
            return new JCudaFunction(wanted, function);
        };
    }

    private final class JCudaFunction implements Function {
        private final String name;
        private final CUfunction function;

        JCudaFunction(String name, CUfunction function) {
            this.name = name;
            this.function = function;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public void allowSharedBytes(int bytes) {
            enter();
            check("cuFuncSetAttribute of " + name + " to " + bytes + " bytes of shared memory",
                    JCudaDriver.cuFuncSetAttribute(function,
                            CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes));
        }
    }

    private final class JCudaStream implements Stream {
        private final CUstream stream = new CUstream();

        JCudaStream() {
            enter();
            check("cuStreamCreate", JCudaDriver.cuStreamCreate(stream, 0));
        }

        @Override
        public void synchronize() {
            enter();
            check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(stream));
        }

        @Override
        public void close() {
            enter();
            check("cuStreamDestroy", JCudaDriver.cuStreamDestroy(stream));
        }
    }

    private final class JCudaEvent implements Event {
        private final CUevent event = new CUevent();

        JCudaEvent() {
            enter();
            check("cuEventCreate", JCudaDriver.cuEventCreate(event, 0));
        }

        @Override
        public void record(Stream stream) {
            enter();
            check("cuEventRecord", JCudaDriver.cuEventRecord(event, handle(stream)));
        }

        @Override
        public float millisecondsSince(Event earlier) {
            enter();
            float[] milliseconds = new float[1];
            check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(event));
            check("cuEventElapsedTime",
                    JCudaDriver.cuEventElapsedTime(milliseconds, ((JCudaEvent) earlier).event, event));
            return milliseconds[0];
        }

        @Override
        public void close() {
            enter();
            check("cuEventDestroy", JCudaDriver.cuEventDestroy(event));
        }
    }

    private static CUstream handle(Stream stream) {
        return stream == null ? null : ((JCudaStream) stream).stream;
    }

    @Override
    public Stream newStream() {
        return new JCudaStream();
    }

    @Override
    public Event newEvent() {
        return new JCudaEvent();
    }

    @Override
    public void launch(Function function, Grid grid, int threads, int sharedBytes, Stream stream, Parameters parameters) {
        enter();
        Pointer[] pointers = parameters.separate().stream().map(Pointer::to).toArray(Pointer[]::new);
        check("launch of " + function.name(),
                JCudaDriver.cuLaunchKernel(((JCudaFunction) function).function, grid.x(), grid.y(), grid.z(), threads, 1, 1,
                        sharedBytes, handle(stream), Pointer.to(pointers), null));
    }

    @Override
    public void synchronize() {
        enter();
        check("cuCtxSynchronize", JCudaDriver.cuCtxSynchronize());
    }

    /** Gives the device's primary context back; what was loaded and allocated goes with it when nobody else holds it. */
    @Override
    public void close() {
        check("cuDevicePrimaryCtxRelease", JCudaDriver.cuDevicePrimaryCtxRelease(device));
    }
}
