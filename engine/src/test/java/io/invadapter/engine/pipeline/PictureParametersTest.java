package io.invadapter.engine.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.invadapter.engine.request.GenerationRequest;
import org.junit.jupiter.api.Test;

class PictureParametersTest {

    @Test
    void parametersSayWhatARequestLeftOpen() {
        try (Pipeline pipeline = Pictures.open(Pictures.PLENTY)) {
            GenerationRequest request = GenerationRequest.builder().prompt("a, b").negativePrompt("c").face(Pictures.FACES.getFirst())
                    .caption("d: \"e\"").steps(3).guidanceScale(2).seed(5).count(2).build();
            assertEquals("a, b\nNegative prompt: c\nSteps: 3, Sampler: DDIM, CFG scale: 2.0, Seed: 6, Size: 128x128, Model: \"my, model\", "
                    + "Inv-Adapter scale: 1.0, Inv-Adapter caption: \"d: \\\"e\\\"\"", PictureParameters.of(request, 1, pipeline, "my, model"));
        }
    }
}
