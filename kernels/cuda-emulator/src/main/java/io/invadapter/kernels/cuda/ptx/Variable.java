package io.invadapter.kernels.cuda.ptx;

/**
 * A declared variable.
 *
 * @param space   {@code param}, {@code global}, {@code const}, {@code shared} or {@code local}
 * @param offset  its place in its space; unused for global and const variables
 * @param bytes   its size; 0 for an {@code extern} array without a size
 * @param content initial bytes, or null
 */
record Variable(String name, String space, long offset, long bytes, int align, byte[] content) {
    Variable at(long place) {
        return new Variable(name, space, place, bytes, align, content);
    }

    static long roundUp(long value, int align) {
        return (value + align - 1) / align * align;
    }
}
