package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.ClassicProduct;
import io.invadapter.kernels.cuda.Pointwise;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.ArrayList;
import java.util.List;

/** The linear layers of a step, each in every way that cublasLt proposes, and as cuBLAS computes it with a kernel that adds. */
final class LinearProducts {
    private static final int X = 1;
    private static final int W = 2;
    private static final int BIAS = 3;
    private static final int RESIDUAL = 4;
    private static final int POINTS = 16;

    private LinearProducts() {
    }

    static void run(Contact contact) {
        StepWork work = StepWork.of(contact.sizes());
        new Trials<Blas.ProductWay>(contact).all(work.products().stream().map(product -> new Linear(contact, product, work.timesPerStep(product)))
                .toList(), OnDevice.limit(DataType.FLOAT16));
    }

    private static final class Linear implements Trials.Subject<Blas.ProductWay> {
        private final Contact contact;
        private final Blas.Product product;
        private final long timesPerStep;

        Linear(Contact contact, Blas.Product product, long timesPerStep) {
            this.contact = contact;
            this.product = product;
            this.timesPerStep = timesPerStep;
        }

        @Override
        public String label() {
            return product.toString();
        }

        @Override
        public String key() {
            return product.key();
        }

        @Override
        public long timesPerStep() {
            return timesPerStep;
        }

        @Override
        public double operations() {
            return 2.0 * product.rows() * product.inFeatures() * product.outFeatures();
        }

        @Override
        public List<Candidate<Blas.ProductWay>> candidates() {
            Blas blas = contact.libraries().blas();
            List<Candidate<Blas.ProductWay>> candidates = new ArrayList<>(blas.candidates(product));
            candidates.add(new ClassicProduct(blas, new Pointwise(contact.kernels(product.type())), product));
            return candidates;
        }

        @Override
        public Trials.Operands<Blas.ProductWay> operands() {
            return new Memory(contact.driver(), product);
        }
    }

    static final class Memory implements Trials.Operands<Blas.ProductWay> {
        private final Blas.Product product;
        private final OnDevice memory;
        private final long x;
        private final long w;
        private final long bias;
        private final long residual;
        private final long y;

        Memory(CudaDriver driver, Blas.Product product) {
            this.product = product;
            memory = new OnDevice(driver);
            DataType type = product.type();
            try {
                x = memory.known(X, type, (long) product.rows() * product.inFeatures());
                w = memory.known(W, type, (long) product.outFeatures() * product.inFeatures());
                bias = product.bias() ? memory.known(BIAS, type, product.outFeatures()) : 0;
                residual = product.residual() ? memory.known(RESIDUAL, type, results()) : 0;
                y = memory.room(results() * type.bytes());
            } catch (RuntimeException e) {
                memory.close();
                throw e;
            }
        }

        private long results() {
            return (long) product.rows() * product.outFeatures();
        }

        @Override
        public void run(Blas.ProductWay way, long workspace, CudaDriver.Stream stream) {
            way.run(x, w, bias, residual, y, workspace, stream);
        }

        @Override
        public double error() {
            double[] expected = new double[POINTS];
            double[] found = new double[POINTS];
            for (int p = 0; p < POINTS; p++) {
                long at = p * 2_654_435_761L % results();
                long row = at / product.outFeatures();
                long column = at % product.outFeatures();
                expected[p] = (bias == 0 ? 0 : OnDevice.known(BIAS, column)) + (residual == 0 ? 0 : OnDevice.known(RESIDUAL, at));
                for (long i = 0; i < product.inFeatures(); i++) {
                    expected[p] += (double) OnDevice.known(X, row * product.inFeatures() + i)
                            * OnDevice.known(W, column * product.inFeatures() + i);
                }
                found[p] = memory.read(product.type(), y + at * product.type().bytes(), 1)[0];
            }
            return OnDevice.error(expected, found);
        }

        @Override
        public void spoil() {
            memory.spoil(y, results() * product.type().bytes());
        }

        @Override
        public byte[] result() {
            return memory.bytes(y, results() * product.type().bytes());
        }

        @Override
        public void close() {
            memory.close();
        }
    }
}
