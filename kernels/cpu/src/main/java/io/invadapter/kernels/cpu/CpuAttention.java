package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device;
import io.invadapter.kernels.Tensor;
import java.util.List;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * Attention in blocks of heads and query rows that keep the scores in the cache: product, softmax, product, all by oneDNN,
 * reading Q, K and V where the projections left them.
 */
final class CpuAttention {
    /** Query rows of a thread: with fewer, oneDNN spends its time on packing the keys again for every block. */
    private static final int THREAD_ROWS = 256;
    /** Scores of a thread, in bytes, up to which several heads go into one block: half a level-2 cache. */
    private static final long THREAD_SCORES = 1 << 20;

    private final CpuDevice device;
    private final OneDnn oneDnn;

    CpuAttention(CpuDevice device) {
        this.device = device;
        this.oneDnn = device.oneDnn();
    }

    void run(Tensor query, Tensor keys, Tensor values, int heads, boolean causal, Device.Identity identity, Tensor out) {
        float[] scales = identity == null ? null : device.download(identity.scales());
        int[] identities = identity == null ? null : device.downloadIndices(identity.rows());
        for (int row = 0; row < query.batch(); row++) {
            Tensor q = query.rows(row, 1);
            Tensor o = out.rows(row, 1);
            source(q, keys.rows(row, 1), values.rows(row, 1), heads, causal, 1, false, o);
            if (identity != null && scales[row] != 0) {
                source(q, identity.keys().rows(identities[row], 1), identity.values().rows(identities[row], 1), heads, false,
                        scales[row], true, o);
            }
        }
    }

    /** {@code out = factor * softmax(Q K^T / sqrt(d)) V}, added to {@code out} when {@code accumulate}. */
    private void source(Tensor q, Tensor k, Tensor v, int heads, boolean causal, float factor, boolean accumulate,
            Tensor out) {
        int size = q.channels() / heads;
        int queryLength = q.size(1);
        int keyLength = k.size(1);
        int threads = oneDnn.threads;
        long headsOfThread = Math.max(1, THREAD_SCORES / ((long) THREAD_ROWS * keyLength * Float.BYTES));
        int blockHeads = largestDivisor(heads, threads * headsOfThread);
        int blockRows = causal ? queryLength : Math.min(THREAD_ROWS * Math.max(1, threads / blockHeads), queryLength);
        DataType type = q.type();
        long scores = device.workspace(0, (long) blockHeads * blockRows * keyLength * Float.BYTES);
        long weights = type == DataType.FLOAT32 ? scores
                : device.workspace(1, (long) blockHeads * blockRows * keyLength * type.bytes());
        for (int head = 0; head < heads; head += blockHeads) {
            long column = (long) head * size * type.bytes();
            for (int row = 0; row < queryLength; row += blockRows) {
                int rows = Math.min(blockRows, queryLength - row);
                long queryAddress = q.address() + row * q.rowStride() * type.bytes() + column;
                long outAddress = out.address() + row * out.rowStride() * type.bytes() + column;
                Block block = new Block(type, blockHeads, rows, keyLength, size);
                if (causal) {
                    scores(block, q.rowStride(), k.rowStride(), true)
                            .run(queryAddress, k.address() + column, scores, causalMask(block));
                } else {
                    scores(block, q.rowStride(), k.rowStride(), false).run(queryAddress, k.address() + column, scores);
                }
                softmax(block, factor).run(scores, weights);
                weightedSum(block, v.rowStride(), out.rowStride(), accumulate)
                        .run(weights, v.address() + column, outAddress);
            }
        }
    }

    /** The largest divisor of {@code n} up to {@code limit}. */
    private static int largestDivisor(int n, long limit) {
        int divisor = (int) Math.min(n, limit);
        while (n % divisor != 0) {
            divisor--;
        }
        return divisor;
    }

    private record Block(DataType type, int heads, int rows, int keys, int size) {
    }

