package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_post_ops;
import org.bytedeco.dnnl.dnnl_primitive_attr;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.dnnl.dnnl_stream;

/**
 * oneDNN's C API, as far as the CPU device needs it: one engine, one stream, one scratchpad, and every primitive made
 * once for each shape, as long as there are not too many shapes.
 */
final class OneDnn implements AutoCloseable {
    /** One size of pictures needs a few hundred; each takes some tens of kilobytes of code. */
    private static final int MOST_PRIMITIVES = 1024;
    /** By shape and implementation: loading a model packs many weights of the same shape. */
    private static final int CACHED_BY_ONEDNN = 1024;

    /** That compute, the calling one included. */
    final int threads = Threads.count();
    private final NativeMemory memory = new NativeMemory();
    /** Those used longest ago come first. */
    private final Map<List<Object>, Primitive> primitives = new LinkedHashMap<>(16, 0.75f, true);
    final dnnl_engine engine = new dnnl_engine();
    final dnnl_stream stream = new dnnl_stream();
    private long scratchpad;
    private long scratchpadBytes;

    OneDnn() {
        check("dnnl_engine_create", dnnl_engine_create(engine, dnnl_cpu, 0));
        check("dnnl_stream_create", dnnl_stream_create(stream, engine, dnnl_stream_default_flags));
    }

    static void check(String call, int status) {
        if (status != dnnl_success) {
            throw new DeviceException("oneDNN's " + call + " failed with status " + status);
        }
    }

    static int type(DataType type) {
        return switch (type) {
            case FLOAT32 -> dnnl_f32;
            case FLOAT16 -> dnnl_f16;
            case BFLOAT16 -> dnnl_bf16;
            case INT32 -> dnnl_s32;
        };
    }

    // --- memory descriptors -----------------------------------------------------------------------------------------

    /** Row-major. */
    static dnnl_memory_desc rowMajor(DataType type, long... shape) {
        long[] strides = new long[shape.length];
        long stride = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= shape[i];
        }
        return strided(type, shape, strides);
    }

    static dnnl_memory_desc strided(DataType type, long[] shape, long[] strides) {
        dnnl_memory_desc descriptor = new dnnl_memory_desc();
        check("dnnl_memory_desc_create_with_strides",
                dnnl_memory_desc_create_with_strides(descriptor, shape.length, shape, type(type), strides));
        return descriptor;
    }

    /** A feature map stored {@code [B, H, W, C]}; oneDNN's logical order is always {@code B, C, H, W}. */
    static dnnl_memory_desc featureMap(DataType type, long b, long h, long w, long c) {
        return strided(type, new long[] {b, c, h, w}, new long[] {h * w * c, 1, w * c, c});
    }

    /** Whatever layout the primitive likes best. */
    static dnnl_memory_desc any(DataType type, long... shape) {
        dnnl_memory_desc descriptor = new dnnl_memory_desc();
        check("dnnl_memory_desc_create_with_tag", dnnl_memory_desc_create_with_tag(descriptor, shape.length, shape,
                type(type), dnnl_format_tag_any));
        return descriptor;
    }

    /** A copy that outlives the primitive descriptor it was asked of. */
    static dnnl_memory_desc copyOf(dnnl_memory_desc layout) {
        dnnl_memory_desc copy = new dnnl_memory_desc();
        check("dnnl_memory_desc_clone", dnnl_memory_desc_clone(copy, layout));
        return copy;
    }

    // --- attributes -------------------------------------------------------------------------------------------------

    /** What is done to a primitive's result before it is stored, in the order of the calls. */
    static final class PostOps {
        private final dnnl_post_ops ops = new dnnl_post_ops();

        PostOps() {
            check("dnnl_post_ops_create", dnnl_post_ops_create(ops));
        }

        PostOps eltwise(int algorithm, float alpha, float beta) {
            check("dnnl_post_ops_append_eltwise", dnnl_post_ops_append_eltwise(ops, algorithm, alpha, beta));
            return this;
        }

        PostOps silu() {
            return eltwise(dnnl_eltwise_swish, 1, 0);
        }

        PostOps scale(float factor) {
            return eltwise(dnnl_eltwise_linear, factor, 0);
        }

        PostOps binary(int algorithm, dnnl_memory_desc operand) {
            check("dnnl_post_ops_append_binary", dnnl_post_ops_append_binary(ops, algorithm, operand));
            return this;
        }

        /** Adds what the destination held before. */
        PostOps sum() {
            check("dnnl_post_ops_append_sum", dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef));
            return this;
        }
    }

    /** Attributes with {@code postOps}; the scratchpad is ours, so that all primitives share one. */
    static dnnl_primitive_attr attributes(PostOps postOps) {
        dnnl_primitive_attr attributes = new dnnl_primitive_attr();
        check("dnnl_primitive_attr_create", dnnl_primitive_attr_create(attributes));
        check("dnnl_primitive_attr_set_scratchpad_mode",
                dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
        if (postOps != null) {
            check("dnnl_primitive_attr_set_post_ops", dnnl_primitive_attr_set_post_ops(attributes, postOps.ops));
            dnnl_post_ops_destroy(postOps.ops);
        }
        return attributes;
    }

    // --- primitives -------------------------------------------------------------------------------------------------

    /** A call that fills in a primitive descriptor. */
    interface Maker {
        int make(dnnl_primitive_desc descriptor, dnnl_primitive_attr attributes);
    }

    static dnnl_primitive_desc descriptor(String what, PostOps postOps, Maker maker) {
        dnnl_primitive_attr attributes = attributes(postOps);
        dnnl_primitive_desc descriptor = new dnnl_primitive_desc();
        check(what, maker.make(descriptor, attributes));
        dnnl_primitive_attr_destroy(attributes);
        return descriptor;
    }

    /** The primitive known under {@code key}, made by {@code maker} when there is none; to be run before the next is asked for. */
    Primitive primitive(List<Object> key, Supplier<Primitive> maker) {
        Primitive known = primitives.get(key);
        if (known == null) {
            if (primitives.size() >= MOST_PRIMITIVES) {
                Iterator<Primitive> oldest = primitives.values().iterator();
                oldest.next().close();
                oldest.remove();
            }
            known = maker.get();
            primitives.put(key, known);
        }
        return known;
    }

    /** At least {@code bytes} of memory that a primitive may overwrite while it runs. */
    long scratchpad(long bytes) {
        if (bytes > scratchpadBytes) {
            if (scratchpad != 0) {
                memory.free(scratchpad, scratchpadBytes);
                scratchpadBytes = 0;
            }
            scratchpad = memory.allocate(bytes);
            scratchpadBytes = bytes;
        }
        return scratchpad;
    }

    NativeMemory memory() {
        return memory;
    }

    /** Frees what can be made again. */
    void trim() {
        primitives.values().forEach(Primitive::close);
        primitives.clear();
        if (scratchpad != 0) {
            memory.free(scratchpad, scratchpadBytes);
            scratchpad = 0;
            scratchpadBytes = 0;
        }
        // oneDNN keeps primitives of its own accord, those of closed devices too.
        dnnl_set_primitive_cache_capacity(0);
        dnnl_set_primitive_cache_capacity(CACHED_BY_ONEDNN);
    }

    @Override
    public void close() {
        trim();
        dnnl_stream_destroy(stream);
        dnnl_engine_destroy(engine);
    }
}
