package io.invadapter.kernels.cuda.libraries;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.choice.Candidate;
import io.invadapter.kernels.cuda.driver.CudaDriver;

/** A process of its own for {@link FusedProductsTest}: asks cublasLt for products and prints what it proposes or why it does not. */
final class FusedProducts {
    private FusedProducts() {
    }

    /** @param arguments {@code none} when nothing is there to be asked */
    public static void main(String[] arguments) {
        FakeDriver driver = new FakeDriver(13000);
        try (CudaLibraries libraries = CudaLibraries.open(driver)) {
            Blas blas = libraries.blas();
            System.out.println(blas.description());
            CudaDriver.Stream stream = driver.newStream();
            run(blas, new Blas.Product(DataType.FLOAT16, 8192, 320, 1280, true, true, 16), 0xb000, 0xc000, stream);
            run(blas, new Blas.Product(DataType.BFLOAT16, 7, 5, 3, true, false, 2), 0xb002, 0, stream);
            run(blas, new Blas.Product(DataType.FLOAT32, 64, 32, 16, false, true, 16), 0, 0xc000, null);
            run(blas, new Blas.Product(DataType.FLOAT32, 64, 32, 16, false, false, 4), 0, 0, null);
        } catch (DeviceException e) {
            System.out.println(e.getMessage());
        }
    }

    private static void run(Blas blas, Blas.Product product, long bias, long residual, CudaDriver.Stream stream) {
        for (Candidate<Blas.ProductWay> candidate : blas.candidates(product)) {
            System.out.println(product + ": " + candidate.name() + " " + candidate.notes());
            try (Blas.ProductWay way = candidate.prepare()) {
                way.run(0x1000, 0x2000, bias, residual, 0x5000, 0x6000, stream);
                // The same descriptors with other operands.
                way.run(0x1100, 0x2100, bias == 0 ? 0 : bias + 0x100, residual, 0x5100, 0x6000, stream);
                System.out.println(way.workspaceBytes() + " bytes");
            } catch (DeviceException e) {
                System.out.println(e.getMessage());
            }
        }
    }
}
