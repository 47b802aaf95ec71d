package io.invadapter.weights.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.weights.DType;
import io.invadapter.weights.WeightException;
import io.invadapter.weights.WeightTensor;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.zip.CRC32;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The numbers were computed by the recipe in another language; every bit counts. */
class SyntheticWeightsTest {
    @TempDir
    private Path folder;
    private SyntheticWeights weights;

    @BeforeEach
    void open() throws IOException {
        weights = SyntheticWeights.of(Files.writeString(folder.resolve("shapes.json"), """
                {
                  "unet.conv_in.weight": [320, 4, 3, 3],
                  "unet.conv_norm_out.weight": [320],
                  "unet.conv_norm_out.bias": [320],
                  "text_encoder.text_model.embeddings.position_embedding.weight": [77, 768],
                  "unet.time_embedding.linear_1.weight": [1280, 320]
                }
                """));
    }

    @Test
    void everyBitIsThatOfTheRecipe() {
        pinned("unet.conv_in.weight", 0x748722C7L, 0xAC6A, 0xB237, 0xB011);
        pinned("unet.conv_norm_out.weight", 0xFF5314CAL, 0x3AE3, 0x3C6B, 0x3AA4);
        pinned("unet.conv_norm_out.bias", 0x69515129L, 0xAC7B, 0x2CCD, 0x2C17);
        pinned("text_encoder.text_model.embeddings.position_embedding.weight", 0xA07838F6L, 0x2A5A, 0xA81B, 0x278C);
        pinned("unet.time_embedding.linear_1.weight", 0xD5E00837L, 0x9E99, 0xAD35, 0xABF0);
    }

    /** @param bits of the first two elements and the last */
    private void pinned(String name, long checksum, int... bits) {
        WeightTensor tensor = weights.tensor(name);
        assertEquals(DType.F16, tensor.dtype());
        long[] places = {0, 1, tensor.elements() - 1};
        for (int i = 0; i < bits.length; i++) {
            assertEquals(bits[i], tensor.data().get(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * places[i]) & 0xFFFF, name);
        }
        CRC32 crc = new CRC32();
        crc.update(tensor.data().toArray(ValueLayout.JAVA_BYTE));
        assertEquals(checksum, crc.getValue(), name);
    }

    @Test
    void repeatedWeightsHaveTheDistributionOfTheOthersAndTensorsOfOneShareTheirMemory() {
        SyntheticWeights repeating = SyntheticWeights.repeating();
        WeightTensor first = repeating.tensor("a.weight", 300, 1000);
        WeightTensor second = repeating.tensor("b.weight", 200, 1000);
        assertDistribution(first, 0, 1 / Math.sqrt(1000));
        assertDistribution(second, 0, 1 / Math.sqrt(1000));
        assertDistribution(repeating.tensor("norm.weight", 70_000), 1, 0.1);
        // Behind a larger one of its distribution, and before.
        assertDistribution(repeating.tensor("c.weight", 2000, 1000), 0, 1 / Math.sqrt(1000));
        assertDistribution(first, 0, 1 / Math.sqrt(1000));
        assertTrue(first.data().isNative(), "goes to a device as it is");
        assertTrue(first.data().mismatch(second.data()) < 10, "not the same values at the same places");
        WeightTensor third = repeating.tensor("d.weight", 100, 1000);
        assertTrue(repeating.tensor("c.weight").data().asOverlappingSlice(third.data()).isPresent());
    }

    private static void assertDistribution(WeightTensor tensor, double mean, double standardDeviation) {
        double sum = 0;
        double squares = 0;
        for (float value : tensor.toFloats()) {
            sum += value - mean;
            squares += (value - mean) * (value - mean);
        }
        assertEquals(0, sum / tensor.elements(), 0.02 * standardDeviation, tensor.name());
        assertEquals(standardDeviation, Math.sqrt(squares / tensor.elements()), 0.02 * standardDeviation, tensor.name());
    }

    @Test
    void partsLoseTheirPrefix() {
        assertEquals(Set.of("embeddings.position_embedding.weight"), weights.part("text_encoder.text_model.").names());
        String message = assertThrows(WeightException.class, () -> weights.tensor("gone")).getMessage();
        assertTrue(message.contains("shapes.json") && message.contains("'gone'"), message);
    }
}
