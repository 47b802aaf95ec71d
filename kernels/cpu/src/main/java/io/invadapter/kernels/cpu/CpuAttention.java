package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Floats;
import io.invadapter.kernels.Source;
import io.invadapter.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * Attention in blocks of query rows, each computed by one thread from beginning to end, over blocks of keys whose scores stay in
 * the thread's level-2 cache; Q and K are read where the projections left them.
 *
 * <p>Everything is transposed: the many query rows are what oneDNN's products are widest in, whatever the size of a head. One
 * product makes the exponentials {@code P = exp((K Q^T - r) / sqrt(d))}, another {@code [V 1]^T P}, whose last row is the sum of
 * the weights; the others are divided by it at the end. {@code r} is a score for each query row that the exponentials are taken
 * relative to, so that they stay in the range of a float32. It need not be the largest score, only one of its magnitude: zero or the
 * largest of a few keys will do, but for rare rows whose sum then shows that it did not; these take the largest of all keys.
 */
final class CpuAttention {
    /**
     * Query rows of a block, of several where the keys are few: of the widths that products go by, 24 with AVX2 and 48 or 64 with
     * AVX-512, a multiple.
     */
    private static final int ROWS = 192;
    /** Keys of a block. */
    private static final int KEYS = 256;
    /** Of so many keys one is looked at for the first reference: scores of fewer keys than this are first taken as they are. */
    private static final int SAMPLE = 512;
    /** Up to this sum, and down to its inverse, nothing that counts can have been too large or too small for a float32. */
    private static final float LARGEST_SUM = 1e20f;
    /** So that the rows of V^T do not lie a power of two apart, where they would take each other's place in the cache. */
    private static final int PADDING = 16;

    private final CpuDevice device;
    private final List<Worker> workers;

    CpuAttention(CpuDevice device) {
        this.device = device;
        this.workers = Stream.generate(Worker::new).limit(OpenMp.canBeAlone() ? device.oneDnn().threads : 1).toList();
    }

    /** What one thread computes with. */
    private static final class Worker {
        final OneDnn oneDnn = new OneDnn(1);
        final Workspace scores = new Workspace(oneDnn.memory());
        final Workspace references = new Workspace(oneDnn.memory());
        final Workspace sums = new Workspace(oneDnn.memory());
        private float[] array = new float[0];

        /** At least {@code n} floats; a new array each time would have to come through all caches. */
        float[] array(int n) {
            if (array.length < n) {
                array = new float[n];
            }
            return array;
        }
    }

    /** Frees what can be made again. */
    void trim() {
        for (Worker worker : workers) {
            worker.oneDnn.trim();
            worker.scores.free();
            worker.references.free();
            worker.sums.free();
        }
    }

    void close() {
        trim();
        workers.forEach(worker -> worker.oneDnn.close());
    }

    void run(Tensor query, List<Source> sources, int heads, boolean causal, Tensor out) {
        List<int[]> rows = new ArrayList<>();
        List<float[]> scales = new ArrayList<>();
        for (Source source : sources) {
            rows.add(source.rows() == null ? null : device.downloadIndices(source.rows()));
            scales.add(source.scales() == null ? null : device.download(source.scales()));
        }
        for (int b = 0; b < query.batch(); b++) {
            Tensor q = query.rows(b, 1);
            Tensor o = out.rows(b, 1);
            boolean accumulate = false;
            for (int i = 0; i < sources.size(); i++) {
                float scale = scales.get(i) == null ? 1 : scales.get(i)[b];
                if (scale != 0) {
                    int row = rows.get(i) == null ? b : rows.get(i)[b];
                    source(q, sources.get(i).keys().rows(row, 1), sources.get(i).values().rows(row, 1), heads, causal, scale,
                            accumulate, o);
                    accumulate = true;
                }
            }
            if (!accumulate) {
                CpuDevice.view(o).fill((byte) 0);
            }
        }
    }

    /** {@code out = factor * softmax(Q K^T / sqrt(d)) V}, added to {@code out} when {@code accumulate}. */
    private void source(Tensor q, Tensor k, Tensor v, int heads, boolean causal, float factor, boolean accumulate, Tensor out) {
        long packed = packValues(v, heads);
        long mask = causal ? causalMask(q.size(1)) : 0;
        int blockRows = causal ? q.size(1) : Math.min(ROWS * Math.max(1, KEYS / k.size(1)), q.size(1));
        int blocks = (q.size(1) + blockRows - 1) / blockRows;
        AtomicInteger next = new AtomicInteger();
        device.parallel(workers.size(), worker -> OpenMp.alone(() -> {
            for (int i = next.getAndIncrement(); i < heads * blocks; i = next.getAndIncrement()) {
                device.oneDnn().whileComputing.run();
                int row = i % blocks * blockRows;
                new Block(workers.get(worker), q, k, packed, mask, out, i / blocks, q.channels() / heads, row,
                        Math.min(blockRows, q.size(1) - row)).run(factor, accumulate);
            }
        }));
    }

