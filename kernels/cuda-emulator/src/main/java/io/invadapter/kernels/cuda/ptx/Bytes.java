package io.invadapter.kernels.cuda.ptx;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Little-endian access to byte arrays. */
final class Bytes {
    private static final VarHandle SHORT =
            MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private Bytes() { }

    static short getShort(byte[] b, int offset) {
        return (short) SHORT.get(b, offset);
    }

    static int getInt(byte[] b, int offset) {
        return (int) INT.get(b, offset);
    }

    static long getLong(byte[] b, int offset) {
        return (long) LONG.get(b, offset);
    }

    static void putShort(byte[] b, int offset, short value) {
        SHORT.set(b, offset, value);
    }

    static void putInt(byte[] b, int offset, int value) {
        INT.set(b, offset, value);
    }

    static void putLong(byte[] b, int offset, long value) {
        LONG.set(b, offset, value);
    }

    /** Whether all {@code size} (1, 2, 4, 8 or 16) bytes from {@code offset} have all bits of {@code flag}. */
    static boolean allHave(byte[] b, int offset, int size, int flag) {
        return switch (size) {
            case 1 -> (b[offset] & flag) == flag;
            case 2 -> {
                int want = flag * 0x0101;
                yield (getShort(b, offset) & want) == want;
            }
            case 4 -> {
                int want = flag * 0x01010101;
                yield (getInt(b, offset) & want) == want;
            }
            default -> {
                long want = flag * 0x0101010101010101L;
                yield (getLong(b, offset) & want) == want
                        && (size == 8 || (getLong(b, offset + 8) & want) == want);
            }
        };
    }

    /** Sets the bits of {@code flag} in {@code size} (1, 2, 4, 8 or 16) bytes from {@code offset}. */
    static void mark(byte[] b, int offset, int size, int flag) {
        switch (size) {
            case 1 -> b[offset] |= (byte) flag;
            case 2 -> putShort(b, offset, (short) (getShort(b, offset) | flag * 0x0101));
            case 4 -> putInt(b, offset, getInt(b, offset) | flag * 0x01010101);
            default -> {
                putLong(b, offset, getLong(b, offset) | flag * 0x0101010101010101L);
                if (size == 16) {
                    putLong(b, offset + 8, getLong(b, offset + 8) | flag * 0x0101010101010101L);
                }
            }
        }
    }
}
