package io.invadapter.kernels.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.invadapter.kernels.DataType;
import io.invadapter.kernels.DeviceException;
import io.invadapter.kernels.OutOfDeviceMemoryException;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class OneDnnTest {
    @BeforeAll
    static void load() {
        NativeLibraries.load();
    }

    @Test
    void whatGoesWrongIsASentence() {
        OneDnn.check("prepare a convolution", dnnl_success);
        assertSentence("oneDNN cannot prepare a convolution: it has no code for it on this processor (" + InstructionSet.name() + ")",
                dnnl_unimplemented);
        assertSentence("oneDNN cannot prepare a convolution: the sizes do not fit", dnnl_invalid_arguments);
        assertSentence("oneDNN failed to prepare a convolution (its status 5)", dnnl_runtime_error);
        assertThrows(OutOfDeviceMemoryException.class, () -> OneDnn.check("prepare a convolution", dnnl_out_of_memory));
    }

    private static void assertSentence(String expected, int status) {
        assertEquals(expected, assertThrows(DeviceException.class, () -> OneDnn.check("prepare a convolution", status)).getMessage());
    }

    /** Factors that do not fit. */
    @Test
    void aProductOfWrongSizesIsRefused() {
        try (OneDnn oneDnn = new OneDnn(1); Descriptors d = oneDnn.descriptors()) {
            DeviceException e = assertThrows(DeviceException.class, () -> d.primitive("matrix product", DataType.FLOAT32,
                    d.postOps(), (made, engine, attributes) -> dnnl_matmul_primitive_desc_create(made, engine,
                            d.rowMajor(DataType.FLOAT32, 2, 3), d.rowMajor(DataType.FLOAT32, 2, 3),
                            null, d.rowMajor(DataType.FLOAT32, 2, 3), attributes)));
            assertEquals("oneDNN cannot prepare a matrix product: the sizes do not fit", e.getMessage());
        }
    }
}
