package io.invadapter.engine.pipeline;

import io.invadapter.engine.request.GenerationRequest;
import io.invadapter.engine.request.IdentityLayers;
import io.invadapter.engine.request.IdentityRows;
import io.invadapter.engine.request.InversionResult;
import io.invadapter.engine.text.LoraTags;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;

/** What a picture was made of, as the text that stable-diffusion-webui writes into its files and reads from them. */
public final class PictureParameters {

    private PictureParameters() {
    }

    /**
     * What a picture of a request was made of, as webui writes it.
     *
     * @param model   the name to put down for it
     * @param picture its number in the request, from 0
     */
    public static String of(GenerationRequest request, int picture, Pipeline pipeline, String model) {
        Objects.requireNonNull(model, "model");
        GenerationRequest made = pipeline.acceptance().filled(Objects.requireNonNull(request, "request"));
        String sampler = pipeline.acceptance().sampler(request).name();
        StringBuilder text = new StringBuilder(request.prompt());
        List<String> inPrompt = LoraTags.cut(request.prompt()).tags().stream().map(LoraTags.Tag::name).toList();
        Stream.concat(pipeline.loras().stream(), request.loras().stream().filter(lora -> inPrompt.stream().noneMatch(lora.name()::equalsIgnoreCase)))
                .forEach(lora -> text.append(" <lora:").append(lora).append('>'));
        if (!request.negativePrompt().isEmpty()) {
            text.append("\nNegative prompt: ").append(request.negativePrompt());
        }
        text.append(String.format(Locale.ROOT, "\nSteps: %d, Sampler: %s, CFG scale: %s, Seed: %d, Size: %dx%d, Model: %s",
                made.steps(), sampler, made.guidanceScale(), made.seed() + picture, made.width(), made.height(), quoted(model)));
        if (request.init() != null) {
            text.append(", Denoising strength: ").append(request.init().strength());
        }
        if (request.guidanceRescale() != 0) {
            text.append(", Guidance rescale: ").append(request.guidanceRescale());
        }
        if (request.clipSkip() > 1) {
            text.append(", Clip skip: ").append(request.clipSkip());
        }
        if (!request.promptSyntax() && (request.prompt() + request.negativePrompt()).matches("(?s).*[(\\[].*")) {
            text.append(", Emphasis: None");
        }
        if (request.face() != null) {
            text.append(", Inv-Adapter scale: ").append(made.identityScale()).append(", Inv-Adapter caption: ").append(quoted(request.caption()));
            if (request.identityLayers() != IdentityLayers.BOTH) {
                text.append(", Inv-Adapter layers: ").append(request.identityLayers());
            }
            if (request.identityRows() != IdentityRows.PROMPT) {
                text.append(", Inv-Adapter rows: ").append(request.identityRows());
            }
        }
        return text.toString();
    }

    /** What a reconstruction was made of, in the same form: the caption stands in the prompt's place. */
    public static String of(InversionResult result, String caption, int steps, String model) {
        Objects.requireNonNull(caption, "caption");
        Objects.requireNonNull(model, "model");
        BufferedImage picture = result.reconstruction();
        return String.format(Locale.ROOT, "%s\nSteps: %d, Sampler: DDIM inversion, CFG scale: 1.0, Size: %dx%d, Model: %s, "
                + "Inv-Adapter reconstruction error: %.4f", caption, steps, picture.getWidth(), picture.getHeight(), quoted(model), result.error());
    }

    /** A value with a comma, a colon, a quotation mark or a line break needs quotation marks in that form. */
    private static String quoted(String value) {
        return value.matches("[^,:\"\n]*") ? value
                : '"' + value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
    }
}
