package io.invadapter.kernels.cuda.driver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.kernels.OutOfDeviceMemoryException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What users read when a call of the driver fails: one sentence, with what to do where there is something to do. */
class DriverErrorsTest {
    private final DriverErrors errors = new DriverErrors("GPU 0 (Fake GPU)");

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            100 | NVIDIA's driver is there, but it finds no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES
            34 | the libcuda.so.1 that is found is the CUDA toolkit's stub; put the driver's own before it in LD_LIBRARY_PATH
            802 | the system is not ready for CUDA (NAME); is nvidia-fabricmanager running?
            803 | libcuda.so.1 and NVIDIA's kernel driver are of different versions (NAME); restart the computer or install the driver again
            804 | the CUDA compatibility package does not support this GPU (NAME); update NVIDIA's driver
            999 | CUDA does not start: cuInit failed with NAME; check nvidia-smi
            """, quoteCharacter = '"')
    void whyItDoesNotStart(int status, String sentence) {
        assertEquals(sentence, DriverErrors.startup("cuInit", status, "NAME").getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            2 | GPU 0 (Fake GPU) has not enough memory left for cuX; make smaller or fewer pictures, or end other programs that use it
            46 | GPU 0 (Fake GPU) is reserved by another program (NAME)
            209 | the kernels do not fit GPU 0 (Fake GPU): cuX failed with NAME
            218 | the kernels do not fit GPU 0 (Fake GPU): cuX failed with NAME
            221 | libnvidia-ptxjitcompiler.so.1, a part of NVIDIA's driver, is missing; in a container NVIDIA_DRIVER_CAPABILITIES must contain compute
            222 | NVIDIA's driver is too old for these kernels (NAME); update the driver
            701 | cuX failed on GPU 0 (Fake GPU): NAME
            900 | cuX cannot be done while a graph is recorded (NAME)
            908 | cuX cannot be done while a graph is recorded (NAME)
            909 | cuX failed on GPU 0 (Fake GPU): NAME
            """, quoteCharacter = '"')
    void afterTheseItGoesOn(int status, String sentence) {
        assertEquals(sentence, errors.failure("cuX", status, "NAME").getMessage());
        assertFalse(errors.lost());
        errors.throwIfLost();
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 214, 700, 702, 710, 719, 999})
    void afterTheseTheGpuIsLost(int status) {
        assertEquals("GPU 0 (Fake GPU) failed: NAME, noticed by cuX"
                + (status == 702 ? " (a GPU with a display may not compute for seconds at a time)" : "")
                + "; it cannot be used any more, start the program again", errors.failure("cuX", status, "NAME").getMessage());
        assertTrue(errors.lost());
        assertEquals("GPU 0 (Fake GPU) failed earlier (NAME) and cannot be used any more; start the program again",
                assertThrows(CudaException.class, errors::throwIfLost).getMessage());
    }

    @Test
    void memoryThatRanOutCanBeToldApart() {
        assertInstanceOf(OutOfDeviceMemoryException.class, errors.failure("cuX", 2, "NAME"));
        assertEquals("1000 bytes, 1 MiB, 10239 MiB, 10 GiB", DriverErrors.bytes(1000) + ", " + DriverErrors.bytes(1 << 20)
                + ", " + DriverErrors.bytes((10L << 30) - (1 << 20)) + ", " + DriverErrors.bytes(10L << 30));
    }
}
