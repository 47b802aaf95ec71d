package io.invadapter.kernels.cuda.ptx;

/** The state spaces, and where the windows of three of them lie among generic addresses. */
enum Space {
    GENERIC(0), GLOBAL(0), CONST(0), SHARED(0x7f01_0000_0000L), LOCAL(0x7f02_0000_0000L), PARAM(0x7f03_0000_0000L);

    /** The generic address of the space's address 0. Global and const addresses are generic addresses themselves. */
    final long window;

    Space(long window) {
        this.window = window;
    }

    /** The space that a generic address lies in. */
    static Space of(long generic) {
        long high = generic >>> 32;
        if (high == SHARED.window >>> 32) {
            return SHARED;
        }
        if (high == LOCAL.window >>> 32) {
            return LOCAL;
        }
        return high == PARAM.window >>> 32 ? PARAM : GLOBAL;
    }

    /** The space that the modifiers of an instruction name. */
    static Space of(Statement s) {
        for (String m : s.modifiers()) {
            switch (m) {
                case "global" -> {
                    return GLOBAL;
                }
                case "shared", "shared::cta" -> {
                    return SHARED;
                }
                case "local" -> {
                    return LOCAL;
                }
                case "const" -> {
                    return CONST;
                }
                case "param", "param::entry" -> {
                    return PARAM;
                }
                default -> { }
            }
        }
        return GENERIC;
    }
}
