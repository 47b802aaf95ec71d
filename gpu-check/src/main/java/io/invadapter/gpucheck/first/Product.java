package io.invadapter.gpucheck.first;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.driver.CudaDriver;

/** {@code y [rows, out] = x [rows, in] W^T} of known values, as a linear layer asks cuBLAS for it. */
final class Product implements AutoCloseable {
    private static final int POINTS = 32;

    private final Blas blas;
    private final DataType type;
    private final int rows;
    private final int in;
    private final int out;
    private final OnDevice memory;
    private final long x;
    private final long w;
    private final long y;

    Product(CudaDriver driver, Blas blas, DataType type, int rows, int in, int out) {
        this.blas = blas;
        this.type = type;
        this.rows = rows;
        this.in = in;
        this.out = out;
        memory = new OnDevice(driver);
        try {
            x = memory.known(1, type, (long) rows * in);
            w = memory.known(2, type, (long) out * in);
            y = memory.room((long) rows * out * type.bytes());
        } catch (RuntimeException e) {
            memory.close();
            throw e;
        }
    }

    void run(CudaDriver.Stream stream) {
        blas.multiply(true, false, out, rows, in, 1, new Blas.Matrix(w, in, 0), new Blas.Matrix(x, in, 0), 0,
                new Blas.Matrix(y, out, 0), type, 1, stream);
    }

    double operations() {
        return 2.0 * rows * in * out;
    }

    /** How far some values are from the host's. */
    double error() {
        double[] expected = new double[POINTS];
        double[] found = new double[POINTS];
        for (int p = 0; p < POINTS; p++) {
            long at = p * 2_654_435_761L % ((long) rows * out);
            long row = at / out;
            long column = at % out;
            for (long i = 0; i < in; i++) {
                expected[p] += (double) OnDevice.known(1, row * in + i) * OnDevice.known(2, column * in + i);
            }
            found[p] = memory.read(type, y + at * type.bytes(), 1)[0];
        }
        return OnDevice.error(expected, found);
    }

    double limit() {
        return OnDevice.limit(type);
    }

    /** Makes the result no numbers. */
    void spoil() {
        memory.spoil(y, (long) rows * out * type.bytes());
    }

    byte[] result() {
        return memory.bytes(y, (long) rows * out * type.bytes());
    }

    @Override
    public void close() {
        memory.close();
    }
}
