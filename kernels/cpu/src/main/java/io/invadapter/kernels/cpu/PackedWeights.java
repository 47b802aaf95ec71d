package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.HostTensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * A weight in the layout that oneDNN's fast implementations read.
 */
record PackedWeights(dnnl_memory_desc layout, long address) {
    private static final int CHUNK = 1 << 16;

    /**
     * Copies {@code source}, seen through {@code shape} and {@code strides}, to {@code layout}.
     *
     * @param shape   in oneDNN's order of axes
     * @param strides of the source, in elements
     */
    static PackedWeights pack(OneDnn oneDnn, HostTensor source, long[] shape, long[] strides, dnnl_memory_desc layout) {
        NativeMemory memory = oneDnn.memory();
        // The compiler converts float16 in Java as fast as the memory allows; oneDNN only does on some processors.
        DataType sourceType = source.type() == DataType.FLOAT16 ? DataType.FLOAT32 : source.type();
        long sourceBytes = source.elements() * sourceType.bytes();
        boolean staged = sourceType != source.type() || !source.data().isNative();
        long from = staged ? memory.allocate(sourceBytes) : source.data().address();
        if (sourceType != source.type()) {
            widen(source, NativeMemory.view(from, sourceBytes));
        } else if (staged) {
            NativeMemory.view(from, sourceBytes).copyFrom(source.data());
        }
        try (Descriptors d = oneDnn.descriptors()) {
            return reorder(oneDnn, d.strided(sourceType, shape, strides), from, layout);
        } finally {
            if (staged) {
                memory.free(from, sourceBytes);
            }
        }
    }

    /** Converts {@code source} to float32, on all cores. */
    private static void widen(HostTensor source, MemorySegment to) {
        int chunks = Math.toIntExact((source.elements() + CHUNK - 1) / CHUNK);
        IntStream.range(0, chunks).parallel().forEach(chunk -> {
            long start = (long) chunk * CHUNK;
            int elements = (int) Math.min(CHUNK, source.elements() - start);
            float[] part = Floats.read(source.data().asSlice(start * source.type().bytes()), source.type(), elements);
            MemorySegment.copy(part, 0, to, ValueLayout.JAVA_FLOAT, start * Float.BYTES, elements);
        });
    }

    /** The same weights in another layout. */
    PackedWeights repack(OneDnn oneDnn, dnnl_memory_desc newLayout) {
        return reorder(oneDnn, layout, address, newLayout);
    }

    private static PackedWeights reorder(OneDnn oneDnn, dnnl_memory_desc fromLayout, long from, dnnl_memory_desc layout) {
        PackedWeights packed = new PackedWeights(new dnnl_memory_desc(), oneDnn.memory().allocate(dnnl_memory_desc_get_size(layout)));
        try (Descriptors d = oneDnn.descriptors()) {
            OneDnn.check("dnnl_memory_desc_clone", dnnl_memory_desc_clone(packed.layout, layout));
            dnnl_primitive_desc descriptor = d.primitive("dnnl_reorder_primitive_desc_create", d.postOps(),
                    (made, engine, attributes) -> dnnl_reorder_primitive_desc_create(made, fromLayout, engine, layout, engine, attributes));
            try (Primitive reorder = new Primitive.Builder(oneDnn, descriptor)
                    .argument(DNNL_ARG_FROM, fromLayout)
                    .argument(DNNL_ARG_TO, layout)
                    .build()) {
                reorder.run(from, packed.address);
            }
            return packed;
        } catch (RuntimeException | Error e) {
            packed.free(oneDnn.memory());
            throw e;
        }
    }

    void free(NativeMemory memory) {
        memory.free(address);
        dnnl_memory_desc_destroy(layout);
    }
}
