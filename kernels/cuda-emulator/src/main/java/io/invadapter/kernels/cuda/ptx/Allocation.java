package io.invadapter.kernels.cuda.ptx;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;

/** One piece of global memory with a shadow byte for every byte, and the CTA that wrote each word in this launch. */
final class Allocation {
    /** Shadow bits. */
    static final int INITIALIZED = 1;
    static final int LOADED = 2;
    static final int STORED = 4;

    /** A word's writer: CTA number + 1 in the low bits, the bytes it wrote above; negative: see {@link #split}. */
    private static final int CTA_BITS = 27;
    static final int MAX_CTAS = (1 << CTA_BITS) - 2;
    private static final int SPLIT = -1;
    private static final VarHandle ELEMENT = MethodHandles.arrayElementVarHandle(int[].class);

    final long base;
    final int bytes;
    final boolean readOnly;
    final byte[] data;
    final byte[] shadow;
    volatile boolean freed;
    /** Whether the current launch accessed it. */
    volatile boolean touched;
    private volatile int[] writers;
    /** The writers of each byte of the words that several CTAs wrote, such as the 16-bit halves at a row's end. */
    private final ConcurrentMap<Integer, int[]> split = new ConcurrentHashMap<>();

    Allocation(long base, int bytes, boolean readOnly, byte[] data) {
        this.base = base;
        this.bytes = bytes;
        this.readOnly = readOnly;
        this.data = data;
        this.shadow = new byte[data.length];
    }

    boolean contains(long address, int size) {
        long offset = address - base;
        return offset >= 0 && offset + size <= bytes;
    }

    /** The writer other than {@code cta} of any of these bytes in this launch (its number + 1), or 0. */
    int foreignWriter(int offset, int size, int cta) {
        int[] w = writers;
        if (w == null) {
            return 0;
        }
        for (int word = offset >> 2; word <= offset + size - 1 >> 2; word++) {
            int entry = w[word];
            if (entry != 0) {
                int found = foreign(entry, word, byteMask(word, offset, size), cta + 1);
                if (found != 0) {
                    return found;
                }
            }
        }
        return 0;
    }

    /** Notes a plain store; returns the number + 1 of another CTA that stored to one of the bytes, or 0. */
    int store(int offset, int size, int cta) {
        int[] w = writers;
        if (w == null) {
            w = makeWriters();
        }
        int me = cta + 1;
        for (int word = offset >> 2; word <= offset + size - 1 >> 2; word++) {
            int mask = byteMask(word, offset, size);
            int mine = mask << CTA_BITS | me;
            int entry = w[word];
            if (entry == mine) {
                continue;
            }
            int found = mask == 15 && entry == 0 ? 0 : foreign(entry, word, mask, me);
            if (found != 0) {
                return found;
            }
            if (mask == 15 && entry >= 0) {
                w[word] = mine;
            } else {
                // Neighbouring CTAs may share this word: no update may get lost.
                note(w, word, mask, me);
            }
        }
        return 0;
    }

    private void note(int[] w, int word, int mask, int me) {
        while (true) {
            int entry = (int) ELEMENT.getVolatile(w, word);
            int merged;
            if (entry == 0 || (entry & MAX_CTAS + 1) == me && entry > 0) {
                merged = entry | mask << CTA_BITS | me;
            } else {
                int[] owners = split.computeIfAbsent(word, k -> new int[4]);
                synchronized (owners) {
                    fill(owners, mask, me);
                    if (entry > 0) {
                        fill(owners, entry >>> CTA_BITS, entry & MAX_CTAS + 1);
                    }
                }
                merged = SPLIT;
            }
            if (ELEMENT.compareAndSet(w, word, entry, merged)) {
                return;
            }
        }
    }

    private static void fill(int[] owners, int mask, int owner) {
        for (int i = 0; i < 4; i++) {
            if ((mask >> i & 1) != 0) {
                owners[i] = owner;
            }
        }
    }

    private int foreign(int entry, int word, int mask, int me) {
        if (entry > 0) {
            int owner = entry & MAX_CTAS + 1;
            return owner != me && (entry >>> CTA_BITS & mask) != 0 ? owner : 0;
        }
        int[] owners = entry == 0 ? null : split.get(word);
        if (owners != null) {
            synchronized (owners) {
                for (int i = 0; i < 4; i++) {
                    if ((mask >> i & 1) != 0 && owners[i] != 0 && owners[i] != me) {
                        return owners[i];
                    }
                }
            }
        }
        return 0;
    }

    private static int byteMask(int word, int offset, int size) {
        if (size >= 4) {
            return 15;
        }
        return (1 << size) - 1 << (offset & 3) & 15;
    }

    private synchronized int[] makeWriters() {
        if (writers == null) {
            writers = new int[data.length + 3 >> 2];
        }
        return writers;
    }

    /** Forgets what a launch did; adds its unique loaded and stored bytes to {@code totals[0]} and {@code [1]}. */
    void endLaunch(long[] totals) {
        if (!touched) {
            return;
        }
        touched = false;
        writers = null;
        split.clear();
        // Eight shadow bytes at a time; the padding at the end is never marked.
        for (int i = 0; i < shadow.length; i += 8) {
            long s = Bytes.getLong(shadow, i);
            totals[0] += Long.bitCount(s & LOADED * 0x0101010101010101L);
            totals[1] += Long.bitCount(s & STORED * 0x0101010101010101L);
            Bytes.putLong(shadow, i, s & INITIALIZED * 0x0101010101010101L);
        }
    }
}
