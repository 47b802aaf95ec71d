package io.invadapter.engine.request;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import java.awt.image.BufferedImage;
import java.util.List;
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
        refused("guidance rescale must be between 0 and 1, not 1.5", GenerationRequest.builder().guidanceRescale(1.5));
        refused("guidance rescale must be between 0 and 1, not NaN", GenerationRequest.builder().guidanceRescale(Double.NaN));
        refused("guidance must be between 0 and 100, not 1.0E300", GenerationRequest.builder().guidanceScale(1e300));
        refused("guidance must be between 0 and 100, not -1.0", GenerationRequest.builder().guidanceScale(-1));
        refused("the identity's scale must be between 0 and 5, not 1.0E38", GenerationRequest.builder().identityScale(1e38));
        refused("the identity's scale must be between 0 and 5, not -0.5", GenerationRequest.builder().identityScale(-0.5));
        refused("clip skip must be 1 or more, not -1", GenerationRequest.builder().clipSkip(-1));
        // As of a file, see FacePictureTest.
        refused("31 x 64 pixels are too few", GenerationRequest.builder().face(new BufferedImage(31, 64, BufferedImage.TYPE_INT_RGB)));
        GenerationRequest.builder().face(new BufferedImage(32, 32, BufferedImage.TYPE_INT_RGB)).build();
    }

    @Test
    void aPictureToStartFrom() {
        BufferedImage picture = new BufferedImage(30, 20, BufferedImage.TYPE_INT_RGB);
        BufferedImage other = new BufferedImage(20, 30, BufferedImage.TYPE_INT_RGB);
        assertNull(GenerationRequest.builder().build().init());
        assertEquals(0.75, GenerationRequest.builder().init(picture).build().init().strength());
        assertEquals(1, GenerationRequest.builder().init(picture).mask(picture).build().init().strength());
        assertEquals(0.3, GenerationRequest.builder().init(picture).mask(picture).strength(0.3).build().init().strength());
        for (double strength : new double[] {0, -0.5, 1.01, Double.NaN}) {
            refused("strength must be more than 0 and at most 1, not " + strength, GenerationRequest.builder().init(picture).strength(strength));
        }
        refused("a mask says how a picture is changed, and there is no picture", GenerationRequest.builder().mask(picture));
        refused("a strength says how a picture is changed", GenerationRequest.builder().strength(0.5));
        refused("the mask has 20 x 30 pixels, the picture that it is for 30 x 20", GenerationRequest.builder().init(picture).mask(other));
        BufferedImage wide = new BufferedImage(4104, 8, BufferedImage.TYPE_INT_RGB);
        refused("the picture to start from has 4104 x 8 pixels; expected at most 4096", GenerationRequest.builder().init(wide));
        GenerationRequest.builder().init(wide).size(512, 8).build();
    }

    @Test
    void whatIsMissingIsNamed() {
        for (String name : List.of("prompt", "negativePrompt", "caption", "sampler", "identityLayers", "identityRows", "loras", "listener", "cancellation")) {
            assertEquals(name, assertThrows(NullPointerException.class, () -> without(name)).getMessage());
        }
        assertNull(without("face").face());
    }

    private static GenerationRequest without(String name) {
        GenerationRequest all = GenerationRequest.builder().build();
        return new GenerationRequest(name.equals("prompt") ? null : "", name.equals("negativePrompt") ? null : "", null,
                name.equals("caption") ? null : "", 20, name.equals("sampler") ? null : "", 7, 0, 1, true, 0, 0, 1, 0, 0, null,
                name.equals("identityLayers") ? null : all.identityLayers(),
                name.equals("identityRows") ? null : all.identityRows(), name.equals("loras") ? null : all.loras(),
                name.equals("listener") ? null : all.listener(),
                name.equals("cancellation") ? null : all.cancellation());
    }
}
