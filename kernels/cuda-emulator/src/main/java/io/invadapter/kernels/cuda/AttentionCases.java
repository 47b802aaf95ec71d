package io.invadapter.kernels.cuda;

import io.invadapter.kernels.cuda.ptx.Counters;
import io.invadapter.kernels.cuda.ptx.InstructionCounters;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Attention and the embedded attention adapter against softmax attention in float64. */
final class AttentionCases {

    /** Deviation of queries and keys: scores are a few units apart, or a few tens. */
    private static final double USUAL = 1.3;
    private static final double FAR_APART = 5;

    private AttentionCases() {
    }

    /** Each way of doing it at least once: what the types beside float16 are tried with. */
    static List<KernelCase> few() {
        return List.of(plain(40, 1, 2, 80, 100, Layout.FUSED), causal(64, 1, 2, 77), plain(80, 1, 1, 33, 77, Layout.CONTIGUOUS),
                plain(160, 1, 1, 20, 40, Layout.CONTIGUOUS), causal(12, 1, 2, 40), plain(90, 1, 1, 20, 70, Layout.SHIFTED),
                eaa(40, 3, 1, 40, 70, 100, new float[] {0.7f, 0, 1.2f}, Layout.FUSED),
                eaa(80, 1, 1, 40, 77, 40, new float[] {-0.6f}, Layout.CONTIGUOUS),
                eaa(160, 1, 1, 20, 40, 40, new float[] {0.4f}, Layout.FUSED),
                eaa(29, 1, 1, 20, 40, 20, new float[] {0.8f}, Layout.SHIFTED),
                plain(Rows.FEW, 40, 1, 1, 80, 100, Layout.FUSED), causal(Rows.FEW, 64, 1, 1, 77),
                eaa(Rows.FEW, 80, 1, 1, 40, 77, 40, new float[] {-0.6f}, Layout.CONTIGUOUS),
                eaa(Rows.FEW, 160, 1, 1, 40, 40, 40, new float[] {0.4f}, Layout.FUSED),
                added(Rows.MANY, 40, 2, 40, 20, 70, new float[] {0.7f, 0}, Layout.FUSED),
                alone(Rows.MANY, 80, 2, 40, 70, new float[] {0, 0.7f}, Layout.CONTIGUOUS),
                added(Rows.MANY, 168, 2, 20, 20, 35, new float[] {0, 0.8f}, Layout.CONTIGUOUS),
                alone(Rows.MANY, 29, 2, 20, 35, new float[] {0.8f, 0}, Layout.SHIFTED),
                plain(512, 1, 1, 20, 40, Layout.CONTIGUOUS), plain(511, 1, 1, 17, 40, Layout.CONTIGUOUS),
                causal(200, 1, 1, 40), eaa(168, 2, 1, 20, 40, 35, new float[] {0, 0.8f}, Layout.CONTIGUOUS));
    }

