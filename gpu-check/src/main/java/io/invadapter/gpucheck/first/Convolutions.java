package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.Device.Activation;
import io.invadapter.kernels.cuda.Pointwise;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.dnn.Dnn;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.List;

/** The convolutions of a step and of decoding, each in every way that cuDNN proposes. */
final class Convolutions {
    private static final int X = 1;
    private static final int W = 2;
    private static final int BIAS = 3;
    private static final int RESIDUAL = 4;
    private static final int POINTS = 16;

    private Convolutions() {
    }

    static void run(Contact contact) {
        StepWork work = StepWork.of(contact.sizes());
        new Trials<Dnn.Plan>(contact).all(work.convolutions().stream()
                .map(shape -> new Convolution(contact, shape, work.timesPerStep(shape))).toList(), OnDevice.limit(DataType.FLOAT16));
    }

    private static String label(Dnn.Shape s) {
        return s.batch() + " x " + s.height() + " x " + s.width() + " x " + s.inChannels() + " -> " + s.outChannels() + ", "
                + s.kernelHeight() + " x " + s.kernelWidth() + (s.stride() == 1 ? "" : ", stride " + s.stride())
                + (s.residual() ? ", residual" : "");
    }

    private static final class Convolution implements Trials.Subject<Dnn.Plan> {
        private final Contact contact;
        private final Dnn.Shape shape;
        private final long timesPerStep;

        Convolution(Contact contact, Dnn.Shape shape, long timesPerStep) {
            this.contact = contact;
            this.shape = shape;
            this.timesPerStep = timesPerStep;
        }

        @Override
        public String label() {
            return Convolutions.label(shape);
        }

        @Override
        public String key() {
            return shape.toString();
        }

        @Override
        public long timesPerStep() {
            return timesPerStep;
        }

        @Override
        public double operations() {
            return 2.0 * shape.batch() * shape.outHeight() * shape.outWidth() * shape.outChannels() * shape.inChannels()
                    * shape.kernelHeight() * shape.kernelWidth();
        }

        /** The proposals live as long as the process. */
        @Override
        public List<Candidate<Dnn.Plan>> candidates() {
            return contact.libraries().dnn().propose(shape).candidates();
        }

        @Override
        public Trials.Operands<Dnn.Plan> operands() {
            return new Memory(contact, shape);
        }
    }

    static final class Memory implements Trials.Operands<Dnn.Plan> {
        private final Dnn.Shape shape;
        private final OnDevice memory;
        private final Pointwise pointwise;
        private final long x;
        private final long w;
        private final long bias;
        private final long residual;
        private final long y;

        Memory(Contact contact, Dnn.Shape shape) {
            this.shape = shape;
            memory = new OnDevice(contact.driver());
            pointwise = new Pointwise(contact.kernels(shape.type()));
            DataType type = shape.type();
            try {
                x = memory.known(X, type, (long) shape.batch() * shape.height() * shape.width() * shape.inChannels());
                w = memory.known(W, type, (long) shape.outChannels() * filter());
                bias = memory.known(BIAS, type, shape.outChannels());
                residual = shape.residual() ? memory.known(RESIDUAL, type, pixels() * shape.outChannels()) : 0;
                y = memory.room(pixels() * shape.outChannels() * type.bytes());
            } catch (RuntimeException e) {
                memory.close();
                throw e;
            }
        }

        private int filter() {
            return shape.kernelHeight() * shape.kernelWidth() * shape.inChannels();
        }

        private long pixels() {
            return (long) shape.batch() * shape.outHeight() * shape.outWidth();
        }

        @Override
        public void run(Dnn.Plan plan, long workspace, CudaDriver.Stream stream) {
            plan.run(x, w, bias, residual, y, workspace, stream);
            if (!plan.addsBias()) {
                pointwise.add(y, bias, Activation.NONE, 0, y, (int) pixels(), shape.outChannels(), stream);
            }
        }

        @Override
        public double error() {
            double[] expected = new double[POINTS];
            double[] found = new double[POINTS];
            for (int p = 0; p < POINTS; p++) {
                // Corners, and places in between.
                long pixel = p * (pixels() - 1) / (POINTS - 1);
                int channel = (int) (p * 2_654_435_761L % shape.outChannels());
                expected[p] = at(pixel, channel);
                found[p] = memory.read(shape.type(), y + (pixel * shape.outChannels() + channel) * shape.type().bytes(), 1)[0];
            }
            return OnDevice.error(expected, found);
        }

        private double at(long pixel, int channel) {
            int column = (int) (pixel % shape.outWidth());
            int row = (int) (pixel / shape.outWidth() % shape.outHeight());
            long image = pixel / shape.outWidth() / shape.outHeight();
            double sum = OnDevice.known(BIAS, channel)
                    + (shape.residual() ? OnDevice.known(RESIDUAL, pixel * shape.outChannels() + channel) : 0);
            for (int v = 0; v < shape.kernelHeight(); v++) {
                for (int u = 0; u < shape.kernelWidth(); u++) {
                    int h = row * shape.stride() - shape.padding() + v;
                    int wide = column * shape.stride() - shape.padding() + u;
                    if (h < 0 || h >= shape.height() || wide < 0 || wide >= shape.width()) {
                        continue;
                    }
                    long from = ((image * shape.height() + h) * shape.width() + wide) * shape.inChannels();
                    long weight = (long) channel * filter() + (long) (v * shape.kernelWidth() + u) * shape.inChannels();
                    for (int c = 0; c < shape.inChannels(); c++) {
                        sum += (double) OnDevice.known(X, from + c) * OnDevice.known(W, weight + c);
                    }
                }
            }
            return sum;
        }

        @Override
        public void spoil() {
            memory.spoil(y, pixels() * shape.outChannels() * shape.type().bytes());
        }

        @Override
        public byte[] result() {
            return memory.bytes(y, pixels() * shape.outChannels() * shape.type().bytes());
        }

        @Override
        public void close() {
            memory.close();
        }
    }
}
