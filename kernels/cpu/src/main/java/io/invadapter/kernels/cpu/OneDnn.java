package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.dnnl.dnnl_stream;

/**
 * oneDNN's C API, as far as the CPU device needs it: one engine, one stream, one scratchpad, and every primitive made
 * once for each shape, as long as there are not too many shapes.
 */
final class OneDnn implements AutoCloseable {
    /** One size of pictures needs a few hundred. */
    private static final int MOST_PRIMITIVES = 1024;
    /** What a primitive makes the process grow by, code and all: measured. */
    private static final long OF_A_PRIMITIVE = 192L << 10;
    /** By shape and implementation: loading a model packs many weights of the same shape. */
    private static final int CACHED_BY_ONEDNN = 1024;

    /** That compute, the calling one included. */
    final int threads;
    private final NativeMemory memory = new NativeMemory();
    /** Those used longest ago come first. */
    private final Map<List<Object>, Primitive> primitives = new LinkedHashMap<>(16, 0.75f, true);
    private final Map<List<Object>, Boolean> fast = new HashMap<>();
    private final Map<List<Object>, DataType> computing = new HashMap<>();
    final dnnl_engine engine = new dnnl_engine();
    final dnnl_stream stream = new dnnl_stream();
    /** Run before every primitive; may throw to end the work. */
    Runnable whileComputing = () -> { };
    private boolean closed;
    private final Workspace scratchpad = new Workspace(memory);

    OneDnn(int threads) {
        this.threads = threads;
        memory.expectThreads(threads - 1);
        check("start", dnnl_engine_create(engine, dnnl_cpu, 0));
        check("start", dnnl_stream_create(stream, engine, dnnl_stream_default_flags));
    }

    /**
     * Makes an exception of a call's status.
     *
     * @param work what was to be done, in words: "compute"
     */
    static void check(String work, int status) {
        switch (status) {
            case dnnl_success -> { }
            case dnnl_out_of_memory -> throw new OutOfDeviceMemoryException("out of memory: oneDNN found too little to " + work);
            case dnnl_unimplemented -> throw new DeviceException("oneDNN cannot " + work + ": it has no code for it on this processor ("
                    + InstructionSet.name() + ")");
            case dnnl_invalid_arguments -> throw new DeviceException("oneDNN cannot " + work + ": the sizes do not fit");
            default -> throw new DeviceException("oneDNN failed to " + work + " (its status " + status + ")");
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

    /** Describes an operator on elements of a type. */
    interface Operator {
        dnnl_primitive_desc describe(Descriptors d, DataType type);
    }

    /**
     * What an operator on {@code type} computes in: {@code type}, or float32 where oneDNN has no implementation of it for this
     * processor, or has a fast one in float32 only.
     */
    DataType computing(DataType type, Operator operator) {
        if (type == DataType.FLOAT32) {
            return type;
        }
        try (Descriptors d = descriptors()) {
            return Descriptors.isPlain(operator.describe(d, type)) && !Descriptors.isPlain(operator.describe(d, DataType.FLOAT32))
                    ? DataType.FLOAT32 : type;
        } catch (Descriptors.Unimplemented e) {
            return DataType.FLOAT32;
        }
    }

    /** The same of an operator that is asked for again and again. */
    DataType computing(String name, DataType type, Operator operator) {
        return computing.computeIfAbsent(List.of(name, type), k -> computing(type, operator));
    }

    /** Whether oneDNN has an operator on {@code type}, and as more than a plain loop. */
    boolean isFast(String name, DataType type, Operator operator) {
        return fast.computeIfAbsent(List.of(name, type), k -> {
            try (Descriptors d = descriptors()) {
                return !Descriptors.isPlain(operator.describe(d, type));
            } catch (Descriptors.Unimplemented e) {
                return false;
            }
        });
    }

    /** Whether layers on bfloat16 are computed in float32. */
    boolean widensBfloat16() {
        return computing("layer", DataType.BFLOAT16, (d, t) -> CpuLinear.typical(d, t, 64, 64, true)) == DataType.FLOAT32;
    }

    /** Whether oneDNN copies from {@code type} to float32. */
    boolean converts(DataType type) {
        return computing("conversion", type, (d, t) -> d.primitive("conversion", t, d.postOps(), (made, engine, attributes) ->
                dnnl_reorder_primitive_desc_create(made, d.rowMajor(t, 64, 64), engine, d.rowMajor(DataType.FLOAT32, 64, 64), engine,
                        attributes))) == type;
    }

    /**
     * To make a primitive from.
     *
     * @throws IllegalStateException after {@link #close}
     */
    Descriptors descriptors() {
        requireOpen();
        return new Descriptors(engine);
    }

    /** The primitive known under {@code key}, made by {@code maker} when there is none; to be run before the next is asked for. */
    Primitive primitive(List<Object> key, Function<Descriptors, Primitive> maker) {
        Primitive known = primitives.get(key);
        if (known == null) {
            if (primitives.size() >= MOST_PRIMITIVES) {
                Iterator<Primitive> oldest = primitives.values().iterator();
                oldest.next().close();
                oldest.remove();
                memory.giveBack(OF_A_PRIMITIVE);
            }
            memory.take(OF_A_PRIMITIVE);
            try (Descriptors descriptors = descriptors()) {
                known = maker.apply(descriptors);
                primitives.put(key, known);
            } finally {
                if (known == null) {
                    memory.giveBack(OF_A_PRIMITIVE);
                }
            }
        }
        return known;
    }

    /** At least {@code bytes} of memory that a primitive may overwrite while it runs. */
    long scratchpad(long bytes) {
        return scratchpad.atLeast(bytes);
    }

    NativeMemory memory() {
        return memory;
    }

    /** Frees what can be made again. */
    void trim() {
        primitives.values().forEach(Primitive::close);
        memory.giveBack(OF_A_PRIMITIVE * primitives.size());
        primitives.clear();
        scratchpad.free();
        // oneDNN keeps primitives of its own accord, those of closed devices too.
        dnnl_set_primitive_cache_capacity(0);
        dnnl_set_primitive_cache_capacity(CACHED_BY_ONEDNN);
    }

    boolean isClosed() {
        return closed;
    }

    /** @throws IllegalStateException after {@link #close} */
    void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
    }

    @Override
    public void close() {
        closed = true;
        trim();
        dnnl_stream_destroy(stream);
        dnnl_engine_destroy(engine);
    }
}