    /** {@code [heads, rows, keys]}, float32. */
    private Primitive scores(Block b, long queryStride, long keyStride, boolean masked) {
        return oneDnn.primitive(List.of("scores", b, queryStride, keyStride, masked), d -> {
            dnnl_memory_desc q = d.strided(b.type, new long[] {b.heads, b.rows, b.size}, new long[] {b.size, queryStride, 1});
            dnnl_memory_desc k = d.strided(b.type, new long[] {b.heads, b.size, b.keys}, new long[] {b.size, 1, keyStride});
            dnnl_memory_desc s = d.rowMajor(DataType.FLOAT32, b.heads, b.rows, b.keys);
            Descriptors.PostOps postOps = d.postOps().scale((float) (1 / Math.sqrt(b.size)));
            if (masked) {
                postOps.binary(dnnl_binary_add, s);
            }
            Primitive.Builder builder = matmul(d, b.type, q, k, s, postOps);
            if (masked) {
                builder.postOpArgument(1, s);
            }
            return builder.build();
        });
    }

    /** {@code factor * softmax}: scaling the product instead leaves the sum to a plain loop on all but the newest processors. */
    private Primitive softmax(Block b, float factor) {
        return oneDnn.primitive(List.of("softmax", b.type, b.heads * b.rows, b.keys, factor), d -> {
            dnnl_memory_desc s = d.rowMajor(DataType.FLOAT32, (long) b.heads * b.rows, b.keys);
            dnnl_memory_desc p = d.rowMajor(b.type, (long) b.heads * b.rows, b.keys);
            dnnl_primitive_desc descriptor = d.primitive("softmax", DataType.FLOAT32,
                    factor == 1 ? d.postOps() : d.postOps().scale(factor),
                    (made, engine, attributes) -> dnnl_softmax_forward_primitive_desc_create(made, engine, dnnl_forward_inference,
                            dnnl_softmax_accurate, s, p, 1, attributes));
            return new Primitive.Builder(oneDnn, descriptor).argument(DNNL_ARG_SRC, s).argument(DNNL_ARG_DST, p).build();
        });
    }

    private Primitive weightedSum(Block b, long valueStride, long outStride, boolean accumulate) {
        return oneDnn.primitive(List.of("weighted sum", b, valueStride, outStride, accumulate), d -> {
            dnnl_memory_desc p = d.rowMajor(b.type, b.heads, b.rows, b.keys);
            dnnl_memory_desc v = d.strided(b.type, new long[] {b.heads, b.keys, b.size}, new long[] {b.size, valueStride, 1});
            dnnl_memory_desc o = d.strided(b.type, new long[] {b.heads, b.rows, b.size}, new long[] {b.size, outStride, 1});
            return matmul(d, b.type, p, v, o, accumulate ? d.postOps().sum() : d.postOps()).build();
        });
    }

    /** What decides whether attention is computed in a type. */
    static dnnl_primitive_desc typical(Descriptors d, DataType type) {
        return product(d, type, d.rowMajor(type, 8, 64, 64), d.rowMajor(type, 8, 64, 64), d.rowMajor(type, 8, 64, 64), d.postOps());
    }

    private Primitive.Builder matmul(Descriptors d, DataType type, dnnl_memory_desc a, dnnl_memory_desc b, dnnl_memory_desc c,
            Descriptors.PostOps postOps) {
        return new Primitive.Builder(oneDnn, product(d, type, a, b, c, postOps))
                .argument(DNNL_ARG_SRC, a)
                .argument(DNNL_ARG_WEIGHTS, b)
                .argument(DNNL_ARG_DST, c);
    }

    private static dnnl_primitive_desc product(Descriptors d, DataType type, dnnl_memory_desc a, dnnl_memory_desc b,
            dnnl_memory_desc c, Descriptors.PostOps postOps) {
        return d.primitive("matrix product of attention", type, postOps,
                (made, engine, attributes) -> dnnl_matmul_primitive_desc_create(made, engine, a, b, null, c, attributes));
    }

    /** Zeros on and below the diagonal, minus infinity above it, for every head. */
    private long causalMask(Block b) {
        return device.constant(List.of("causal mask", b.heads, b.rows), () -> {
            float[] mask = new float[b.heads * b.rows * b.keys];
            for (int i = 0; i < mask.length; i++) {
                mask[i] = i % b.keys > i / b.keys % b.rows ? Float.NEGATIVE_INFINITY : 0;
            }
            return mask;
        });
    }
}
