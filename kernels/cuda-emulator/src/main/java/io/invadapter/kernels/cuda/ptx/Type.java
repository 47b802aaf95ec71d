package io.invadapter.kernels.cuda.ptx;

import java.util.HashMap;
import java.util.Map;

/** The fundamental and alternate types of PTX. */
enum Type {
    PRED(0, Kind.BITS),
    B8(1, Kind.BITS), U8(1, Kind.UNSIGNED), S8(1, Kind.SIGNED),
    B16(2, Kind.BITS), U16(2, Kind.UNSIGNED), S16(2, Kind.SIGNED), F16(2, Kind.FLOAT), BF16(2, Kind.FLOAT),
    B32(4, Kind.BITS), U32(4, Kind.UNSIGNED), S32(4, Kind.SIGNED), F32(4, Kind.FLOAT), TF32(4, Kind.FLOAT),
    F16X2(4, Kind.FLOAT), BF16X2(4, Kind.FLOAT),
    B64(8, Kind.BITS), U64(8, Kind.UNSIGNED), S64(8, Kind.SIGNED), F64(8, Kind.FLOAT);

    enum Kind { BITS, UNSIGNED, SIGNED, FLOAT }

    private static final Map<String, Type> BY_NAME = new HashMap<>();

    static {
        for (Type t : values()) {
            BY_NAME.put(t.name().toLowerCase(java.util.Locale.ROOT), t);
        }
    }

    final int bytes;
    final Kind kind;

    Type(int bytes, Kind kind) {
        this.bytes = bytes;
        this.kind = kind;
    }

    /** The type that a modifier such as {@code f16x2} names, or null. */
    static Type named(String modifier) {
        return BY_NAME.get(modifier);
    }

    boolean isFloat() {
        return kind == Kind.FLOAT;
    }

    boolean isSigned() {
        return kind == Kind.SIGNED;
    }

    /** Whether registers of this type live in the 64-bit file. */
    boolean isLong() {
        return bytes == 8;
    }
}
