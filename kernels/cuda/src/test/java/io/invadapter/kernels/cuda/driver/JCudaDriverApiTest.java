package io.invadapter.kernels.cuda.driver;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class JCudaDriverApiTest {
    @Test
    void saysInOneSentenceThatThereIsNoDriver() {
        assumeFalse(Files.exists(Path.of("/dev/nvidiactl")), "there is a GPU here");
        String message = assertThrows(CudaException.class, () -> JCudaDriverApi.open(0)).getMessage();
        // Without a driver its library is missing; with a driver and no GPU cuInit says so.
        assertTrue(message.equals("there is no NVIDIA driver: libcuda.so.1 is not found; install the driver of the GPU")
                || message.startsWith("cuInit failed: "), message);
    }

    @Test
    void parametersLieAsCudaWantsThem() {
        Parameters parameters = new Parameters();
        parameters.int32(1).int64(2).float32(1).structure(() -> parameters.int64(3).int32(4)).int32(5);
        assertEquals(4 + 4 + 8 + 4 + 4 + 16 + 4, parameters.packed().length);
        assertEquals(List.of(4, 8, 4, 16, 4), parameters.separate().stream().map(b -> b.length).toList());
        assertArrayEquals(new byte[] {0, 0, (byte) 0x80, 0x3f}, parameters.separate().get(2));
        assertEquals(3, parameters.packed()[24]);
        assertEquals(4, parameters.packed()[32]);
        assertEquals(5, parameters.packed()[40]);
    }

    @Test
    void gridsBeyondTheDevicesLimitsAreRefused() {
        assertEquals("grid is 1 x 65536 x 1; each size must be at least 1, the second and third at most 65535",
                assertThrows(IllegalArgumentException.class, () -> new Grid(1, 65536, 1)).getMessage());
        assertThrows(IllegalArgumentException.class, () -> Grid.of(0, 256));
        assertEquals(new Grid(2, 1, 1), Grid.of(257, 256));
    }
}
