package io.invadapter.gpucheck.first;

import io.invadapter.gpucheck.Outcome;
import io.invadapter.kernels.DataType;
import io.invadapter.kernels.cuda.blas.Blas;
import io.invadapter.kernels.cuda.driver.CudaDriver;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** What this chip can do at most: the measure for all other figures. */
final class Ceilings {
    private Ceilings() {
    }

    static void run(Contact contact) {
        double limit = contact.sizes().limit();
        contact.item("copy within the device", limit, () -> {
            long bytes = contact.sizes().copied();
            CudaDriver driver = contact.driver();
            try (OnDevice memory = new OnDevice(driver)) {
                long from = memory.known(0, DataType.FLOAT32, bytes / 4);
                long to = memory.room(bytes);
                double microseconds = contact.microseconds(stream -> driver.copy(to, from, bytes, stream));
                // Read and written.
                return rate("GB/s", 2.0 * bytes / microseconds / 1e3, microseconds);
            }
        });
        contact.item("copy from the host", limit, () -> hostCopy(contact, true));
        contact.item("copy to the host", limit, () -> hostCopy(contact, false));
        for (DataType type : Proofs.TYPES) {
            int side = contact.sizes().product();
            contact.item("product of " + side + ", " + Proofs.name(type), limit, () -> product(contact, type, side));
        }
    }

    private static Outcome hostCopy(Contact contact, boolean in) {
        CudaDriver driver = contact.driver();
        long bytes = Math.max(4, contact.sizes().copied() / 16);
        try (OnDevice memory = new OnDevice(driver); CudaDriver.HostBuffer host = driver.allocateHost(bytes)) {
            long address = memory.known(0, DataType.FLOAT32, bytes / 4);
            double microseconds = contact.microseconds(stream -> {
                if (in) {
                    driver.copyIn(address, host, 0, bytes, stream);
                } else {
                    driver.copyOut(host, 0, address, bytes, stream);
                }
            });
            return rate("GB/s", bytes / microseconds / 1e3, microseconds);
        }
    }

    private static Outcome product(Contact contact, DataType type, int side) {
        CudaDriver driver = contact.driver();
        Blas blas = contact.libraries().blas();
        try (OnDevice scratch = new OnDevice(driver); Product product = new Product(driver, blas, type, side, side, side)) {
            blas.setWorkspace(scratch.room(Blas.WORKSPACE_BYTES), Blas.WORKSPACE_BYTES);
            product.run(null);
            driver.synchronize();
            double error = product.error();
            double microseconds = contact.microseconds(product::run);
            blas.setWorkspace(0, 0);
            Outcome rate = rate("TFLOP/s", product.operations() / microseconds / 1e6, microseconds);
            return Outcome.of(error <= product.limit(), rate.detail() + String.format(Locale.ROOT, ", relative error %.1e", error),
                    rate.data());
        }
    }

    private static Outcome rate(String unit, double rate, double microseconds) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("rate", rate);
        data.put("unit", unit);
        data.put("us", microseconds);
        return Outcome.of(true, String.format(Locale.ROOT, "%.1f %s (%.1f us)", rate, unit, microseconds), data);
    }
}