    /** {@code [V 1]^T} of every head, {@code [heads, d + 1, keys + PADDING]}. */
    private long packValues(Tensor v, int heads) {
        int size = v.channels() / heads;
        int keys = v.size(1);
        long stride = keys + PADDING;
        DataType type = v.type();
        long packed = device.workspace(0, heads * (size + 1) * stride * type.bytes());
        device.oneDnn().primitive(List.of("values of attention", type, heads, size, keys, v.rowStride()), d -> {
            dnnl_memory_desc from = d.strided(type, new long[] {heads, size, keys}, new long[] {size, 1, v.rowStride()});
            dnnl_memory_desc to = d.strided(type, new long[] {heads, size, keys}, new long[] {(size + 1) * stride, stride, 1});
            return Primitive.copy(device.oneDnn(), d, type, from, to, d.postOps());
        }).run(v.address(), packed);
        float[] ones = new float[keys];
        Arrays.fill(ones, 1);
        for (int head = 0; head < heads; head++) {
            Floats.write(ones, type, NativeMemory.view(packed + ((head + 1L) * (size + 1) - 1) * stride * type.bytes(),
                    (long) keys * type.bytes()));
        }
        return packed;
    }

    /** Some query rows of one head. */
    private static final class Block {
        private final Worker worker;
        private final OneDnn oneDnn;
        private final DataType type;
        private final int size;
        private final int rows;
        private final int keys;
        private final int blockKeys;
        private final long query;
        private final long queryStride;
        private final long key;
        private final long keyStride;
        private final long values;
        private final long mask;
        private final long out;
        private final long outStride;
        private final long scores;
        private final long references;
        private final long sums;

        Block(Worker worker, Tensor q, Tensor k, long packedValues, long mask, Tensor out, int head, int size, int row, int rows) {
            this.worker = worker;
            this.oneDnn = worker.oneDnn;
            this.type = q.type();
            this.size = size;
            this.rows = rows;
            this.keys = k.size(1);
            this.blockKeys = mask != 0 ? keys : Math.min(KEYS, keys);
            long column = (long) head * size * type.bytes();
            this.queryStride = q.rowStride();
            this.query = q.address() + row * queryStride * type.bytes() + column;
            this.keyStride = k.rowStride();
            this.key = k.address() + column;
            this.values = packedValues + head * (size + 1L) * (keys + PADDING) * type.bytes();
            this.mask = mask;
            this.outStride = out.rowStride();
            this.out = out.address() + row * outStride * type.bytes() + column;
            this.scores = worker.scores.atLeast((long) blockKeys * rows * Float.BYTES);
            this.references = worker.references.atLeast((long) rows * Float.BYTES);
            this.sums = worker.sums.atLeast((size + 1L) * rows * Float.BYTES);
        }

        void run(float factor, boolean accumulate) {
            int sample = keys / SAMPLE;
            weighSums(mask == 0 && sample > 0 ? largestScores(sample) : new float[rows]);
            if (!inRange()) {
                weighSums(largestScores(keys));
            }
            divide(factor);
            store(accumulate).run(sums, out);
        }

        /** The largest score of each query row, of {@code count} keys in equal distances. */
        private float[] largestScores(int count) {
            float[] largest = new float[rows];
            Arrays.fill(largest, Float.NEGATIVE_INFINITY);
            int step = keys / count;
            for (int first = 0; first < count; first += blockKeys) {
                int n = Math.min(blockKeys, count - first);
                Primitive product = scores(n, step * keyStride, false);
                long at = key + first * step * keyStride * type.bytes();
                if (mask != 0) {
                    product.run(at, query, scores, mask);
                } else {
                    product.run(at, query, scores);
                }
                float[] s = floats(scores, n * rows).toArray(ValueLayout.JAVA_FLOAT);
                for (int start = 0; start < s.length; start += rows) {
                    for (int row = 0; row < rows; row++) {
                        largest[row] = Math.max(largest[row], s[start + row]);
                    }
                }
            }
            return largest;
        }

        /** {@code [V 1]^T exp((K Q^T - reference) / sqrt(d))}, {@code [size + 1, rows]}. */
        private void weighSums(float[] reference) {
            float[] bias = new float[rows];
            for (int row = 0; row < rows; row++) {
                bias[row] = -reference[row];
            }
            MemorySegment.copy(bias, 0, floats(references, rows), ValueLayout.JAVA_FLOAT, 0, rows);
            floats(sums, (size + 1) * rows).fill((byte) 0);
            for (int first = 0; first < keys; first += blockKeys) {
                int n = Math.min(blockKeys, keys - first);
                Primitive exponentials = scores(n, keyStride, true);
                long at = key + first * keyStride * type.bytes();
                if (mask != 0) {
                    exponentials.run(at, query, scores, references, mask);
                } else {
                    exponentials.run(at, query, scores, references);
                }
                weightedSum(n).run(values + (long) first * type.bytes(), scores, sums);
            }
        }

        private float[] weights() {
            return floats(sums + (long) size * rows * Float.BYTES, rows).toArray(ValueLayout.JAVA_FLOAT);
        }

