package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.Attention;
import io.invadapter.kernels.cuda.OwnAttention;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.List;

/** The attentions of a step for which cuDNN is asked: each in every way that it proposes, and by the kernel of ours. */
final class Attentions {
    private static final int Q = 1;
    private static final int K = 2;
    private static final int V = 3;
    private static final int POINTS = 16;

    private Attentions() {
    }

    static void run(Contact contact) {
        StepWork work = StepWork.of(contact.sizes());
        new Trials<Dnn.AttentionPlan>(contact).all(work.attentions().stream().map(shape -> new Large(contact, shape)).toList(),
                OnDevice.limit(DataType.FLOAT16));
    }

    /** One of them. */
    record Large(Contact contact, Dnn.AttentionShape shape) implements Trials.Subject<Dnn.AttentionPlan> {
        @Override
        public String label() {
            return "attention, " + shape.batch() + " x " + shape.heads() + " heads of " + shape.headSize() + ", " + shape.queries() + " x "
                    + shape.keys();
        }

        @Override
        public String key() {
            return shape.toString();
        }

        @Override
        public double operations() {
            return 4.0 * shape.batch() * shape.heads() * shape.queries() * shape.keys() * shape.headSize();
        }

        /** Not counted: it depends on the way. */
        @Override
        public long timesPerStep() {
            return 0;
        }

        @Override
        public List<Candidate<Dnn.AttentionPlan>> candidates() {
            List<Candidate<Dnn.AttentionPlan>> candidates = new ArrayList<>();
            candidates.add(new OwnAttention(new Attention(contact.kernels(shape.type())), shape));
            candidates.addAll(contact.libraries().dnn().propose(shape).candidates());
            return candidates;
        }

        @Override
        public Trials.Operands<Dnn.AttentionPlan> operands() {
            return new Memory(contact.driver(), shape);
        }
    }

    private static final class Memory implements Trials.Operands<Dnn.AttentionPlan> {
        private final Dnn.AttentionShape shape;
        private final OnDevice memory;
        private final long q;
        private final long k;
        private final long v;
        private final long out;

        Memory(CudaDriver driver, Dnn.AttentionShape shape) {
            this.shape = shape;
            memory = new OnDevice(driver);
            try {
                q = memory.known(Q, shape.type(), values(shape.queries(), shape.q()));
                k = memory.known(K, shape.type(), values(shape.keys(), shape.k()));
                v = memory.known(V, shape.type(), values(shape.keys(), shape.v()));
                out = memory.room(outBytes());
            } catch (RuntimeException e) {
                memory.close();
                throw e;
            }
        }

        /** From an operand's first value to its last. */
        private long values(int tokens, Dnn.Strides strides) {
            return place(strides, shape.batch() - 1, tokens - 1, shape.heads() - 1) + shape.headSize();
        }

        private static long place(Dnn.Strides strides, long row, long token, long head) {
            return row * strides.batch() + token * strides.token() + head * strides.head();
        }

        private long outBytes() {
            return values(shape.queries(), shape.out()) * shape.type().bytes();
        }

        @Override
        public void run(Dnn.AttentionPlan plan, long workspace, CudaDriver.Stream stream) {
            plan.run(q, k, v, out, workspace, stream);
        }

        @Override
        public double error() {
            double[] expected = new double[POINTS];
            double[] found = new double[POINTS];
            for (int p = 0; p < POINTS; p++) {
                int row = p % shape.batch();
                int head = p * 5 % shape.heads();
                int query = (int) ((long) p * (shape.queries() - 1) / (POINTS - 1));
                int channel = p * 7 % shape.headSize();
                expected[p] = at(row, head, query, channel);
                long place = place(shape.out(), row, query, head) + channel;
                found[p] = memory.read(shape.type(), out + place * shape.type().bytes(), 1)[0];
            }
            return OnDevice.error(expected, found);
        }

        private double at(int row, int head, int query, int channel) {
            double[] scores = new double[shape.keys()];
            double greatest = Double.NEGATIVE_INFINITY;
            for (int key = 0; key < shape.keys(); key++) {
                for (int c = 0; c < shape.headSize(); c++) {
                    scores[key] += shape.scale() * OnDevice.known(Q, place(shape.q(), row, query, head) + c)
                            * OnDevice.known(K, place(shape.k(), row, key, head) + c);
                }
                greatest = Math.max(greatest, scores[key]);
            }
            double sum = 0;
            double weighted = 0;
            for (int key = 0; key < shape.keys(); key++) {
                double weight = Math.exp(scores[key] - greatest);
                sum += weight;
                weighted += weight * OnDevice.known(V, place(shape.v(), row, key, head) + channel);
            }
            return weighted / sum;
        }

        @Override
        public void spoil() {
            memory.spoil(out, outBytes());
        }

        @Override
        public byte[] result() {
            return memory.bytes(out, outBytes());
        }

        @Override
        public void close() {
            memory.close();
        }
    }
}
