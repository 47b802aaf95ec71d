package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cpu.NativeMemory.Address;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.dnnl.dnnl_exec_arg_t;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/** A oneDNN primitive with its arguments laid out, ready to run on addresses. */
final class Primitive implements AutoCloseable {
    private static final int ARGUMENT_BYTES = new dnnl_exec_arg_t(null).sizeof();

    private final OneDnn oneDnn;
    private final dnnl_primitive primitive = new dnnl_primitive();
    private final List<dnnl_memory> memories = new ArrayList<>();
    /** In memory of our own: JavaCPP's is collected, and counted against limits that other libraries set. */
    private final dnnl_exec_arg_t arguments;
    private final long argumentsAddress;
    private final Address address = new Address(0);
    private final long scratchpadBytes;

    /** Copies from one layout to another, {@code from} and {@code to} being its arguments; {@code type} is for messages. */
    static Primitive copy(OneDnn oneDnn, Descriptors d, DataType type, dnnl_memory_desc from, dnnl_memory_desc to,
            Descriptors.PostOps postOps) {
        dnnl_primitive_desc descriptor = d.primitive("copy", type, postOps, (made, engine, attributes) ->
                dnnl_reorder_primitive_desc_create(made, from, engine, to, engine, attributes));
        return new Builder(oneDnn, descriptor).argument(DNNL_ARG_FROM, from).argument(DNNL_ARG_TO, to).build();
    }

    /** Collects the arguments of a primitive in the order in which {@link #run} takes their addresses. */
    static final class Builder {
        private final OneDnn oneDnn;
        private final dnnl_primitive_desc descriptor;
        private final List<Integer> ids = new ArrayList<>();
        private final List<dnnl_memory_desc> layouts = new ArrayList<>();

        Builder(OneDnn oneDnn, dnnl_primitive_desc descriptor) {
            this.oneDnn = oneDnn;
            this.descriptor = descriptor;
        }

        Builder argument(int id, dnnl_memory_desc layout) {
            ids.add(id);
            layouts.add(layout);
            return this;
        }

        /** The operand of the binary post-op at {@code index}. */
        Builder postOpArgument(int index, dnnl_memory_desc layout) {
            return argument(DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE * (index + 1) | DNNL_ARG_SRC_1, layout);
        }

        Primitive build() {
            return new Primitive(this);
        }
    }

    private Primitive(Builder b) {
        this.oneDnn = b.oneDnn;
        dnnl_memory_desc scratchpad = dnnl_primitive_desc_query_md(b.descriptor, dnnl_query_scratchpad_md, 0);
        this.scratchpadBytes = scratchpad == null ? 0 : dnnl_memory_desc_get_size(scratchpad);
        if (scratchpadBytes > 0) {
            b.argument(DNNL_ARG_SCRATCHPAD, scratchpad);
        }
        this.argumentsAddress = oneDnn.memory().allocate((long) b.ids.size() * ARGUMENT_BYTES);
        this.arguments = new dnnl_exec_arg_t(new Address(argumentsAddress));
        try {
            OneDnn.check("prepare an operator", dnnl_primitive_create(primitive, b.descriptor));
            for (int i = 0; i < b.ids.size(); i++) {
                dnnl_memory memory = new dnnl_memory();
                OneDnn.check("prepare an operator", dnnl_memory_create(memory, b.layouts.get(i), oneDnn.engine, null));
                memories.add(memory);
                arguments.position(i).arg(b.ids.get(i)).memory(memory);
            }
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
        arguments.position(0);
    }

    /** Runs on one address for each argument and waits. */
    void run(long... addresses) {
        oneDnn.whileComputing.run();
        for (int i = 0; i < addresses.length; i++) {
            handle(i, addresses[i]);
        }
        if (scratchpadBytes > 0) {
            handle(memories.size() - 1, oneDnn.scratchpad(scratchpadBytes));
        }
        OneDnn.check("compute",
                dnnl_primitive_execute(primitive, oneDnn.stream, memories.size(), arguments));
        OneDnn.check("compute", dnnl_stream_wait(oneDnn.stream));
    }

    private void handle(int argument, long at) {
        OneDnn.check("compute", dnnl_memory_set_data_handle(memories.get(argument), address.at(at)));
    }

    @Override
    public void close() {
        memories.forEach(memory -> dnnl_memory_destroy(memory));
        dnnl_primitive_destroy(primitive);
        oneDnn.memory().free(argumentsAddress);
    }
}