    static List<KernelCase> all() {
        List<KernelCase> cases = new ArrayList<>(few());
        // The head sizes of SD 1.x; more than two tiles of keys, so that each buffer is used twice.
        cases.add(plain(40, 1, 2, 144, 200, Layout.FUSED));
        cases.add(plain(40, 2, 1, 61, 77, Layout.CONTIGUOUS));
        cases.add(plain(64, 1, 1, 180, 100, Layout.CONTIGUOUS));
        cases.add(causal(64, 2, 2, 77));
        cases.add(causal(40, 1, 1, 77));
        cases.add(plain(80, 1, 2, 128, 128, Layout.FUSED));
        cases.add(plain(80, 1, 1, 77, 77, Layout.CONTIGUOUS));
        cases.add(plain(160, 2, 1, 64, 64, Layout.FUSED));
        cases.add(plain(160, 1, 2, 70, 77, Layout.CONTIGUOUS));
        cases.add(causal(80, 1, 1, 50));
        cases.add(causal(160, 1, 1, 80));
        // Head sizes without a kernel of their own, and addresses that are no multiples of 16 bytes.
        cases.add(plain(4, 1, 3, 20, 77, Layout.CONTIGUOUS));
        cases.add(plain(32, 1, 2, 140, 150, Layout.FUSED));
        cases.add(causal(12, 2, 2, 77));
        cases.add(plain(40, 1, 2, 33, 140, Layout.SHIFTED));
        cases.add(plain(96, 1, 1, 70, 170, Layout.CONTIGUOUS));
        cases.add(causal(90, 1, 1, 80));
        cases.add(causal(150, 1, 1, 40));
        cases.add(plain(128, 1, 1, 70, 90, Layout.CONTIGUOUS));
        cases.add(plain(157, 1, 1, 30, 70, Layout.CONTIGUOUS));
        // The VAE's head.
        cases.add(plain(512, 1, 1, 50, 100, Layout.FUSED));
        cases.add(plain(512, 2, 1, 32, 64, Layout.CONTIGUOUS));
        cases.add(plain(256, 1, 2, 20, 33, Layout.CONTIGUOUS));

        // What no other kernel serves: every incomplete slice of 32 values, ends of tiles of rows and keys.
        cases.add(plain(512, 1, 1, 50, 100, Layout.SHIFTED));
        cases.add(causal(512, 2, 1, 70));
        cases.add(eaa(512, 2, 1, 33, 33, 64, new float[] {0.7f, 0}, Layout.FUSED));
        for (int size = 161; size < 512; size += 39) {
            cases.add(plain(size, 1, 2, 17, 31, Layout.FUSED));
            cases.add(eaa(size, 1, 1, 15, 32, 33, new float[] {-0.8f}, Layout.CONTIGUOUS));
        }
        cases.add(new KernelCase("attention, head size 170, scores far apart", bench ->
                runPlain(bench, Rows.MANY, 170, 1, 1, 33, 70, Layout.CONTIGUOUS, false, FAR_APART)));
        // Where a tile of keys may end: inside and at the end of each 16x8 block of scores.
        for (int size : new int[] {40, 64, 80, 160, 32, 96, 157, 512}) {
            cases.add(boundaries(Rows.MANY, size, false));
            cases.add(boundaries(Rows.MANY, size, true));
        }
        // One unaligned array among aligned ones.
        for (int size : new int[] {32, 40, 128}) {
            for (int which = 0; which <= Layout.RESULT; which++) {
                Layout layout = new Layout(false, 1 << which);
                if (which < 3 || which == Layout.RESULT) {
                    cases.add(plain(size, 1, 1, 20, 35, layout));
                }
                cases.add(eaa(size, 1, 1, 20, 35, 20, new float[] {0.8f}, layout));
            }
        }
        // Whole blocks of queries and keys with scores so far apart that a maximum that misses one of them overflows.
        for (int size : new int[] {40, 64, 80, 160, 32, 96, 157}) {
            cases.add(new KernelCase("attention, head size " + size + ", scores far apart", bench ->
                    runPlain(bench, Rows.MANY, size, 1, 1, 128, 128, Layout.CONTIGUOUS, false, FAR_APART)));
            cases.add(new KernelCase("eaa attention, head size " + size + ", scores far apart", bench ->
                    runEaa(bench, Rows.MANY, size, 1, 1, 128, 64, 128, new float[] {0.7f}, Layout.CONTIGUOUS, FAR_APART)));
        }
        // Every length of an incomplete chunk of a head.
        for (int size = 25; size < 32; size++) {
            cases.add(plain(size, 1, 2, 20, 20, Layout.FUSED));
            cases.add(eaa(size, 1, 2, 20, 20, 20, new float[] {0.5f}, Layout.CONTIGUOUS));
            cases.add(plain(size + 64, 1, 2, 20, 20, Layout.FUSED));
            cases.add(eaa(size + 64, 1, 2, 20, 20, 20, new float[] {0.5f}, Layout.CONTIGUOUS));
            cases.add(plain(size + 128, 1, 2, 20, 20, Layout.FUSED));
            cases.add(eaa(size + 128, 1, 2, 20, 20, 20, new float[] {0.5f}, Layout.CONTIGUOUS));
        }

        // The same for the kernels with half the rows.
        for (int size : EXACT) {
            cases.add(plain(Rows.FEW, size, 1, 2, 144, 144, Layout.FUSED));
            cases.add(causal(Rows.FEW, size, 1, 1, 77));
            cases.add(boundaries(Rows.FEW, size, false));
            cases.add(boundaries(Rows.FEW, size, true));
            cases.add(eaa(Rows.FEW, size, 3, 1, 64, 140, 130, new float[] {0.7f, 0, 1.2f}, Layout.FUSED));
            cases.add(new KernelCase("attention, FEW rows, head size " + size + ", scores far apart", bench -> {
                runPlain(bench, Rows.FEW, size, 1, 1, 64, 128, Layout.CONTIGUOUS, false, FAR_APART);
                runEaa(bench, Rows.FEW, size, 1, 1, 64, 64, 128, new float[] {0.7f}, Layout.CONTIGUOUS, FAR_APART);
            }));
        }

        // A source added to attention, and one alone, with rows that have none; over several tiles of keys, and over a single one.
        for (Rows rows : Rows.values()) {
            for (int size : EXACT) {
                cases.add(added(rows, size, 3, 77, 20, 100, new float[] {0.7f, 0, -1.2f}, Layout.FUSED));
                cases.add(added(rows, size, 1, 20, 20, 20, new float[] {0.7f}, Layout.CONTIGUOUS));
                cases.add(alone(rows, size, 3, 77, 100, new float[] {0.7f, 0, -1.2f}, Layout.FUSED));
            }
        }
        for (int size : new int[] {29, 32, 93, 96, 136, 157, 161, 300, 512}) {
            cases.add(alone(Rows.MANY, size, 3, 40, 35, new float[] {0.8f, 0, -0.3f}, Layout.CONTIGUOUS));
            cases.add(added(Rows.MANY, size, 2, 40, 20, 35, new float[] {0, 0.8f}, Layout.CONTIGUOUS));
            cases.add(added(Rows.MANY, size, 1, 20, 20, 20, new float[] {0.8f}, Layout.SHIFTED));
        }

        cases.add(eaa(40, 3, 2, 80, 140, 200, new float[] {0.7f, 0, 1.2f}, Layout.FUSED));
        cases.add(eaa(40, 2, 1, 130, 77, 64, new float[] {0, 0.9f}, Layout.CONTIGUOUS));
        cases.add(eaa(64, 2, 1, 160, 77, 100, new float[] {0.8f, 0.3f}, Layout.CONTIGUOUS));
        cases.add(eaa(80, 2, 2, 64, 96, 96, new float[] {0.5f, 0}, Layout.FUSED));
        cases.add(eaa(80, 1, 1, 140, 40, 77, new float[] {-0.6f}, Layout.CONTIGUOUS));
        cases.add(eaa(160, 2, 1, 64, 64, 128, new float[] {0.4f, 1}, Layout.FUSED));
        cases.add(eaa(160, 2, 1, 30, 77, 70, new float[] {0, 0.6f}, Layout.CONTIGUOUS));
        cases.add(eaa(32, 1, 2, 160, 77, 150, new float[] {0.8f}, Layout.CONTIGUOUS));
        cases.add(eaa(4, 2, 2, 20, 7, 20, new float[] {0.8f, 0}, Layout.CONTIGUOUS));
        cases.add(eaa(29, 1, 1, 20, 77, 20, new float[] {0.8f}, Layout.CONTIGUOUS));
        cases.add(eaa(96, 1, 1, 70, 77, 150, new float[] {0.8f}, Layout.FUSED));
        cases.add(eaa(128, 1, 1, 70, 77, 70, new float[] {0.8f}, Layout.FUSED));
        cases.add(eaa(88, 1, 1, 30, 77, 70, new float[] {0.8f}, Layout.CONTIGUOUS));
        cases.add(eaa(93, 1, 1, 30, 77, 30, new float[] {0.8f}, Layout.CONTIGUOUS));
        cases.add(eaa(157, 1, 1, 40, 40, 70, new float[] {0.8f}, Layout.CONTIGUOUS));
        return cases;
    }

