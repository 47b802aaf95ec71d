package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.HostTensor;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * A weight matrix in the layout that oneDNN's fast implementations read. The layout is chosen once, for a representative
 * number of rows, and every primitive is then made for that layout, so that there is one copy of each weight.
 */
record PackedWeights(dnnl_memory_desc layout, long address) {

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
            NativeMemory.view(from, sourceBytes).copyFrom(java.lang.foreign.MemorySegment.ofArray(source.toFloats()));
        } else if (staged) {
            NativeMemory.view(from, sourceBytes).copyFrom(source.data());
        }
        try {
            dnnl_memory_desc plain = OneDnn.strided(sourceType, shape, strides);
            dnnl_primitive_desc descriptor = OneDnn.descriptor("dnnl_reorder_primitive_desc_create", null,
                    (d, a) -> dnnl_reorder_primitive_desc_create(d, plain, oneDnn.engine, layout, oneDnn.engine, a));
            long to = memory.allocate(dnnl_memory_desc_get_size(layout));
            try (Primitive reorder = new Primitive.Builder(oneDnn, descriptor)
                    .argument(DNNL_ARG_FROM, plain)
                    .argument(DNNL_ARG_TO, layout)
                    .build()) {
                reorder.run(from, to);
            }
            return new PackedWeights(layout, to);
        } finally {
            if (staged) {
                memory.free(from, sourceBytes);
            }
        }
    }
}
