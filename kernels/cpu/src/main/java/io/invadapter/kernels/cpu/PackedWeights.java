package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.bytedeco.dnnl.dnnl_memory_desc;

/**
 * A weight in the layout that oneDNN's fast implementations read.
 *
 * @param rounded whether the layout is of float32 values but each is kept as a bfloat16
 * @param stored  address of the values
 */
record PackedWeights(dnnl_memory_desc layout, boolean rounded, long stored) {

    /**
     * Copies {@code source}, seen through {@code shape} and {@code strides}, to {@code layout}.
     *
     * @param shape   in oneDNN's order of axes
     * @param strides of the source, in elements
     * @param rounded whether to keep the float32 values of {@code layout} as bfloat16
     */
    static PackedWeights pack(CpuDevice device, HostTensor source, long[] shape, long[] strides, dnnl_memory_desc layout,
            boolean rounded) {
        OneDnn oneDnn = device.oneDnn();
        NativeMemory memory = oneDnn.memory();
        // The compiler converts to float32 in Java as fast as the memory allows; oneDNN only does on some processors.
        boolean convertible = source.type() == DataType.FLOAT32 || source.type() == DataType.BFLOAT16 && oneDnn.converts(DataType.BFLOAT16);
        DataType sourceType = convertible ? source.type() : DataType.FLOAT32;
        long sourceBytes = source.elements() * sourceType.bytes();
        boolean staged = sourceType != source.type() || !source.data().isNative();
        long from = staged ? memory.allocate(sourceBytes) : source.data().address();
        if (sourceType != source.type()) {
            widen(device, source, NativeMemory.view(from, sourceBytes));
        } else if (staged) {
            NativeMemory.view(from, sourceBytes).copyFrom(source.data());
        }
        try (Descriptors d = oneDnn.descriptors()) {
            PackedWeights packed = reorder(oneDnn, d.strided(sourceType, shape, strides), from, layout);
            return rounded ? packed.round(device) : packed;
        } finally {
            if (staged) {
                memory.free(from, sourceBytes);
            }
        }
    }

    /** Converts {@code source} to float32, on all cores. */
    private static void widen(CpuDevice device, HostTensor source, MemorySegment to) {
        // An arena of one thread would refuse the others.
        MemorySegment data = source.data().isNative() ? NativeMemory.view(source.data().address(), source.data().byteSize()) : source.data();
        Bfloat16.inChunks(device, source.elements(), (start, n) -> {
            float[] part = Floats.read(data.asSlice(start * source.type().bytes()), source.type(), n);
            MemorySegment.copy(part, 0, to, ValueLayout.JAVA_FLOAT, start * Float.BYTES, n);
        });
    }

    /** Keeps each float32 value as a bfloat16, in the same order. */
    private PackedWeights round(CpuDevice device) {
        NativeMemory memory = device.oneDnn().memory();
        try {
            long half = memory.allocate(elements() * Short.BYTES);
            Bfloat16.round(device, stored, half, elements());
            memory.free(stored);
            return new PackedWeights(layout, true, half);
        } catch (RuntimeException e) {
            free(memory);
            throw e;
        }
    }

    /** Values in {@code layout}, which is of float32, with its padding. */
    private long elements() {
        return dnnl_memory_desc_get_size(layout) / Float.BYTES;
    }

    /** Where the values lie in {@code layout} until other weights are asked for. */
    long address(CpuDevice device) {
        if (!rounded) {
            return stored;
        }
        long wide = device.workspace(CpuDevice.WEIGHTS, elements() * Float.BYTES);
        Bfloat16.widen(device, stored, wide, elements());
        return wide;
    }

    /** The same weights in another layout. */
    PackedWeights repack(CpuDevice device, dnnl_memory_desc newLayout) {
        PackedWeights repacked = reorder(device.oneDnn(), layout, address(device), newLayout);
        return rounded ? repacked.round(device) : repacked;
    }

    private static PackedWeights reorder(OneDnn oneDnn, dnnl_memory_desc fromLayout, long from, dnnl_memory_desc layout) {
        PackedWeights packed = new PackedWeights(new dnnl_memory_desc(), false,
                oneDnn.memory().allocate(dnnl_memory_desc_get_size(layout)));
        try (Descriptors d = oneDnn.descriptors()) {
            OneDnn.check("describe a layout of memory", dnnl_memory_desc_clone(packed.layout, layout));
            try (Primitive reorder = Primitive.copy(oneDnn, d, DataType.FLOAT32, fromLayout, layout, d.postOps())) {
                reorder.run(from, packed.stored);
            }
            return packed;
        } catch (RuntimeException | Error e) {
            packed.free(oneDnn.memory());
            throw e;
        }
    }

    void free(NativeMemory memory) {
        memory.free(stored);
        dnnl_memory_desc_destroy(layout);
    }
}