        private boolean inRange() {
            for (float sum : weights()) {
                if (!(sum <= LARGEST_SUM && sum >= 1 / LARGEST_SUM)) {
                    return false;
                }
            }
            return true;
        }

        /** Makes averages of the sums, times {@code factor}. */
        private void divide(float factor) {
            float[] scale = weights();
            for (int row = 0; row < rows; row++) {
                scale[row] = factor / scale[row];
            }
            MemorySegment segment = floats(sums, size * rows);
            float[] averages = worker.array(size * rows);
            MemorySegment.copy(segment, ValueLayout.JAVA_FLOAT, 0, averages, 0, size * rows);
            for (int start = 0; start < size * rows; start += rows) {
                for (int row = 0; row < rows; row++) {
                    averages[start + row] *= scale[row];
                }
            }
            MemorySegment.copy(averages, 0, segment, ValueLayout.JAVA_FLOAT, 0, size * rows);
        }

        /** Copies or adds {@code [size, rows]} to the output. */
        private Primitive store(boolean accumulate) {
            return oneDnn.primitive(List.of("output of attention", type, rows, size, outStride, accumulate), d -> {
                dnnl_memory_desc from = d.rowMajor(DataType.FLOAT32, size, rows);
                dnnl_memory_desc to = d.strided(type, new long[] {size, rows}, new long[] {1, outStride});
                return Primitive.copy(oneDnn, d, type, from, to, accumulate ? d.postOps().sum() : d.postOps());
            });
        }

        private static MemorySegment floats(long address, int count) {
            return NativeMemory.view(address, (long) count * Float.BYTES);
        }

        /** {@code [keys, rows]}: the scores as float32, not divided by sqrt(d), or their exponentials. */
        private Primitive scores(int n, long stride, boolean exponentials) {
            return oneDnn.primitive(List.of("scores", type, n, rows, size, stride, queryStride, mask != 0, exponentials), d -> {
                dnnl_memory_desc k = d.strided(type, new long[] {n, size}, new long[] {stride, 1});
                dnnl_memory_desc q = d.strided(type, new long[] {size, rows}, new long[] {1, queryStride});
                dnnl_memory_desc s = d.rowMajor(exponentials ? type : DataType.FLOAT32, n, rows);
                dnnl_memory_desc bias = exponentials ? d.rowMajor(DataType.FLOAT32, 1, rows) : null;
                dnnl_memory_desc masks = d.rowMajor(DataType.FLOAT32, n, rows);
                Descriptors.PostOps postOps = d.postOps();
                if (mask != 0) {
                    postOps.binary(dnnl_binary_add, masks);
                }
                if (exponentials) {
                    postOps.scale((float) (1 / Math.sqrt(size))).eltwise(dnnl_eltwise_exp, 0, 0);
                }
                Primitive.Builder builder = new Primitive.Builder(oneDnn, product(d, type, k, q, bias, s, postOps))
                        .argument(DNNL_ARG_SRC, k).argument(DNNL_ARG_WEIGHTS, q).argument(DNNL_ARG_DST, s);
                if (exponentials) {
                    builder.argument(DNNL_ARG_BIAS, bias);
                }
                if (mask != 0) {
                    builder.postOpArgument(0, masks);
                }
                return builder.build();
            });
        }

        private Primitive weightedSum(int n) {
            return oneDnn.primitive(List.of("weighted sum", type, n, rows, size, keys), d -> {
                dnnl_memory_desc v = d.strided(type, new long[] {size + 1, n}, new long[] {keys + PADDING, 1});
                dnnl_memory_desc p = d.rowMajor(type, n, rows);
                dnnl_memory_desc sum = d.rowMajor(DataType.FLOAT32, size + 1, rows);
                return new Primitive.Builder(oneDnn, product(d, type, v, p, null, sum, d.postOps().sum()))
                        .argument(DNNL_ARG_SRC, v).argument(DNNL_ARG_WEIGHTS, p).argument(DNNL_ARG_DST, sum).build();
            });
        }
    }

    /** What decides whether attention is computed in a type. */
    static dnnl_primitive_desc typical(Descriptors d, DataType type) {
        return product(d, type, d.rowMajor(type, 64, 64), d.rowMajor(type, 64, 64), null, d.rowMajor(type, 64, 64), d.postOps());
    }

    private static dnnl_primitive_desc product(Descriptors d, DataType type, dnnl_memory_desc a, dnnl_memory_desc b,
            dnnl_memory_desc bias, dnnl_memory_desc c, Descriptors.PostOps postOps) {
        return d.primitive("matrix product of attention", type, postOps,
                (made, engine, attributes) -> dnnl_matmul_primitive_desc_create(made, engine, a, b, bias, c, attributes));
    }

    /** Of keys and query rows: zero where a row may look at a key, minus infinity where the key comes later. */
    private long causalMask(int length) {
        return device.constant(List.of("causal mask", length), () -> {
            float[] mask = new float[length * length];
            for (int i = 0; i < mask.length; i++) {
                mask[i] = i / length > i % length ? Float.NEGATIVE_INFINITY : 0;
            }
            return mask;
        });
    }
}