    /** Which of the two kernels of a head size: the one for many blocks, or the one with half the rows for few. */
    private enum Rows {
        MANY(0), FEW(Integer.MAX_VALUE);

        private final int multiprocessors;

        Rows(int multiprocessors) {
            this.multiprocessors = multiprocessors;
        }

        Attention on(Bench bench) {
            return new Attention(bench.library(), multiprocessors, 163 * 1024);
        }
    }

    /** Head sizes that have both. */
    private static final int[] EXACT = {40, 64, 80, 160};

    /**
     * How the arrays lie.
     *
     * @param fused   as parts of one array, or each on its own
     * @param shifted which lie one value off a multiple of 16 bytes: a bit each for q, k, v, k', v' and the result
     */
    private record Layout(boolean fused, int shifted) {
        static final Layout CONTIGUOUS = new Layout(false, 0);
        static final Layout FUSED = new Layout(true, 0);
        static final Layout SHIFTED = new Layout(false, 0b111111);
        static final int RESULT = 5;

        int shift(int which) {
            return shifted >> which & 1;
        }

        @Override
        public String toString() {
            return fused ? "fused" : shifted == 0 ? "contiguous" : "shifted " + Integer.toBinaryString(shifted);
        }
    }

    /** An array on the host and on the device. */
    private record Array(float[] values, int offset, Strided place) {
        double get(int batch, int row, int head, int e) {
            return values[offset + (int) (batch * place.batchStride()) + row * place.rowStride() + head * place.headStride() + e];
        }
    }

