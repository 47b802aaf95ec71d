package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_post_ops;
import org.bytedeco.dnnl.dnnl_primitive_attr;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;

/**
 * What oneDNN is told about a primitive before it makes it: layouts of memory, what is done to the result, the operator itself.
 * All of it is native memory that is needed no longer once the primitive is made; closing frees it.
 */
final class Descriptors implements AutoCloseable {
    private final dnnl_engine engine;
    private final List<Runnable> owned = new ArrayList<>();

    Descriptors(dnnl_engine engine) {
        this.engine = engine;
    }

    // --- layouts ----------------------------------------------------------------------------------------------------

    /** Row-major. */
    dnnl_memory_desc rowMajor(DataType type, long... shape) {
        long[] strides = new long[shape.length];
        long stride = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            strides[i] = stride;
            stride *= shape[i];
        }
        return strided(type, shape, strides);
    }

    dnnl_memory_desc strided(DataType type, long[] shape, long[] strides) {
        return strided(OneDnn.type(type), shape, strides);
    }

    /** For copies, of whatever. */
    dnnl_memory_desc bytes(long[] shape, long[] strides) {
        return strided(dnnl_u8, shape, strides);
    }

    private dnnl_memory_desc strided(int type, long[] shape, long[] strides) {
        dnnl_memory_desc layout = new dnnl_memory_desc();
        OneDnn.check("describe a layout of memory",
                dnnl_memory_desc_create_with_strides(layout, shape.length, shape, type, strides));
        return owned(layout);
    }

    /** A feature map stored {@code [B, H, W, C]}; oneDNN's logical order is always {@code B, C, H, W}. */
    dnnl_memory_desc featureMap(DataType type, long b, long h, long w, long c) {
        return strided(type, new long[] {b, c, h, w}, new long[] {h * w * c, 1, w * c, c});
    }

    /** Whatever layout the primitive likes best. */
    dnnl_memory_desc any(DataType type, long... shape) {
        dnnl_memory_desc layout = new dnnl_memory_desc();
        OneDnn.check("describe a layout of memory",
                dnnl_memory_desc_create_with_tag(layout, shape.length, shape, OneDnn.type(type), dnnl_format_tag_any));
        return owned(layout);
    }

    private dnnl_memory_desc owned(dnnl_memory_desc layout) {
        owned.add(() -> dnnl_memory_desc_destroy(layout));
        return layout;
    }

    /** The layout in which {@code primitive} wants its weights; it lives as long as these descriptors. */
    static dnnl_memory_desc weightsOf(dnnl_primitive_desc primitive) {
        return dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0);
    }

    // --- attributes -------------------------------------------------------------------------------------------------

    /** What is done to a primitive's result before it is stored, in the order of the calls. */
    static final class PostOps {
        private final dnnl_post_ops ops = new dnnl_post_ops();

        PostOps eltwise(int algorithm, float alpha, float beta) {
            OneDnn.check("describe an operator", dnnl_post_ops_append_eltwise(ops, algorithm, alpha, beta));
            return this;
        }

        PostOps silu() {
            return eltwise(dnnl_eltwise_swish, 1, 0);
        }

        PostOps scale(float factor) {
            return eltwise(dnnl_eltwise_linear, factor, 0);
        }

        PostOps binary(int algorithm, dnnl_memory_desc operand) {
            OneDnn.check("describe an operator", dnnl_post_ops_append_binary(ops, algorithm, operand));
            return this;
        }

        /** Adds what the destination held before. */
        PostOps sum() {
            OneDnn.check("describe an operator", dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef));
            return this;
        }
    }

    /** None yet. */
    PostOps postOps() {
        PostOps postOps = new PostOps();
        OneDnn.check("describe an operator", dnnl_post_ops_create(postOps.ops));
        owned.add(() -> dnnl_post_ops_destroy(postOps.ops));
        return postOps;
    }

    /** Attributes with {@code postOps}; the scratchpad is ours, so that all primitives share one. */
    private dnnl_primitive_attr attributes(PostOps postOps) {
        dnnl_primitive_attr attributes = new dnnl_primitive_attr();
        OneDnn.check("describe an operator", dnnl_primitive_attr_create(attributes));
        owned.add(() -> dnnl_primitive_attr_destroy(attributes));
        OneDnn.check("describe an operator",
                dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
        OneDnn.check("describe an operator", dnnl_primitive_attr_set_post_ops(attributes, postOps.ops));
        return attributes;
    }

    // --- primitives -------------------------------------------------------------------------------------------------

    /** A call that fills in a primitive descriptor. */
    interface Maker {
        int make(dnnl_primitive_desc primitive, dnnl_engine engine, dnnl_primitive_attr attributes);
    }

    /** oneDNN has no implementation of an operator. */
    static final class Unimplemented extends DeviceException {
        private static final long serialVersionUID = 1;

        private Unimplemented(String operator, DataType type) {
            super("oneDNN has no " + operator + " in " + type.name().toLowerCase(Locale.ROOT) + " for " + InstructionSet.name());
        }
    }

    /**
     * @param operator in words, for messages
     * @param type     of what it reads
     * @throws Unimplemented when there is no such operator for this processor
     */
    dnnl_primitive_desc primitive(String operator, DataType type, PostOps postOps, Maker maker) {
        dnnl_primitive_attr attributes = attributes(postOps);
        dnnl_primitive_desc primitive = new dnnl_primitive_desc();
        int status = maker.make(primitive, engine, attributes);
        if (status == dnnl_unimplemented) {
            throw new Unimplemented(operator, type);
        }
        OneDnn.check("prepare a " + operator, status);
        owned.add(() -> dnnl_primitive_desc_destroy(primitive));
        return primitive;
    }

    /** Whether oneDNN only has a plain loop for {@code primitive}, a hundred times slower than what it has for others. */
    static boolean isPlain(dnnl_primitive_desc primitive) {
        try (PointerPointer<BytePointer> name = new PointerPointer<>(1)) {
            OneDnn.check("describe an operator", dnnl_primitive_desc_query(primitive, dnnl_query_impl_info_str, 0, name));
            return isPlain(System.getProperty("os.arch"), name.get(BytePointer.class).getString());
        }
    }

    /** The product that oneDNN has for bfloat16 on ARM, whatever its name says, takes ten times as long as that for float32. */
    static boolean isPlain(String architecture, String implementation) {
        return implementation.startsWith("ref") || architecture.equals("aarch64") && implementation.equals("gemm:jit:bf16");
    }

    @Override
    public void close() {
        owned.forEach(Runnable::run);
        owned.clear();
    }
}
