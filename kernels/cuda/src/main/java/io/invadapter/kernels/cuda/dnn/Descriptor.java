package io.invadapter.kernels.cuda.dnn;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnBackendDescriptor;

/**
 * A descriptor of cuDNN's graph interface: attributes are set, then it is finalised and can only be read. Numbers are those of
 * cudnn_graph.h.
 */
final class Descriptor implements AutoCloseable {
    /** {@code cudnnBackendDescriptorType_t} */
    static final int POINTWISE = 0;
    static final int CONVOLUTION = 1;
    static final int ENGINE = 2;
    static final int ENGINE_CONFIGURATION = 3;
    static final int HEURISTICS = 4;
    static final int EXECUTION_PLAN = 5;
    static final int KNOB_CHOICE = 7;
    static final int OPERATION_CONVOLUTION = 10;
    static final int OPERATION_POINTWISE = 13;
    static final int OPERATION_GRAPH = 15;
    static final int VARIANT_PACK = 16;
    static final int TENSOR = 17;
    static final int MATMUL = 18;
    static final int OPERATION_MATMUL = 19;
    static final int REDUCTION = 21;
    static final int OPERATION_REDUCTION = 22;
    static final int DEVICE_PROPERTIES = 38;

    /** {@code cudnnBackendAttributeType_t} */
    static final int TYPE_HANDLE = 0;
    static final int TYPE_DATA_TYPE = 1;
    static final int TYPE_BOOLEAN = 2;
    static final int TYPE_INT64 = 3;
    static final int TYPE_FLOAT = 4;
    static final int TYPE_POINTER = 6;
    static final int TYPE_CONVOLUTION_MODE = 7;
    static final int TYPE_HEURISTIC_MODE = 8;
    static final int TYPE_KNOB = 9;
    static final int TYPE_NUMERICAL_NOTE = 11;
    static final int TYPE_POINTWISE_MODE = 14;
    static final int TYPE_DESCRIPTOR = 15;
    static final int TYPE_REDUCTION_OPERATOR = 18;
    static final int TYPE_BEHAVIOR_NOTE = 19;
    private static final int TYPE_CHAR = 24;

    private final Cudnn cudnn;
    private final Native descriptor = new Native();

    /** JCuda keeps a descriptor's number to subclasses. */
    private static final class Native extends cudnnBackendDescriptor {
        long value() {
            return getNativePointer();
        }
    }

    Descriptor(Cudnn cudnn, int kind) {
        this.cudnn = cudnn;
        cudnn.check("cudnnBackendCreateDescriptor of kind " + kind, JCudnn.cudnnBackendCreateDescriptor(kind, descriptor));
    }

    /** JCudnn passes on the address in a pointer and nothing else here: no Java array, no buffer. */
    private Descriptor set(int attribute, int type, long count, MemorySegment values) {
        cudnn.check("cudnnBackendSetAttribute of " + attribute, JCudnn.cudnnBackendSetAttribute(descriptor, attribute, type,
                count, Cudnn.at(values.address())));
        return this;
    }

    /** Of a type that C has as a 64-bit number or a pointer. */
    Descriptor longs(int attribute, int type, long... values) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, type, values.length, arena.allocateFrom(JAVA_LONG, values));
        }
    }

    /** Of a type that C has as an enumeration. */
    Descriptor number(int attribute, int type, int value) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, type, 1, arena.allocateFrom(JAVA_INT, value));
        }
    }

    Descriptor float32(int attribute, float value) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, TYPE_FLOAT, 1, arena.allocateFrom(JAVA_FLOAT, value));
        }
    }

    Descriptor truth(int attribute, boolean value) {
        try (Arena arena = Arena.ofConfined()) {
            return set(attribute, TYPE_BOOLEAN, 1, arena.allocateFrom(JAVA_BYTE, (byte) (value ? 1 : 0)));
        }
    }

    Descriptor text(int attribute, String value) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocateFrom(value);
            return set(attribute, TYPE_CHAR, text.byteSize(), text);
        }
    }

    Descriptor descriptors(int attribute, Descriptor... values) {
        long[] addresses = new long[values.length];
        for (int i = 0; i < values.length; i++) {
            addresses[i] = values[i].descriptor.value();
        }
        return longs(attribute, TYPE_DESCRIPTOR, addresses);
    }

    /** After this it can be read and used, and no longer changed. */
    Descriptor finish() {
        cudnn.check("cudnnBackendFinalize", JCudnn.cudnnBackendFinalize(descriptor));
        return this;
    }

    private long get(int attribute, int type, long room, MemorySegment values) {
        long[] count = new long[1];
        cudnn.check("cudnnBackendGetAttribute of " + attribute, JCudnn.cudnnBackendGetAttribute(descriptor, attribute, type,
                room, count, Cudnn.at(values.address())));
        return count[0];
    }

    long int64(int attribute) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_LONG);
            get(attribute, TYPE_INT64, 1, value);
            return value.get(JAVA_LONG, 0);
        }
    }

    /** The numbers of an attribute that C has as an array of enumerations, at most {@code most} of them. */
    List<Integer> numbers(int attribute, int type, int most) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment values = arena.allocate(JAVA_INT, most);
            int count = (int) Math.min(most, get(attribute, type, most, values));
            return IntStream.range(0, count).mapToObj(i -> values.getAtIndex(JAVA_INT, i)).toList();
        }
    }

    /** How many descriptors an attribute has. */
    long count(int attribute) {
        return get(attribute, TYPE_DESCRIPTOR, 0, MemorySegment.NULL);
    }

    /** Lets cuDNN fill descriptors of the right kind with what an attribute has; returns how many it filled. */
    long fill(int attribute, List<Descriptor> made) {
        try (Arena arena = Arena.ofConfined()) {
            long[] addresses = made.stream().mapToLong(d -> d.descriptor.value()).toArray();
            return get(attribute, TYPE_DESCRIPTOR, made.size(), arena.allocateFrom(JAVA_LONG, addresses));
        }
    }

    /** Runs this plan with the memory that {@code variant} names. */
    void execute(Descriptor variant) {
        cudnn.check("cudnnBackendExecute", JCudnn.cudnnBackendExecute(cudnn.handle(), descriptor, variant.descriptor));
    }

    @Override
    public void close() {
        cudnn.check("cudnnBackendDestroyDescriptor", JCudnn.cudnnBackendDestroyDescriptor(descriptor));
    }
}