    /** {@code parts} arrays of the same size, the first of them number {@code first} of the layout. */
    private static Array[] arrays(Bench bench, Random random, Layout layout, int first, int parts, int batch, int rows, int heads,
                                  int size, double deviation) {
        Array[] arrays = new Array[parts];
        int count = batch * rows * heads * size;
        if (layout.fused) {
            float[] values = bench.random(random, count * parts, 0, deviation);
            long address = bench.values(values);
            for (int p = 0; p < parts; p++) {
                arrays[p] = new Array(values, p * heads * size, Strided.part(address, bench.type(), p, parts, rows, heads, size));
            }
        } else {
            for (int p = 0; p < parts; p++) {
                float[] values = bench.random(random, count, 0, deviation);
                long address = bench.values(values, layout.shift(first + p));
                arrays[p] = new Array(values, 0, Strided.contiguous(address, rows, heads, size));
            }
        }
        return arrays;
    }

    /** softmax(scale q k^T) v of one row, added to {@code out} with a factor. */
    private static void add(double[] out, int start, double factor, Array q, int batch, int row, int head, Array k, Array v,
                            int kvBatch, int keys, int size, double scale) {
        double[] weights = new double[keys];
        double highest = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < keys; j++) {
            for (int e = 0; e < size; e++) {
                weights[j] += q.get(batch, row, head, e) * k.get(kvBatch, j, head, e);
            }
            weights[j] *= scale;
            highest = Math.max(highest, weights[j]);
        }
        double sum = 0;
        for (int j = 0; j < keys; j++) {
            weights[j] = Math.exp(weights[j] - highest);
            sum += weights[j];
        }
        for (int j = 0; j < keys; j++) {
            for (int e = 0; e < size; e++) {
                out[start + e] += factor * weights[j] / sum * v.get(kvBatch, j, head, e);
            }
        }
    }

    private static KernelCase plain(int size, int batch, int heads, int queries, int keys, Layout layout) {
        return plain(Rows.MANY, size, batch, heads, queries, keys, layout);
    }

    private static KernelCase plain(Rows rows, int size, int batch, int heads, int queries, int keys, Layout layout) {
        return new KernelCase("attention, " + rows + " rows, head size " + size + ", " + batch + " x " + heads + " heads, "
                + queries + " queries, " + keys + " keys, " + layout, bench ->
                runPlain(bench, rows, size, batch, heads, queries, keys, layout, false, USUAL));
    }

    /**
     * Short attentions over 1 to 66 keys, then over few keys with blocks of queries that end at and behind each tile of 16.
     */
    private static KernelCase boundaries(Rows rows, int size, boolean identity) {
        return new KernelCase((identity ? "eaa " : "") + "attention, " + rows + " rows, head size " + size + ", all ends of a tile", bench -> {
            for (int block = 0; block <= 64; block += 8) {
                for (int keys : new int[] {block, block + 2, block + 3}) {
                    if (keys == 0 || keys > 66) {
                        continue;
                    }
                    if (identity) {
                        runEaa(bench, rows, size, 1, 1, 20, 67 - keys, keys, new float[] {0.7f}, Layout.CONTIGUOUS, USUAL);
                    } else {
                        runPlain(bench, rows, size, 1, 1, 20, keys, Layout.CONTIGUOUS, false, USUAL);
                    }
                }
            }
            for (int tile = 0; tile <= 128; tile += 16) {
                for (int queries : new int[] {tile, tile + 1}) {
                    if (queries > 0 && identity) {
                        runEaa(bench, rows, size, 1, 1, queries, 20, 35, new float[] {0.7f}, Layout.CONTIGUOUS, FAR_APART);
                    } else if (queries > 0) {
                        runPlain(bench, rows, size, 1, 1, queries, 40, Layout.CONTIGUOUS, false, FAR_APART);
                    }
                }
            }
        });
    }

    private static KernelCase causal(int size, int batch, int heads, int tokens) {
        return causal(Rows.MANY, size, batch, heads, tokens);
    }

    private static KernelCase causal(Rows rows, int size, int batch, int heads, int tokens) {
        return new KernelCase("causal attention, " + rows + " rows, head size " + size + ", " + batch + " x " + heads
                + " heads, " + tokens + " tokens", bench -> runPlain(bench, rows, size, batch, heads, tokens, tokens, Layout.FUSED, true, USUAL));
    }

    private static void runPlain(Bench bench, Rows rows, int size, int batch, int heads, int queries, int keys, Layout layout,
                                 boolean causal, double deviation) {
        Random random = new Random(size * 1000L + queries);
        Array q;
        Array k;
        Array v;
        if (layout.fused && queries == keys) {
            Array[] all = arrays(bench, random, layout, 0, 3, batch, queries, heads, size, deviation);
            q = all[0];
            k = all[1];
            v = all[2];
        } else {
            q = arrays(bench, random, layout, 0, 1, batch, queries, heads, size, deviation)[0];
            Array[] pair = arrays(bench, random, layout, 1, 2, batch, keys, heads, size, deviation);
            k = pair[0];
            v = pair[1];
        }
        double scale = 1 / Math.sqrt(size);
        double[] expected = new double[batch * queries * heads * size];
        for (int b = 0; b < batch; b++) {
            for (int i = 0; i < queries; i++) {
                for (int h = 0; h < heads; h++) {
                    add(expected, ((b * queries + i) * heads + h) * size, 1, q, b, i, h, k, v, b, causal ? i + 1 : keys,
                            size, scale);
                }
            }
        }
        long out = bench.result(expected.length, layout.shift(Layout.RESULT));
        rows.on(bench).attention(q.place, k.place, v.place,
                Strided.contiguous(out, queries, heads, size),
                new Attention.Shape(batch, heads, queries, keys, size, (float) scale), causal, null);
        Bench.close("attention", expected, bench.readValues(out, expected.length), bench.tolerance());
        bench.counted(launches -> {
            Counters counters = launches.getFirst();
            count(counters, size, layout, (long) batch * heads * minimum(size, queries, keys, causal));
        });
    }

    private static KernelCase eaa(int size, int batch, int heads, int queries, int keys, int identityKeys, float[] lambda,
                                  Layout layout) {
        return eaa(Rows.MANY, size, batch, heads, queries, keys, identityKeys, lambda, layout);
    }

    private static KernelCase eaa(Rows rows, int size, int batch, int heads, int queries, int keys, int identityKeys,
                                  float[] lambda, Layout layout) {
        return new KernelCase("eaa attention, " + rows + " rows, head size " + size + ", " + batch + " x " + heads + " heads, "
                + queries + " queries, " + keys + " + " + identityKeys + " keys, " + layout, bench ->
                runEaa(bench, rows, size, batch, heads, queries, keys, identityKeys, lambda, layout, USUAL));
    }

    /** How a second source comes to the first. */
    private enum Way {
        TOGETHER,
        /** To attention that lies in the result already. */
        ADDED,
        /** There is no first one. */
        ALONE
    }

    private static KernelCase added(Rows rows, int size, int batch, int queries, int keys, int identityKeys, float[] lambda,
                                    Layout layout) {
        return apart(Way.ADDED, rows, size, batch, queries, keys, identityKeys, lambda, layout);
    }

    private static KernelCase alone(Rows rows, int size, int batch, int queries, int keys, float[] lambda, Layout layout) {
        return apart(Way.ALONE, rows, size, batch, queries, 20, keys, lambda, layout);
    }

    private static KernelCase apart(Way way, Rows rows, int size, int batch, int queries, int keys, int identityKeys, float[] lambda,
                                    Layout layout) {
        return new KernelCase("source " + way + ", " + rows + " rows, head size " + size + ", " + batch + " x 2 heads, "
                + queries + " queries, " + keys + " + " + identityKeys + " keys, " + layout, bench ->
                runEaa(bench, rows, size, batch, 2, queries, keys, identityKeys, lambda, layout, USUAL, way));
    }

    private static void runEaa(Bench bench, Rows rows, int size, int batch, int heads, int queries, int keys, int identityKeys,
                               float[] lambda, Layout layout, double deviation) {
        runEaa(bench, rows, size, batch, heads, queries, keys, identityKeys, lambda, layout, deviation, Way.TOGETHER);
    }

    private static void runEaa(Bench bench, Rows rows, int size, int batch, int heads, int queries, int keys, int identityKeys,
                               float[] lambda, Layout layout, double deviation, Way way) {
        Random random = new Random(size * 1000L + identityKeys);
        int identities = 2;
        // The last batch rows share the last identity.
        int[] map = new int[batch];
        for (int b = 0; b < batch; b++) {
            map[b] = lambda[b] == 0 ? -1 : Math.min(batch - 1 - b, identities - 1);
        }
        Array q = arrays(bench, random, layout, 0, 1, batch, queries, heads, size, deviation)[0];
        Array[] own = arrays(bench, random, layout, 1, 2, batch, keys, heads, size, deviation);
        Array[] other = arrays(bench, random, layout, 3, 2, identities, identityKeys, heads, size, deviation);
        double scale = 1 / Math.sqrt(size);
        double[] expected = new double[batch * queries * heads * size];
        long minimum = 0;
        for (int b = 0; b < batch; b++) {
            minimum += heads * ((way != Way.TOGETHER ? 0 : minimum(size, queries, keys, false))
                    + (lambda[b] == 0 ? 0 : minimum(size, queries, identityKeys, false)));
            for (int i = 0; i < queries; i++) {
                for (int h = 0; h < heads; h++) {
                    int start = ((b * queries + i) * heads + h) * size;
                    if (way != Way.ALONE) {
                        add(expected, start, 1, q, b, i, h, own[0], own[1], b, keys, size, scale);
                    }
                    if (lambda[b] != 0) {
                        add(expected, start, lambda[b], q, b, i, h, other[0], other[1], map[b], identityKeys, size,
                                scale);
                    }
                }
            }
        }
        long out = bench.result(expected.length, layout.shift(Layout.RESULT));
        Strided result = Strided.contiguous(out, queries, heads, size);
        Attention.Shape shape = new Attention.Shape(batch, heads, queries, keys, size, (float) scale);
        Attention attention = rows.on(bench);
        Attention.Source identity = new Attention.Source(other[0].place, other[1].place, identityKeys, identities,
                bench.ints(map), bench.floats(lambda));
        switch (way) {
            case TOGETHER -> attention.eaaAttention(q.place, own[0].place, own[1].place, result, identity, shape, null);
            case ADDED -> {
                attention.attention(q.place, own[0].place, own[1].place, result, shape, false, null);
                attention.addSource(q.place, result, identity, shape, null);
            }
            case ALONE -> attention.weighted(q.place, result, identity, shape, null);
        }
        float[] actual = bench.readValues(out, expected.length);
        Bench.close("eaa attention", expected, actual, bench.tolerance());
        long least = minimum;
        bench.counted(launches -> count(launches.getLast(), size, layout, least));
    }

    /**
     * Where the second source counts for nothing, the adapter must give the base model's numbers and not merely near ones; and
     * how many rows a block has, which depends on the batch, must not change a bit.
     */
    static void sameWithoutIdentity(Bench bench, int size) {
        Random random = new Random(size);
        Array[] own = arrays(bench, random, Layout.FUSED, 0, 3, 1, 70, 2, size, USUAL);
        Attention.Shape shape = new Attention.Shape(1, 2, 70, 70, size, 0.2f);
        float[] first = null;
        for (Rows rows : Rows.values()) {
            long plain = bench.result(70 * 2 * size);
            long adapted = bench.result(70 * 2 * size);
            Attention attention = rows.on(bench);
            attention.attention(own[0].place, own[1].place, own[2].place, Strided.contiguous(plain, 70, 2, size), shape, false,
                    null);
            attention.eaaAttention(own[0].place, own[1].place, own[2].place, Strided.contiguous(adapted, 70, 2, size),
                    new Attention.Source(own[1].place, own[2].place, 70, 1, bench.ints(-5), bench.floats(new float[] {0})),
                    shape, null);
            float[] result = bench.readValues(plain, 140 * size);
            Bench.require(Arrays.equals(result, bench.readValues(adapted, 140 * size)),
                    "lambda 0 differs from plain attention, head size " + size);
            attention.addSource(own[0].place, Strided.contiguous(plain, 70, 2, size), new Attention.Source(own[1].place,
                    own[2].place, 70, 1, bench.ints(-5), bench.floats(new float[] {0})), shape, null);
            Bench.require(Arrays.equals(result, bench.readValues(plain, 140 * size)), "lambda 0 changes something");
            Bench.require(first == null || Arrays.equals(first, result), "other rows, other bits, head size " + size);
            first = result;
        }
        bench.clear();
    }

    /** The mma of the 16x16 blocks of scores that have an entry: Q K^T in steps of 16, P V in columns of 8. */
    private static long minimum(int size, int queries, int keys, boolean causal) {
        long blocks = 0;
        for (int i = 0; i < queries; i += 16) {
            blocks += Math.ceilDiv(causal ? Math.min(i + 16, keys) : keys, 16);
        }
        return blocks * (2L * Math.ceilDiv(size, 16) + Math.ceilDiv(size, 8));
    }

    private static void count(Counters counters, int size, Layout layout, long minimum) {
        // Kernels for any head size pad it, and that is their price.
        if (counters.mmaInstructions() == 0) {
            // attention_scalar.cu reads and writes value by value and needs no products of matrices.
            Bench.require(counters.bankConflicts() == 0, "bank conflicts: " + counters.worstBankConflicts());
            return;
        }
        boolean exact = layout.shifted == 0
                && (size == 32 || size == 40 || size == 64 || size == 80 || size == 96 || size == 160 || size == 512);
        if (exact) {
            Bench.require(counters.mmaInstructions() == minimum, counters.mmaInstructions() + " mma, the padded minimum is " + minimum);
        }
        Bench.require(counters.bankConflicts() == 0, "bank conflicts: " + counters.worstBankConflicts());
        if (layout.shifted == 0 && size % 8 == 0) {
            for (InstructionCounters i : counters.perInstruction()) {
                // Rows of an odd number of 16-byte chunks start and end in the middle of sectors: see attention.cu.
                double least = size % 16 == 0 ? 1 : 0.8;
                if (i.opcode().equals("cp") || i.opcode().equals("st")) {
                    Bench.require(i.coalescing() >= least, "uncoalesced: " + i);
                }
            }
        }
    }
}
