package io.invadapter.engine;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class GenerationRequestTest {
    private static void refused(String part, GenerationRequest.Builder builder) {
        String message = assertThrows(InvalidRequestException.class, builder::build).getMessage();
        assertTrue(message.contains(part), message);
    }

    @Test
    void whatNoModelCanDoIsRefused() {
        GenerationRequest.builder().build();
        for (int steps : new int[] {0, -1, 1001}) {
            refused("steps must be between 1 and 1000, not " + steps, GenerationRequest.builder().steps(steps));
        }
        for (int count : new int[] {0, -1, 1_000_000}) {
            refused("count must be between 1 and 1000, not " + count, GenerationRequest.builder().count(count));
        }
        refused("100000x8", GenerationRequest.builder().size(100_000, 8));
        refused("8x-8", GenerationRequest.builder().size(8, -8));
        refused("NaN", GenerationRequest.builder().guidanceScale(Double.NaN));
        refused("the prompt holds U+FFFD", GenerationRequest.builder().prompt("Caf\uFFFD\uFFFD"));
        refused("the negative prompt holds U+FFFD", GenerationRequest.builder().negativePrompt("\uFFFD"));
        refused("the caption holds U+FFFD", GenerationRequest.builder().caption("\uFFFD, a portrait"));
        refused("Infinity", GenerationRequest.builder().identityScale(Double.POSITIVE_INFINITY));
    }
}
