package io.invadapter.kernels.cuda;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import io.invadapter.kernels.cuda.driver.CudaException;
import java.util.List;

/** cuDNN's fused attention in plain Java on an emulated device, with its checks, as one of its {@link EmulatedEngine}s. */
final class EmulatedAttention implements Candidate<Dnn.AttentionPlan> {
    private final EmulatorDriver driver;
    private final EmulatedMemory memory;
    private final Dnn.AttentionShape shape;
    private final EmulatedEngine engine;

    EmulatedAttention(EmulatorDriver driver, Dnn.AttentionShape shape, EmulatedEngine engine) {
        this.driver = driver;
        this.memory = new EmulatedMemory(driver.emulator());
        this.shape = shape;
        this.engine = engine;
    }

    private static void require(boolean holds, String status, String problem) {
        if (!holds) {
            throw new CudaException("cuDNN failed: CUDNN_STATUS_" + status + " (" + problem + ")");
        }
    }

    @Override
    public String name() {
        return engine.name();
    }

    @Override
    public boolean compiledAtRunTime() {
        return engine.compiled();
    }

    @Override
    public Dnn.AttentionPlan prepare() {
        driver.notRecordable("preparing an attention");
        require(shape.type() != DataType.FLOAT32, "NOT_SUPPORTED", "attention of " + shape.type());
        require(shape.headSize() % 8 == 0 && shape.headSize() <= 128, "NOT_SUPPORTED_SHAPE", "head size " + shape.headSize());
        for (Dnn.Strides strides : List.of(shape.q(), shape.k(), shape.v(), shape.out())) {
            require(strides.batch() > 0 && strides.token() > 0 && strides.head() > 0, "BAD_PARAM", "strides " + strides);
            require((strides.batch() | strides.token() | strides.head()) % 8 == 0, "NOT_SUPPORTED_LAYOUT", "strides " + strides);
        }
        require(engine.refusal() == null, "NOT_SUPPORTED", engine.refusal());
        return new Plan();
    }

    private final class Plan implements Dnn.AttentionPlan {
        private boolean closed;

        @Override
        public long workspaceBytes() {
            return engine.scratchBytes();
        }

        @Override
        public void run(long q, long k, long v, long out, long workspace, CudaDriver.Stream stream) {
            require(!closed, "NOT_INITIALIZED", "closed");
            require(engine.failure() == null, "EXECUTION_FAILED", engine.failure());
            if (!engine.recordable() && driver.isRecording(stream)) {
                driver.notRecordable(engine.name());
            }
            long end = out + bytes(shape.queries(), shape.out());
            check("q", q, bytes(shape.queries(), shape.q()), out, end);
            check("k", k, bytes(shape.keys(), shape.k()), out, end);
            check("v", v, bytes(shape.keys(), shape.v()), out, end);
            require(out != 0 && out % 16 == 0, "BAD_PARAM_MISALIGNED_POINTER", "out");
            require(engine.scratchBytes() == 0 || workspace != 0, "BAD_PARAM_NULL_POINTER", "workspace is null");
            driver.submit(stream, new EmulatedWork(shape.toString(), () -> {
                require(!closed, "EXECUTION_FAILED", "a plan that was closed");
                memory.scribble(workspace, engine.scratchBytes());
                compute(q, k, v, out);
            }, engine.deviceMicroseconds() * 1000, engine.hostMicroseconds() * 1000));
        }

        private void check(String name, long address, long bytes, long out, long end) {
            require(address != 0 && address % 16 == 0, "BAD_PARAM_MISALIGNED_POINTER", name);
            require(address + bytes <= out || end <= address, "EXECUTION_FAILED", name + " overlaps out");
        }

        @Override
        public void close() {
            require(!closed, "BAD_PARAM", "a plan that was closed already");
            closed = true;
        }
    }

    /** From the first value to the last. */
    private long bytes(int tokens, Dnn.Strides strides) {
        return shape.type().bytes() * ((shape.batch() - 1) * strides.batch() + (tokens - 1) * strides.token()
                + (shape.heads() - 1) * strides.head() + shape.headSize());
    }

    private float[] read(long address, Dnn.Strides strides, int batch, int token, int head) {
        return memory.read(shape.type(), address + at(strides, batch, token, head), shape.headSize());
    }

    private long at(Dnn.Strides strides, int batch, int token, int head) {
        return shape.type().bytes() * (batch * strides.batch() + token * strides.token() + head * strides.head());
    }

    private void compute(long q, long k, long v, long out) {
        int size = shape.headSize();
        for (int batch = 0; batch < shape.batch(); batch++) {
            for (int head = 0; head < shape.heads(); head++) {
                float[][] keys = new float[shape.keys()][];
                float[][] values = new float[shape.keys()][];
                for (int j = 0; j < shape.keys(); j++) {
                    keys[j] = read(k, shape.k(), batch, j, head);
                    values[j] = read(v, shape.v(), batch, j, head);
                }
                for (int i = 0; i < shape.queries(); i++) {
                    float[] result = row(read(q, shape.q(), batch, i, head), keys, values);
                    memory.write(shape.type(), out + at(shape.out(), batch, i, head), result, 0, size);
                }
            }
        }
    }

    private float[] row(float[] query, float[][] keys, float[][] values) {
        double[] weights = new double[keys.length];
        double highest = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < keys.length; j++) {
            for (int e = 0; e < query.length; e++) {
                weights[j] += query[e] * keys[j][e];
            }
            weights[j] *= shape.scale();
            highest = Math.max(highest, weights[j]);
        }
        double sum = 0;
        for (int j = 0; j < keys.length; j++) {
            weights[j] = Math.exp(weights[j] - highest);
            sum += weights[j];
        }
        float[] result = new float[query.length];
        for (int e = 0; e < query.length; e++) {
            double total = 0;
            for (int j = 0; j < keys.length; j++) {
                total += weights[j] * values[j][e];
            }
            result[e] = (float) (total / sum);
        }
        return result;
    }
}
