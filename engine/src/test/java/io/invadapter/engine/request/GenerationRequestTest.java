package io.invadapter.engine.request;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.invadapter.base.InvalidRequestException;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class GenerationRequestTest {
    private static final BufferedImage FACE = new BufferedImage(32, 32, BufferedImage.TYPE_INT_RGB);

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
        refused("the identity's scale must be between -5 and 5, not 1.0E38", GenerationRequest.builder().identityScale(1e38));
        refused("the identity's scale must be between -5 and 5, not -5.5", GenerationRequest.builder().identityScale(-5.5));
        // As an adapter may recommend.
        assertEquals(-0.5, GenerationRequest.builder().identityScale(-0.5).build().identityScale());
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
    void whatNobodySaysIsTheModelsOwn() {
        GenerationRequest filled = GenerationRequest.builder().identityScale(2).size(0, 40).build().filled(30, 7, 0.8, 64, 72);
        assertEquals(30, filled.steps());
        assertEquals(7, filled.guidanceScale());
        assertEquals(0, filled.identityScale(), "without a face");
        assertEquals(List.of(64, 40), List.of(filled.width(), filled.height()));
        GenerationRequest.Builder said = GenerationRequest.builder().face(FACE).steps(3).guidanceScale(0).size(8, 16);
        filled = said.build().filled(30, 7, 0.8, 64, 72);
        assertEquals(0.8, filled.identityScale());
        assertEquals(List.of(3, 8, 16), List.of(filled.steps(), filled.width(), filled.height()));
        assertEquals(0, filled.guidanceScale());
        assertEquals(0, said.identityScale(0).build().filled(30, 7, 0.8, 64, 72).identityScale());
    }

    /** Every option, wherever it is kept: a request that is filled in keeps what was said. */
    @Test
    void aRequestIsWhatWasSaidAndStaysSo() {
        LoraUse lora = LoraUse.of(Path.of("style.safetensors"), 0.5);
        Cancellation cancellation = new Cancellation();
        ProgressListener listener = (phase, step, steps) -> { };
        List<LoraUse> loras = new ArrayList<>(List.of(lora));
        GenerationRequest.Builder builder = GenerationRequest.builder().prompt("a").negativePrompt("b").face(FACE).caption("c").steps(9)
                .sampler("DPM++ 2M").guidanceScale(2).guidanceRescale(0.25).identityScale(0.75).promptSyntax(false).clipSkip(2).seed(-5).count(3)
                .size(24, 48).init(FACE).mask(FACE).strength(0.5).identityLayers(IdentityLayers.SELF_ONLY).identityRows(IdentityRows.BOTH)
                .loras(loras).listener(listener).cancellation(cancellation);
        GenerationRequest built = builder.build();
        loras.clear();
        builder.prompt("z").negativePrompt("z").face(null).caption("z").steps(8).sampler("").guidanceScale(8).guidanceRescale(0).identityScale(0)
                .promptSyntax(true).clipSkip(0).seed(8).count(8).size(8, 8).init(null).mask(null).identityLayers(IdentityLayers.BOTH)
                .identityRows(IdentityRows.PROMPT).loras(List.of()).listener(ProgressListener.NONE).cancellation(new Cancellation());
        for (GenerationRequest request : List.of(built, built.filled(30, 7, 1, 64, 64))) {
            assertEquals(List.of("a", "b", "c", "DPM++ 2M"), List.of(request.prompt(), request.negativePrompt(), request.caption(), request.sampler()));
            assertEquals(List.of(9, 2, 3, 24, 48), List.of(request.steps(), request.clipSkip(), request.count(), request.width(), request.height()));
            assertEquals(List.of(2.0, 0.25, 0.75, 0.5), List.of(request.guidanceScale(), request.guidanceRescale(), request.identityScale(),
                    request.init().strength()));
            assertEquals(-5, request.seed());
            assertFalse(request.promptSyntax());
            assertSame(FACE, request.face());
            assertSame(FACE, request.init().picture());
            assertSame(FACE, request.init().mask());
            assertEquals(IdentityLayers.SELF_ONLY, request.identityLayers());
            assertEquals(IdentityRows.BOTH, request.identityRows());
            assertEquals(List.of(lora), request.loras());
            assertSame(listener, request.listener());
            assertSame(cancellation, request.cancellation());
        }
    }
}
